"""Lanes and their curves, as they are read out of blocks."""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Integer

from jaxdl.planning.config import config_key
from jaxdl.planning.seeds import Seed
from jaxdl.planning.spec import STREAM_COLUMNS
from jaxdl.running.formats import Arrays
from jaxdl.running.lanes import reader
from jaxdl.running.manifest import (
    Lane,
    config_numbers,
    owners,
    planned_lanes,
    schedule_of,
    seed_shape,
    seeds_of,
)

HISTORY = "history/"  # before the name of a curve, among the arrays of a block


class Curves(NamedTuple):
    """Lanes by config and then by seed, and what was measured of them."""

    lanes: list[dict]  # swept names, seed, status, diverged_at
    history: Arrays  # name -> float32 (lanes, evaluations)
    steps: Integer[np.ndarray, "*rows evaluations"]  # see `Result`
    absent: dict[str, set[int]]  # name -> rows whose task has no such metric
    planned: int  # lanes that would be there if none were missing
    untrained: list[tuple[dict, list[int]]]  # the missing ones: configs and their seeds


class _Place(NamedTuple):
    """Where a lane stands, in an order by config and then by seed."""

    rank: int  # of its config among those asked for
    seed: int  # or the place of a combination of seeds, see `_labels`
    block: int
    row: int


def collect(
    manifest: dict,
    blocks: dict[int, dict],
    configs: Iterable[dict] | None = None,
    seeds: Iterable[Seed] | None = None,
) -> Curves:
    """Reads lanes out of blocks.

    Args:
      blocks: number -> arrays; the number says nothing on the lanes.
      configs, seeds: those that are wanted, in order; all of the run by default.
    """
    numbers = config_numbers(manifest)
    order = list(numbers.values())
    planned = planned_lanes(manifest)
    listed = seeds_of(manifest)
    if configs is not None and seeds is not None:
        listed = list(seeds)
        order = [numbers[config_key(config)] for config in configs]
        planned = {(config, seed) for seed in listed for config in order}
    labels = _labels(manifest, listed)
    places = _places(manifest, blocks, order, planned, labels)
    steps = _steps(_schedules(manifest, order, places))
    history, absent = _history(blocks, places, steps.shape[-1])
    lanes = []
    for place in places:
        config = manifest["configs"][order[place.rank]]
        lanes.append(_lane(config, place, blocks[place.block]))
    labelled = {(config, labels[seed]) for config, seed in planned}
    untrained = _untrained(manifest, order, labelled, places)
    return Curves(lanes, history, steps, absent, len(planned), untrained)


def _labels(manifest: dict, seeds: list[Seed]) -> dict[Seed, int]:
    """What stands in the column ``seed``: the seed, or the place of a combination of seeds."""
    if seed_shape(manifest):
        return {seed: place for place, seed in enumerate(seeds)}
    return {seed: seed for seed in seeds if isinstance(seed, int)}


def _untrained(
    manifest: dict,
    order: list[int],
    planned: set[tuple[int, int]],
    places: list[_Place],
) -> list[tuple[dict, list[int]]]:
    """The planned lanes that are not there, by config."""
    there = {(order[place.rank], place.seed) for place in places}
    seeds: dict[int, list[int]] = {}
    for config, seed in sorted(planned - there):
        seeds.setdefault(config, []).append(seed)
    return [(manifest["configs"][number], seeds[number]) for number in order if number in seeds]


def _places(
    manifest: dict,
    blocks: dict[int, dict],
    order: list[int],
    planned: set[Lane],
    labels: dict[Seed, int],
) -> list[_Place]:
    """Finds the planned lanes; one that is in two blocks is the same in both."""
    rank = {number: place for place, number in enumerate(order)}
    lanes_of = reader(manifest)
    places: dict[Lane, _Place] = {}
    for number in sorted(blocks):
        for row, lane in enumerate(lanes_of(blocks[number])):
            if lane is not None and lane in planned:
                config, seed = lane
                places.setdefault(lane, _Place(rank[config], labels[seed], number, row))
    return sorted(places.values())


def _lane(config: dict, place: _Place, block: dict) -> dict:
    at = int(block["diverged_at"][place.row])
    seed = block["seed"][place.row]
    # a seed a stream, of a study whose streams have their own
    by_stream = dict(zip(STREAM_COLUMNS, seed.tolist(), strict=True)) if seed.ndim else {}
    return {
        **config,
        "seed": place.seed,
        **by_stream,
        "status": "finished" if at < 0 else "diverged",
        "diverged_at": None if at < 0 else at,
    }


def _schedules(manifest: dict, order: list[int], places: list[_Place]) -> list[tuple]:
    """The steps at which each lane was evaluated."""
    programs = range(len(manifest["programs"]))
    due = [schedule_of(manifest, number).due() for number in programs]
    owner = owners(manifest)
    return [due[owner[order[place.rank]]] for place in places]


def _steps(schedules: list[tuple]) -> np.ndarray:
    """The step of each column: shared by all lanes, or one row a lane that ends in -1."""
    if len(set(schedules)) <= 1:
        return np.array(schedules[0] if schedules else (), np.int64)
    longest = max(map(len, schedules))
    # Configs with their own schedules: a short one ends in columns that say so.
    steps = np.full((len(schedules), longest), -1, np.int64)
    for row, due in zip(steps, schedules, strict=True):
        row[: len(due)] = due
    return steps


def _history(
    blocks: dict[int, dict], places: list[_Place], columns: int
) -> tuple[Arrays, dict[str, set[int]]]:
    """Curves by name, NaN beyond a lane's last evaluation, and the rows that lack each name."""
    rows_of: dict[int, list[int]] = {}
    for row, place in enumerate(places):
        rows_of.setdefault(place.block, []).append(row)
    history: Arrays = {}
    present: dict[str, set[int]] = {}
    shape = (len(places), columns)
    # Block by block: lane by lane, 400,000 lanes would be read in as many steps for every name.
    for number, rows in rows_of.items():
        theirs = [places[row].row for row in rows]
        for key, values in blocks[number].items():
            if not key.startswith(HISTORY):
                continue
            name = key.removeprefix(HISTORY)
            if name not in history:
                history[name] = np.full(shape, np.nan, np.float32)
            history[name][rows, : values.shape[1]] = values[theirs]
            present.setdefault(name, set()).update(rows)
    every = set(range(len(places)))
    return history, {name: every - rows for name, rows in present.items()}
