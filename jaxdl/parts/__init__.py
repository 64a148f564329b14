"""Checks of what a study is made of: task, model and optimizer, and what their functions give."""

from jaxdl.parts.application import apply
from jaxdl.parts.arguments import check_part, is_built, resolve
from jaxdl.parts.returned import aligned, built_like, dataset_of, fresh, prng_key, several

__all__ = [
    "aligned",
    "apply",
    "built_like",
    "check_part",
    "dataset_of",
    "fresh",
    "is_built",
    "prng_key",
    "resolve",
    "several",
]
