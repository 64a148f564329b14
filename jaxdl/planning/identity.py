"""Tells programs apart by what they train: lowered text, data, history names, settings.

Names, values and labels say what a person calls a study; a changed function, constant or data set
shows in none of them. So each program of a run has a digest of all that its lanes depend on.
A host callback's Python code is the one thing that no digest sees.
"""

import hashlib
import json

import jax
import numpy as np

from jaxdl.planning.config import SETTINGS
from jaxdl.planning.jaxprs import constants
from jaxdl.planning.memo import add_array
from jaxdl.planning.program import (
    Program,
    concrete_recipe,
    first_hp,
    hp_columns,
    lane_functions,
    whole,
)
from jaxdl.planning.spec import Parts
from jaxdl.train import directions
from jaxdl.types import Dataset

DIGITS = 16  # of a digest, hexadecimal


def identity_of(parts: Parts, program: Program, hashed: dict | None = None) -> dict:
    """Describes what a program trains, in JSON values; equal for equal programs in any process.

    Args:
      hashed: arrays that were digested before, see `data_digest`.

    Returns:
      ``text``, a digest of a single lane's lowered program and its constants; ``data``, of the
      data set that all lanes share (None where each draws its own); ``history``, the names of what
      is kept; ``metrics``, their directions; ``hp``, the dtypes of what lanes carry; ``settings``,
      name -> value of all configs, or a list with the value of each.
    """
    functions = lane_functions(parts, program)
    arguments = (np.uint32(0), first_hp(program), functions.shared)
    traced = jax.jit(whole(functions, 2)).trace(*arguments)
    columns = hp_columns(program, program.configs[:1])
    return {
        "text": _text_digest(traced),
        "data": data_digest(functions.shared, hashed),
        "history": sorted(traced.out_info.history),
        "metrics": directions(concrete_recipe(parts, program.configs[0]).task),
        "hp": {name: str(column.dtype) for name, column in columns.items()},
        "settings": _settings(program),
    }


def _text_digest(traced) -> str:
    digest = hashlib.sha256(traced.lower().as_text().encode())
    # newer versions of jax hand constants in from outside: then the text shows their shapes alone
    for array in constants(traced.jaxpr):
        add_array(digest, array)
    return digest.hexdigest()[:DIGITS]


def data_digest(dataset: Dataset | None, hashed: dict | None = None) -> str | None:
    """Digests a data set, array by array: there is never a joined copy of it.

    Args:
      hashed: id of an array -> (that array, its digest), filled: programs mostly share their data.
    """
    hashed = {} if hashed is None else hashed
    digests = []
    for leaf in jax.tree.leaves(dataset):
        if id(leaf) not in hashed:
            digest = hashlib.sha256()
            add_array(digest, leaf)
            hashed[id(leaf)] = (leaf, digest.hexdigest())
        digests.append(hashed[id(leaf)][1])
    places = _places(dataset)
    return digest_of([places, *digests]) if digests else None


def _places(dataset: Dataset | None) -> str:
    """Says which splits there are, and which of them have weights."""
    places = str(jax.tree.structure(dataset))
    # A data set without weights is called as it was before there were any: runs of it go on.
    without = isinstance(dataset, Dataset) and dataset.weights is None
    return places.removesuffix(", None]))") + "]))" if without else places


def _settings(program: Program) -> dict:
    """The resolved settings: a changed function of hp need not change the text of the program."""
    settings = {}
    for name in SETTINGS:
        column = [config.settings[name] for config in program.configs]
        settings[name] = column[0] if _all_same(column) else column
    return settings


def _all_same(column: list) -> bool:
    return all(repr(value) == repr(column[0]) for value in column)


def setting_of(identity: dict, name: str, index: int):
    """The value of a setting for the program's config at a place."""
    value = identity["settings"].get(name)
    return value[index] if isinstance(value, list) else value


def digest_of(value) -> str:
    """Digests a JSON value; the order of lists and of names counts.

    >>> digest_of({"a": 1}) == digest_of({"a": 1.0})
    False
    """
    text = json.dumps(value, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:DIGITS]
