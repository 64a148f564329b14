"""Result: what a study found, one row a lane."""

import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxdl.checks import brief, folder, unknown
from jaxdl.pages import report as reports
from jaxdl.planning.config import config_key
from jaxdl.reporting import plots, stats, tables
from jaxdl.running import manifest as manifests
from jaxdl.running import store
from jaxdl.running.configs import match
from jaxdl.running.curves import collect as collect_curves
from jaxdl.running.progress import say

SPLITS = ("train_", "valid_", "test_")
Described = tuple[dict, stats.Summary]  # a config and what its lanes are like
MOST_LEGEND = 12  # configs that a legend still tells apart


class Result:
    """What a study found.

    Attributes:
      lanes: list of dicts with every swept name, seed, status (``"finished"`` or ``"diverged"``)
        and diverged_at.
      history: name -> float32 (lanes, evaluations), rows aligned with `lanes`.
      steps: the step of each column, (evaluations,); (lanes, evaluations) with -1 beyond a lane's
        end where configs have their own schedules.
      axes: the swept names.
      path: the run folder, or None.
      metrics: name without its split -> whether higher is better, as the tasks declare.
      missing: how many of the planned lanes are not there: not trained yet, or damaged on disk.
    """

    def __init__(
        self,
        lanes: list[dict],
        history: dict[str, Float[np.ndarray, "lanes evaluations"]],
        steps: Int[np.ndarray, "*rows evaluations"],
        axes: Iterable[str],
        path: pathlib.Path | None = None,
        planned: int | None = None,
        metrics: dict[str, bool] | None = None,
        absent: dict[str, set[int]] | None = None,
    ):
        self.lanes = lanes
        self.history = history
        self.steps = steps
        self.axes = tuple(axes)
        self.path = path
        self.missing = 0 if planned is None else planned - len(lanes)
        self.metrics = dict(metrics or {})
        # Rows whose task has no metric of a name: these lanes did not diverge.
        self._absent = dict(absent or {})
        self._rows = self._rows_by_config()

    def _rows_by_config(self) -> dict[tuple, list[int]]:
        """The rows of each config by seed; configs in the order of their first seed's rows."""
        by_seed = sorted(range(len(self.lanes)), key=self._seed_of)
        rows: dict[tuple, list[int]] = {}
        for row in by_seed:
            key = config_key(self.lanes[row], self.axes)
            rows.setdefault(key, []).append(row)
        return dict(sorted(rows.items(), key=lambda item: item[1][0]))

    def _seed_of(self, row: int) -> int:
        return self.lanes[row]["seed"]

    def __repr__(self) -> str:
        return f"Result({self._count}, {len(self.configs)} configs, {len(self.history)} metrics)"

    @property
    def complete(self) -> bool:
        """Whether every planned lane is there."""
        return not self.missing

    @property
    def _count(self) -> str:
        there = len(self.lanes)
        return f"{there} lanes" if self.complete else f"{there} of {there + self.missing} lanes"

    @property
    def footer(self) -> str:
        """What a partial result says below tables: ``"48 of 80 lanes"``; empty for a whole one."""
        return "" if self.complete else self._count

    @property
    def configs(self) -> list[dict]:
        """The configs, in order."""
        first = [self.lanes[rows[0]] for rows in self._rows.values()]
        return [{name: lane[name] for name in self.axes} for lane in first]

    @property
    def diverged(self) -> Bool[np.ndarray, " lanes"]:
        """Which lanes have diverged."""
        statuses = [lane["status"] for lane in self.lanes]
        return np.array([status == "diverged" for status in statuses], bool)

    def rows(self, config: dict) -> Int[np.ndarray, " rows"]:
        """Finds the rows of the lanes that have these values, in the order of their seeds.

        Where a run has both 1 and 1.0, a value finds that of its own type.

        Raises:
          ValueError: an unknown name, or no such lane.
        """
        fitting = match(self.configs, config)
        if not fitting:
            raise ValueError(
                f"config must fit some lane, got {brief(config)}; configs are {self.configs[:5]}"
            )
        rows: list[int] = []
        for each in fitting:
            rows += self._rows[config_key(each, self.axes)]
        return np.array(sorted(rows, key=self._seed_of))

    def metric(self, name: str) -> Float[np.ndarray, "lanes evaluations"]:
        """Gives a metric's curves."""
        if not isinstance(name, str) or name not in self.history:
            raise unknown("metric", name, self.history)
        return self.history[name]

    def final(self, name: str) -> Float[np.ndarray, " lanes"]:
        """Gives a metric at each lane's last evaluation."""
        curves = self.metric(name)
        last = np.full(len(curves), self.steps.shape[-1] - 1)
        if self.steps.ndim == 2:
            last = (self.steps >= 0).sum(axis=1) - 1
        return curves[np.arange(len(curves)), last]

    def lost(
        self, rows: Int[np.ndarray, " rows"] | Sequence[int]
    ) -> Bool[np.ndarray, "rows evaluations"]:
        """Finds which of the lanes have diverged by each evaluation."""
        at = [self.lanes[row]["diverged_at"] for row in rows]
        first = np.array([np.inf if step is None else step for step in at])
        steps = self.steps if self.steps.ndim == 1 else self.steps[rows]
        return np.less(first[:, None], steps)

    def direction(self, name: str, higher_is_better: bool | None = None) -> bool:
        """Whether larger values of a history name are better: as declared, or as said here.

        Raises:
          ValueError: a recorded value, which has no direction, where nothing is said.
        """
        self.metric(name)
        better = self._direction_if_any(name, higher_is_better)
        if better is None:
            raise ValueError(
                f"higher_is_better must be given for {name!r}, whose direction no metric declares, "
                "got None"
            )
        return better

    def _direction_if_any(self, name: str, higher_is_better: bool | None = None) -> bool | None:
        """The direction of a history name; None of a recorded value of which nothing is said."""
        if higher_is_better is not None:
            return higher_is_better
        if name.startswith("batch_loss_"):
            return False
        return self.metrics.get(self.metric_of(name))

    def better(self, name: str) -> bool | None:
        """Whether larger values of a history name are better; None where nothing declares it."""
        self.metric(name)
        return self._direction_if_any(name)

    def absent(self, name: str) -> set[int]:
        """The rows of the lanes whose task has no metric of this name."""
        return set(self._absent.get(name, ()))

    def metric_of(self, name: str) -> str:
        """Takes the split off a history name: ``"accuracy"`` of ``"test_accuracy"``."""
        return name.partition("_")[2] if name.startswith(SPLITS) else name

    def summary(
        self, name: str, config: dict, higher_is_better: bool | None = None
    ) -> stats.Summary:
        """Describes the distribution over seeds of a metric's last value.

        Args:
          name: of the history.
          config: values of swept names.
          higher_is_better: of a recorded value, which declares no direction. Where it is not given,
            the figures that rank a diverged lane worst (median and quantiles) are of the survivors.
        """
        rows = self.rows(config)
        better = self._direction_if_any(name, higher_is_better)
        final, diverged = self.final(name), self.diverged
        return stats.summarise(final[rows], diverged[rows], better)

    def _summaries(self, name: str, higher_is_better: bool | None = None) -> list[stats.Summary]:
        """The distribution over seeds of a metric's last value, one a config."""
        # Once for all configs: 400,000 lanes read again for each of 400 configs took 20 s.
        final, diverged = self.final(name), self.diverged
        better = self._direction_if_any(name, higher_is_better)
        absent = self._absent.get(name, set())
        summaries = []
        for rows in self._rows.values():
            measured = [row for row in rows if row not in absent]
            summaries.append(stats.summarise(final[measured], diverged[measured], better))
        return summaries

    def table(self, name: str) -> tables.Table:
        """Tabulates a metric's last value by config: n, survived, mean, sd, median, IQM."""
        rows = list(zip(self.configs, self._summaries(name), strict=True))
        table = tables.summary_table(f"{name} at the last evaluation", self.axes, rows)
        return table._replace(footer=self.footer)

    def compare(
        self,
        name: str,
        a: dict,
        b: dict,
        higher_is_better: bool | None = None,
    ) -> stats.Comparison:
        """Compares two configs on the seeds that both have: a - b, and how often a is better.

        Args:
          name: of the history.
          a, b: values of swept names, enough of them to name one config each.
          higher_is_better: of a recorded value, which declares no direction.

        Raises:
          ValueError: values of no config or of several, a metric that one of them lacks, no common
            seed, a recorded value without `higher_is_better`.
        """
        # Seed k sees the same data and initial draws under every config: lanes are paired by it.
        higher = self.direction(name, higher_is_better)
        rows_a, rows_b = self._row_by_seed(a), self._row_by_seed(b)
        common = sorted(rows_a.keys() & rows_b.keys())
        left = [rows_a[seed] for seed in common]
        right = [rows_b[seed] for seed in common]
        absent = self._absent.get(name, set())
        for config, rows in ((a, left), (b, right)):
            if absent.intersection(rows):
                raise ValueError(
                    f"{name} must be a metric of both configs, got {brief(config)}, whose task has "
                    "none of that name"
                )
        if not common:
            raise ValueError(f"a and b must have seeds in common, got none for {a} and {b}")
        final, diverged = self.final(name), self.diverged
        return stats.compare(
            final[left],
            final[right],
            diverged[left],
            diverged[right],
            higher,
        )

    def _row_by_seed(self, config: dict) -> dict[int, int]:
        """The row of each seed of one config."""
        rows = self.rows(config).tolist()
        row_of = {self._seed_of(row): row for row in rows}
        if len(row_of) != len(rows):
            raise ValueError(
                f"config must name one config, got {config}, which fits "
                f"{len(match(self.configs, config))}"
            )
        return row_of

    def best(self, name: str, over: str, higher_is_better: bool | None = None) -> list[dict]:
        """Chooses the config with the best median, for every combination of the other axes.

        Where medians tie, the one that lost fewer lanes, then the better IQM, then the first in
        declared order.

        Args:
          name: of the history.
          over: the axis to choose along.
          higher_is_better: of a recorded value, which declares no direction.

        Raises:
          ValueError: a test metric (choosing by it would leak the test set), an axis that is not
            swept, a recorded value without `higher_is_better`, or a combination in which every lane
            has diverged.
        """
        # By medians, in which a diverged lane ranks worst: a rate at which half of the lanes are
        # lost does not win by those that survived.
        self.metric(name)
        if name.startswith("test_"):
            raise ValueError(
                f"metric must not be of the test split, got {name!r}: choose by a valid_ metric "
                "(valid_fraction above 0)"
            )
        higher = self.direction(name, higher_is_better)
        if over not in self.axes:
            raise unknown("axis", over, self.axes)
        others = [axis for axis in self.axes if axis != over]
        summaries = self._summaries(name, higher)
        groups: dict[tuple, list[Described]] = {}
        for config, summary in zip(self.configs, summaries, strict=True):
            group = groups.setdefault(config_key(config, others), [])
            group.append((config, summary))
        return [_best_of(name, group, higher) for group in groups.values()]

    def plot(self, name: str):
        """Draws every config's median curve with bands that hold 50 and 90 % of its lanes.

        Returns:
          a matplotlib Figure.
        """
        figure, panels = plots.figure(width=8, height=5)
        axes = panels[0, 0]
        configs = self.configs
        for config, colour in zip(configs, plots.colours(len(configs)), strict=True):
            self._draw_band(axes, name, config, colour)
        part = "" if self.complete else f" ({self.footer})"
        plots.style(axes, f"{name}: median, middle 50 % and 90 % of seeds{part}", "step", name)
        if 0 < len(configs) <= MOST_LEGEND:
            axes.legend(fontsize=plots.FONT - 2)
        return figure

    def report(self, path=None, question: str | None = None) -> pathlib.Path:
        """Writes all of it as one HTML file that needs neither network nor scripts.

        Tables, curves, distributions, comparisons, what diverged or is missing, and how it was
        made; every figure with its numbers in words.

        Args:
          path: of the file; report.html in the run folder by default.
          question: its title; made of what was swept and measured where not given.

        Returns:
          the path.

        Raises:
          ValueError: no path, and none of a run folder.
        """
        if path is not None:
            file = folder("path", path)
        elif self.path is not None:
            file = self.path / reports.REPORT
        else:
            raise ValueError("path must be given for a result that has no run folder, got None")
        return reports.write(file, reports.page([reports.reported("", self)], question))

    def _draw_band(
        self,
        axes,
        name: str,
        config: dict,
        colour,
    ):
        rows = self.rows(config)
        # Lanes of one config have one schedule.
        steps = self.steps if self.steps.ndim == 1 else self.steps[rows[0]]
        due = steps >= 0
        pairs = [f"{key}={value}" for key, value in config.items()]
        values = ", ".join(pairs)
        plots.band(
            axes,
            steps[due],
            self.metric(name)[rows][:, due],
            f"{values or 'all lanes'} (n={len(rows)})",
            colour,
            diverged=self.lost(rows)[:, due],
            higher_is_better=bool(self._direction_if_any(name)),
        )


def _best_of(name: str, group: list[Described], higher_is_better: bool) -> dict:
    """The best config of a group."""
    if not any(summary.survived for _, summary in group):
        configs = [config for config, _ in group[:5]]
        raise ValueError(
            f"{name} must be finite in some lane, got none that survived among {configs}"
        )
    # The first of equals, as `max` takes it: configs stand in declared order.
    return max(group, key=lambda pair: stats.preference(pair[1], higher_is_better))[0]


def load(path) -> Result:
    """Reads a run back, finished or not, under any version of jax.

    Says on stderr where lanes are missing.

    Raises:
      ValueError: there is no run in that folder, or its manifest is not as it was written.
    """
    run = folder("path", path)
    manifest = store.read_manifest(run)
    if manifest is None:
        raise ValueError(f"path must be a run folder, got {path}, which has no {store.MANIFEST}")
    manifest = manifests.checked(manifest, run)
    return told(collect(manifest, dict(store.stored_blocks(run)), run))


def told(result: Result) -> Result:
    """Gives the result back; says in a line on stderr how many of its lanes are missing, if any."""
    if not result.complete:
        say(
            f"{result.path} holds {result.footer}: the others are not trained yet or damaged; run "
            "the study again for them"
        )
    return result


def collect(
    manifest: dict,
    blocks: dict[int, dict],
    path: pathlib.Path | None = None,
    configs=None,
    seeds=None,
) -> Result:
    """Makes the result that blocks hold, by config and then by seed.

    Args:
      configs, seeds: those that are wanted; all of the run by default.
    """
    curves = collect_curves(manifest, blocks, configs, seeds)
    return Result(
        curves.lanes,
        curves.history,
        curves.steps,
        manifest["axes"],
        path,
        curves.planned,
        manifest["metrics"],
        curves.absent,
    )
