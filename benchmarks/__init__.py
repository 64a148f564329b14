"""One file per question, and the harness that runs them; ``python -m benchmarks`` lists them."""
