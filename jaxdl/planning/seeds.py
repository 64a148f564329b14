"""Seeds: which seeds a study runs, one number for all random streams of a lane or one a stream."""

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxdl.checks import brief, integer, positive_int
from jaxdl.sampling import STREAMS

MOST_SEEDS = 2**32  # a seed is a uint32
MOST_CROSSED = 10**7  # combinations of seeds

Streamed = tuple[int, ...]  # a seed a stream, in the order of STREAMS
Seed = int | Streamed


class Seeds(NamedTuple):
    """A seed of its own for each random stream: ``Study(seeds=Seeds(init=range(20)))``.

    A stream is held at an int (0 where nothing is said), or varied over a sequence of ints; several
    varied streams are crossed: ``Seeds(init=range(20), data=range(20))`` are 400 lanes a config.
    What stream a draw belongs to is the same for all studies (`jaxdl.sampling`), and a lane whose
    streams all have seed k draws what seed k of an ordinary study does.

    Lanes have the columns ``seed_init``, ``seed_data``, ``seed_shuffle``, ``seed_dropout``,
    ``seed_augment``; their ``seed`` is the place of the combination in the product, the last stream
    changing fastest (of a run that is read back: the order in which combinations were added). By it
    configs are paired and lanes replayed. Crossed lanes share seeds, so they are no independent
    sample: a result gives no intervals over them. `stats.variance_shares` says what each stream
    contributes.
    """

    init: int | Sequence[int] = 0
    data: int | Sequence[int] = 0
    shuffle: int | Sequence[int] = 0
    dropout: int | Sequence[int] = 0
    augment: int | Sequence[int] = 0


def seed_list(seeds) -> tuple[Seed, ...]:
    """Returns seeds as ints: a positive number of them (0, 1, ...), or the seeds themselves; of
    `Seeds` the combinations, each a tuple of a seed a stream.

    >>> seed_list(3), seed_list([7, 7, 2])
    ((0, 1, 2), (7, 2))
    >>> seed_list(Seeds(init=[5, 6], data=1))
    ((5, 1, 0, 0, 0), (6, 1, 0, 0, 0))

    Raises:
      ValueError: one is not in [0, 2**32), or there is none.
    """
    if isinstance(seeds, Seeds):
        return _crossed(seeds)
    if integer(seeds):
        most = MOST_SEEDS if seeds > MOST_SEEDS else None  # for a plain message where it is below 1
        return tuple(range(positive_int("seeds", seeds, most)))
    return _listed("seeds", seeds, "a positive integer, or a sequence of integers")


def _listed(name: str, seeds, allowed: str) -> tuple[int, ...]:
    """The distinct seeds of a sequence, in order."""
    listed = isinstance(seeds, Sequence) or (isinstance(seeds, np.ndarray) and seeds.ndim == 1)
    if not listed or isinstance(seeds, (str, bytes)):
        raise ValueError(f"{name} must be {allowed}, got {brief(seeds)}")
    if not len(seeds):
        raise ValueError(f"{name} must hold at least one seed, got {brief(seeds)}")
    for seed in seeds:
        if not integer(seed) or not 0 <= seed < MOST_SEEDS:
            raise ValueError(f"{name} must be integers from 0 to 4294967295, got {brief(seed)}")
    return tuple(dict.fromkeys(int(seed) for seed in seeds))


def _crossed(seeds: Seeds) -> tuple[Streamed, ...]:
    """Every combination of the streams' seeds."""
    columns = []
    for name in STREAMS:
        value = getattr(seeds, name)
        listed = [value] if integer(value) else value
        columns.append(_listed(f"seeds of {name}", listed, "an integer, or a sequence of them"))
    count = math.prod(map(len, columns))
    if count > MOST_CROSSED:
        raise ValueError(f"seeds must have at most {MOST_CROSSED} combinations, got {count}")
    return tuple(itertools.product(*columns))


def seed_array(seeds: Sequence[Seed], shape: tuple[int, ...]) -> np.ndarray:
    """Makes the array that a program takes for the seeds of its lanes.

    Args:
      seeds: one a lane; an int stands for all streams.
      shape: of one lane's: ``()``, or ``(streams,)`` in a study whose streams have their own.

    Returns:
      uint32 (lanes, *shape).
    """
    array = np.empty((len(seeds), *shape), np.uint32)
    for row, seed in enumerate(seeds):
        array[row] = seed
    return array
