"""Checks of what users hand in: one line that names the parameter, the allowed range and the value
given."""

from jaxdl.checks.functions import check_float32, function_of, known_arguments, nan_named
from jaxdl.checks.messages import (
    DataError,
    MissingData,
    UnknownName,
    brief,
    brief_text,
    first_line,
    nearest,
    unknown,
)
from jaxdl.checks.values import (
    check_name,
    flag,
    folder,
    fraction,
    integer,
    mapping,
    number_from_zero,
    number_within,
    one_of,
    positive_int,
    positive_number,
    seed_of,
    signed,
)

__all__ = [
    "DataError",
    "MissingData",
    "UnknownName",
    "brief",
    "brief_text",
    "check_float32",
    "check_name",
    "first_line",
    "flag",
    "folder",
    "fraction",
    "function_of",
    "integer",
    "known_arguments",
    "mapping",
    "nan_named",
    "nearest",
    "number_from_zero",
    "number_within",
    "one_of",
    "positive_int",
    "positive_number",
    "seed_of",
    "signed",
    "unknown",
]
