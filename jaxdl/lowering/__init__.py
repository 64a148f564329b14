"""How operations are computed where XLA's own way is slow: the same numbers by other programs."""
