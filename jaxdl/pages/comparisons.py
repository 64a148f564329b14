"""Compares all pairs of a result's configs, paired by seed."""

import math
from typing import NamedTuple

import numpy as np

from jaxdl.pages.measured import Measured
from jaxdl.reporting import stats, tables
from jaxdl.reporting.html import Grid, Section, Text
from jaxdl.reporting.pairs import LEVEL, Pairs, all_pairs

MOST_CONFIGS = 150  # of which all pairs are compared: 11,175
MOST_ROWS = 500  # of the table
COLUMNS = ("a", "b", "verdict", "n", "a - b [95 %]", "P(a better) [95 %]", "p", "p, Holm")


class Aligned(NamedTuple):
    """A metric with the same seed in each column, (configs, seeds)."""

    values: np.ndarray
    diverged: np.ndarray
    present: np.ndarray


def comparisons(metric: Measured) -> Section:
    """Makes the section in which every config is compared with every other."""
    heading = "All pairs of configs, paired by seed"
    if metric.higher_is_better is None:
        words = f"{metric.name} declares no direction: neither of two values is the better one."
        return Section(heading, [Text(words)])
    if len(metric.lanes) < 2:
        return Section(heading, [Text("There is one config, and nothing to compare it with.")])
    if len(metric.lanes) > MOST_CONFIGS:
        words = f"{len(metric.lanes)} configs have more pairs than are told apart in a table; "
        words += "result.compare(metric, a, b) compares two of them."
        return Section(heading, [Text(words)])
    aligned = align(metric)
    pairs = all_pairs(*aligned, metric.higher_is_better)
    grid = Grid(_table(metric, aligned, pairs), 2)
    folded = Section("The table of pairs", [grid], folded=len(pairs.p) > 12)
    return Section(heading, [Text(verdict(metric, pairs)), folded])


def pairs_of(metric: Measured) -> Pairs:
    """Compares all pairs of configs of a metric that declares a direction."""
    return all_pairs(*align(metric), bool(metric.higher_is_better))


def align(metric: Measured) -> Aligned:
    """Puts the lanes of every config into the columns of their seeds."""
    lanes = metric.result.lanes
    seeds = sorted({lanes[row]["seed"] for each in metric.lanes for row in each.rows})
    column = {seed: place for place, seed in enumerate(seeds)}
    shape = (len(metric.lanes), len(seeds))
    values = np.full(shape, np.nan)
    diverged, present = np.zeros(shape, bool), np.zeros(shape, bool)
    for number, each in enumerate(metric.lanes):
        places = [column[lanes[row]["seed"]] for row in each.rows]
        values[number, places] = metric.final[each.rows]
        diverged[number, places] = metric.diverged[each.rows]
        present[number, places] = True
    return Aligned(values, diverged, present)


def verdict(metric: Measured, pairs: Pairs) -> str:
    """Says how many pairs of configs differ, and by which test."""
    count = len(pairs.p)
    differ = int(np.sum(pairs.corrected < LEVEL))
    seeds = sorted({int(n) for n in pairs.n})
    n = str(seeds[0]) if len(seeds) == 1 else f"{seeds[0]} to {seeds[-1]}"
    return (
        f"{metric.name} at the last evaluation differs in {differ} of {count} pairs of configs "
        f"(n={n} seeds a pair; sign test over the seeds that both have, Holm's correction for all "
        f"{count} pairs, corrected p below {LEVEL:g}). A diverged lane loses to any other. The "
        f"intervals are of one pair each, at 95 %, and not corrected.{too_few(pairs)}"
    )


def too_few(pairs: Pairs) -> str:
    """Says, where that is so, that there are too few seeds for any pair to be told apart."""
    count, seeds = len(pairs.p), int(pairs.n.max())
    # The smallest p that the sign test can give, times the number of pairs, as Holm's method asks.
    if count * 2.0 ** (1 - seeds) < LEVEL:
        return ""
    return f" With {seeds} seeds no pair of {count} can be told apart: that none is says nothing."


def _table(metric: Measured, aligned: Aligned, pairs: Pairs) -> tables.Table:
    order = np.lexsort((np.arange(len(pairs.p)), pairs.p, pairs.corrected))[:MOST_ROWS]
    rows = [_row(metric, aligned, pairs, int(place)) for place in order]
    left_out = len(pairs.p) - len(rows)
    footer = f"{left_out} further pairs, with larger p values, are left out" if left_out else ""
    title = f"{metric.name}, a against b, the surest differences first"
    return tables.Table(title, COLUMNS, tuple(rows), footer)


def _row(metric: Measured, aligned: Aligned, pairs: Pairs, place: int) -> tuple:
    a, b = int(pairs.a[place]), int(pairs.b[place])
    names = (metric.lanes[a].name, metric.lanes[b].name)
    both = aligned.present[a] & aligned.present[b]
    if not both.any():
        return (*names, "no seed in common", 0, *4 * ("-",))
    compared = stats.compare(
        aligned.values[a][both],
        aligned.values[b][both],
        aligned.diverged[a][both],
        aligned.diverged[b][both],
        bool(metric.higher_is_better),
    )
    return (
        *names,
        _verdict(pairs, place),
        compared.n,
        _with_interval(compared.difference, compared.difference_interval),
        _with_interval(compared.improvement, compared.improvement_interval),
        _p_value(pairs.p[place]),
        _p_value(pairs.corrected[place]),
    )


def _with_interval(value: float, interval: tuple) -> str:
    # Without a pair that survived there is no value, and so nothing for an interval to be of.
    if math.isnan(value):
        return "-"
    return f"{tables.cell(value)} {tables.cell(tuple(interval))}"


def _p_value(p: float) -> str:
    return "<0.0001" if p < 1e-4 else f"{p:.2g}"


def _verdict(pairs: Pairs, place: int) -> str:
    if pairs.corrected[place] >= LEVEL:
        return "not told apart"
    return "a is better" if pairs.wins[place] > pairs.losses[place] else "b is better"
