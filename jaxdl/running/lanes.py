"""Whose lanes a block holds, as it says of itself.

A block is planned by its number, and read by what it says: configs as values, seeds, program.
"""

import json
from collections.abc import Callable

import numpy as np

from jaxdl.planning.config import config_key
from jaxdl.planning.seeds import seed_array
from jaxdl.running.manifest import Lane, config_numbers, owners, seed_in, seed_shape

ABOUT = ("about", "config", "seed")  # the arrays that say whose a block, or a checkpoint, is


def about(manifest: dict, program: int, lanes: list[Lane]) -> dict[str, np.ndarray]:
    """Makes the arrays by which a block says whose lanes it holds.

    Returns:
      ``about``: JSON, as bytes, of the program's digest and of configs as values; ``config``, the
      place of each lane's config among these, (lanes,); ``seed``, (lanes,), or (lanes, streams)
      where streams have seeds of their own.
    """
    # Numbers of configs mean something in one manifest only; values mean the same in all of them.
    configs = list(dict.fromkeys(config for config, _ in lanes))
    places = {config: place for place, config in enumerate(configs)}
    label = {
        "program": manifest["programs"][program]["digest"],
        "configs": [manifest["configs"][config] for config in configs],
    }
    return {
        "about": np.frombuffer(json.dumps(label).encode(), np.uint8),
        "config": np.array([places[config] for config, _ in lanes], np.int32),
        "seed": seed_array([seed for _, seed in lanes], seed_shape(manifest)),
    }


def same_lanes(arrays: dict, others: dict) -> bool:
    """Whether two blocks, or a block and a checkpoint, are of the same lanes and program."""
    for name in ABOUT:
        if name not in arrays or name not in others:
            return False
        if not np.array_equal(arrays[name], others[name]):
            return False
    return True


def reader(manifest: dict) -> Callable[[dict], list[Lane | None]]:
    """Makes a function that reads whose lanes a block holds, in the numbers of a manifest.

    Returns:
      ``(block) -> lanes``, one a row; None for a lane that is not of this run.
    """
    numbers = config_numbers(manifest)
    digests = {}
    for config, program in owners(manifest).items():
        digests[config] = manifest["programs"][program]["digest"]

    def number_in(config: dict, program: str) -> int | None:
        """The number of a config that this program trains here."""
        number = numbers.get(config_key(config))
        if number is None or digests[number] != program:
            return None
        return number

    def lanes_of(block: dict) -> list[Lane | None]:
        try:
            label = json.loads(block["about"].tobytes())
            configs = [number_in(config, label["program"]) for config in label["configs"]]
            lanes: list[Lane | None] = []
            pairs = zip(block["config"].tolist(), block["seed"].tolist(), strict=True)
            for place, seed in pairs:
                config = configs[place]
                lanes.append(None if config is None else (config, seed_in(seed)))
            return lanes
        except (KeyError, TypeError, ValueError, IndexError, AttributeError):
            return []  # not a block of this library

    return lanes_of
