"""Data sets in pure JAX, drawn per lane from a key; splits, and arrays that users hand in."""

from jaxdl.data.gaussians import bayes_accuracy, class_sizes, gaussians
from jaxdl.data.gaussians import check as check_gaussians
from jaxdl.data.moons import moons
from jaxdl.data.palindromes import (
    DIGITS,
    ENCODINGS,
    encode_digits,
    palindrome_examples,
    palindrome_steps,
    palindromes,
)

__all__ = [
    "DIGITS",
    "ENCODINGS",
    "bayes_accuracy",
    "check_gaussians",
    "class_sizes",
    "encode_digits",
    "gaussians",
    "moons",
    "palindrome_examples",
    "palindrome_steps",
    "palindromes",
]
