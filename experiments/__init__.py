"""One file per question; ``python -m experiments`` lists them."""
