"""Looks at claims: compares A with B paired by seed, or counts the seeds of which one holds."""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments import verdicts
from experiments.audit_parts import Done
from experiments.audit_sources import DATA
from experiments.columns import Lanes, described, share
from jaxdl import stats

BEATS, MOSTLY, ALWAYS, NEVER, HARDLY = "beats", "mostly", "always", "never", "hardly"
KINDS = {
    BEATS: "A is better than B on more than half of the seeds, a tie counting half",
    MOSTLY: "it holds for more than half of the seeds",
    ALWAYS: "it holds for every seed",
    NEVER: "it holds for no seed",
    HARDLY: "the mean of A - B, its 95 % interval included, is at most a point of accuracy",
}
POINT = 0.01  # of accuracy


class Look(NamedTuple):
    """What one comparison, under one protocol, has shown.

    Attributes:
      protocol: what the report leaves open; comparisons under one protocol are one statement.
      pair: what is compared.
      n: seeds, or pairs of them.
      probability: P(A > B), a tie counting half; or the share of seeds of which it holds.
      interval: its 95 %; Wilson's or Tango's.
      difference: mean of A - B over pairs that both survived, with its 95 % interval (t); None of
        a share.
      counts: wins, and losses.
      done: how far it was trained, if not in full: then it is no evidence.
    """

    protocol: str
    pair: str
    n: int
    probability: float
    interval: tuple[float, float]
    difference: float | None
    difference_interval: tuple[float, float] | None
    counts: tuple[int, int]
    done: str = ""


class Side(NamedTuple):
    """One value a seed, aligned with the other side's."""

    values: np.ndarray
    lost: np.ndarray


def compared(
    protocol: str, pair: str, a: Side, b: Side, higher_is_better: bool, done: str = ""
) -> Look:
    """Compares two sides on as many seeds as both have."""
    n = min(len(a.values), len(b.values))
    a, b = (Side(side.values[:n], side.lost[:n]) for side in (a, b))
    result = stats.compare(a.values, b.values, a.lost, b.lost, higher_is_better)
    first, second = (stats.ranked(*side, higher_is_better) for side in (a, b))
    sign = 1 if higher_is_better else -1
    wins = int(np.sum(sign * first > sign * second))
    losses = int(np.sum(sign * first < sign * second))
    return Look(
        protocol,
        pair,
        n,
        result.improvement,
        result.improvement_interval,
        result.difference,
        result.difference_interval,
        (wins, losses),
        done,
    )


def counted(protocol: str, pair: str, held: np.ndarray, done: str = "") -> Look:
    """Counts the seeds of which something holds."""
    seeds = share(held)
    wins = int(np.sum(held))
    n = len(held)
    sides = (wins, n - wins)
    return Look(protocol, pair, n, seeds["share"], seeds["interval"], None, None, sides, done)


Measure = Callable[[Lanes], np.ndarray]


def lanes_of(part: Done, study: str, config: dict) -> Lanes:
    """Gives the lanes of a config, by seed."""
    result = part.run.results[study]
    return Lanes(result, config, dict(part.run.request.defaults), result.rows(config))


def side(lanes: Lanes, measure: Measure) -> Side:
    """Measures every lane; rounded, for a tie in float32 is one in float64 too."""
    return Side(np.asarray(measure(lanes), float).round(6), lanes.diverged)


def last_step(lanes: Lanes) -> int:
    """Gives the step of the last evaluation."""
    return int(np.max(lanes.steps))


def final(metric: str) -> Measure:
    """Makes the measure of a metric's last value."""
    return lambda lanes: lanes.final(metric)


def versus(
    part: Done,
    study: str,
    a: Mapping[str, Any],
    b: Mapping[str, Any],
    measure: Measure | None = None,
    higher_is_better: bool = True,
    words: str = "",
) -> list[Look]:
    """Compares the configs that have A's values with those that have B's and are else the same.

    Args:
      measure: of every lane; its test accuracy if not given.
    """
    measure = measure or final("test_accuracy")
    looks = []
    result = part.run.results[study]
    for config in result.configs:
        other = {**config, **b}
        if {**config, **a} != config or other not in result.configs:
            continue
        first, second = (lanes_of(part, study, each) for each in (config, other))
        # Rows say in words what a study traces as a number.
        row = part.run.rows_of(study)[result.configs.index(config)]
        fixed = {*a, *b, *DATA}
        opened = {name: row[name] for name in result.axes if name not in fixed}
        protocol = described(opened)
        done = part.short(study, config, last_step(first))
        pair = f"{described(dict(a))} against {described(dict(b))}"
        look = compared(
            f"{words}{protocol}",
            pair,
            side(first, measure),
            side(second, measure),
            higher_is_better,
            done,
        )
        looks.append(look)
    return looks


def holding(
    part: Done,
    study: str,
    where: Mapping[str, Any] | Callable[[dict], bool],
    held: Callable[[Lanes], np.ndarray],
    opened: Sequence[str],
    steps: int | None = None,
) -> list[Look]:
    """Counts the seeds of every config of some values of which something holds.

    Args:
      where: the values, or whether a config is meant.
      held: (lanes) -> bools; a diverged lane's is False.
      opened: the names of what the report leaves open.
      steps: the updates that it is about, where they are not all.
    """
    looks = []
    result = part.run.results[study]
    for config in result.configs:
        meant = where(config) if callable(where) else {**config, **where} == config
        if not meant:
            continue
        lanes = lanes_of(part, study, config)
        row = part.run.rows_of(study)[result.configs.index(config)]
        protocol = described({name: row[name] for name in opened if name in row})
        rest = {name: row[name] for name in result.axes if name not in (*opened, *DATA)}
        trained = last_step(lanes)
        enough = steps is not None and trained >= steps
        done = "" if enough else part.short(study, config, trained)
        looks.append(
            counted(protocol, described(rest, "every seed"), held(lanes) & ~lanes.diverged, done)
        )
    return looks


def word(kind: str, looks: Sequence[Look]) -> str:
    """Judges a claim under one protocol: all of its comparisons must hold.

    That all hold needs no correction; that one does not is what many comparisons find by chance,
    so there Holm's is made.
    """
    looks = [look for look in looks if not look.done]
    if not looks:
        return verdicts.NOT_RUN
    if kind == HARDLY:
        return hardly(looks)
    if kind in (ALWAYS, NEVER):
        return universal(kind, looks)
    if all(look.interval[0] > 0.5 for look in looks):
        return verdicts.HOLDS
    p_values = verdicts.holm([verdicts.sign_test(*look.counts) for look in looks])
    refuted = [
        p <= verdicts.LEVEL and look.probability < 0.5
        for p, look in zip(p_values, looks, strict=True)
    ]
    return verdicts.CONTRADICTED if any(refuted) else verdicts.UNDECIDED


def universal(kind: str, looks: Sequence[Look]) -> str:
    """Judges what is to hold for every seed, or for none: a single seed refutes it."""
    for look in looks:
        exceptions = look.counts[1] if kind == ALWAYS else look.counts[0]
        if exceptions:
            return verdicts.CONTRADICTED
    # Three seeds without an exception say little of the next one.
    sure = [look.interval[0] > 0.5 if kind == ALWAYS else look.interval[1] < 0.5 for look in looks]
    return verdicts.HOLDS if all(sure) else verdicts.UNDECIDED


def hardly(looks: Sequence[Look]) -> str:
    """Judges that there is hardly a difference: surely less than a point, not merely unproven."""
    inside, outside = [], []
    for look in looks:
        low, high = look.difference_interval or (math.nan, math.nan)
        inside.append(low >= -POINT and high <= POINT)
        outside.append(low > POINT or high < -POINT)
    if all(inside):
        return verdicts.HOLDS
    return verdicts.CONTRADICTED if any(outside) else verdicts.UNDECIDED


def by_protocol(kind: str, looks: Sequence[Look]) -> dict[str, str]:
    """Judges a claim under every protocol."""
    groups: dict[str, list[Look]] = {}
    for look in looks:
        groups.setdefault(look.protocol, []).append(look)
    return {protocol: word(kind, each) for protocol, each in groups.items()}


def weakest(kind: str, looks: Sequence[Look]) -> Look | None:
    """Finds the comparison that speaks least for a claim."""
    known = [look for look in looks if not look.done] or list(looks)
    if not known:
        return None
    if kind == NEVER:
        return max(known, key=lambda look: look.probability)
    if kind == HARDLY:
        return max(known, key=lambda look: abs(look.difference or 0.0))
    return min(known, key=lambda look: look.probability)
