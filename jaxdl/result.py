"""Result: what a study found, one row a lane."""

import itertools
import os
import pathlib
from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from jaxdl.checks import brief, flag, folder, integer, one_of, unknown
from jaxdl.metrics import is_cell
from jaxdl.pages import report as reports
from jaxdl.planning.config import config_key
from jaxdl.reporting import choosing, frames, looks, panels, stats, tables
from jaxdl.reporting.intervals import TOO_FEW
from jaxdl.reporting.words import html_table
from jaxdl.running import manifest as manifests
from jaxdl.running import store
from jaxdl.running.configs import match
from jaxdl.running.curves import collect as collect_curves
from jaxdl.running.files import write_atomically
from jaxdl.running.narrow import Narrowed
from jaxdl.running.progress import say

SPLITS = ("train_", "valid_", "test_")
Untrained = list[tuple[dict, list[int]]]  # configs, and the seeds that each of them lacks
MOST_ROWS = 50  # of a table that nobody asked for
LAST = "at the last evaluation"


class Result:
    """What a study found.

    ``len(result)`` is the number of its lanes, ``result["test_accuracy"]`` the curves of a metric.

    Attributes:
      lanes: list of dicts with every swept name, seed, status (``"finished"`` or ``"diverged"``)
        and diverged_at; of a study with `Seeds` also ``seed_init``, ``seed_data``...
      history: name -> float32 (lanes, evaluations), rows aligned with `lanes`.
      steps: the step of each column, (evaluations,); (lanes, evaluations) with -1 beyond a lane's
        end where configs have their own schedules.
      axes: the swept names.
      path: the run folder, or None.
      metrics: name without its split -> whether higher is better, as the tasks declare.
      missing: how many of the planned lanes are not there: not trained yet, or damaged on disk.
      crossed: how many seeds each random stream has, where several are crossed (`Seeds`); else
        empty. Crossed lanes share seeds: they are no independent sample, and have no intervals.
      narrowed: what a study that adds seeds (``until=``) has stopped at, with the intervals that
        are valid for it; None of any other, and of a run that is read back.
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
        untrained: Untrained | None = None,
        when: str = LAST,
    ):
        self.lanes = lanes
        self.history = history
        self.steps = steps
        self.axes = tuple(axes)
        self.path = path
        self.missing = 0 if planned is None else planned - len(lanes)
        self.metrics = dict(metrics or {})
        self.narrowed: Narrowed | None = None
        self.crossed = _crossed_streams(lanes, self.axes)
        # Rows whose task has no metric of a name: these lanes did not diverge.
        self._absent = dict(absent or {})
        # Which lanes are missing; not known of a result that was made of a count.
        self._untrained = list(untrained or [])
        self._when = when  # which evaluation of a lane is its last one here
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

    __iter__ = None  # by lanes or by metrics? `lanes` and `history` say which

    def __len__(self) -> int:
        return len(self.lanes)

    def __getitem__(self, name: str) -> Float[np.ndarray, "lanes evaluations"]:
        return self.metric(name)

    def _ipython_key_completions_(self) -> list[str]:
        return list(self.history)

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
    def sharing(self) -> str:
        """Says why there are no intervals over crossed lanes; empty where lanes are independent."""
        if not self.crossed:
            return ""
        levels = " x ".join(f"{count} {name}" for name, count in self.crossed.items())
        return (
            f"lanes share seeds ({levels}): no interval takes them as independent; "
            "stats.variance_shares says what each stream contributes"
        )

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

    def where(self, /, **values) -> "Result":
        """Takes the lanes that have these values: a result like any other.

        `missing` counts the lanes that such a study still lacks.

        Args:
          values: of swept names and of ``seed``; several of a name as a list.

        Raises:
          ValueError: an unknown name, a value that no lane has, values that no lane has together.
        """
        seeds = values.pop("seed", None)
        untrained = [config for config, _ in self._untrained]
        kept = {config_key(each, self.axes) for each in _fitting(self.configs + untrained, values)}
        wanted = None if seeds is None else self._known_seeds(seeds)

        def takes(config: dict, seed: int) -> bool:
            return config_key(config, self.axes) in kept and (wanted is None or seed in wanted)

        rows = [row for row, lane in enumerate(self.lanes) if takes(lane, lane["seed"])]
        lacking: Untrained = []
        for config, absent in self._untrained:
            theirs = [seed for seed in absent if takes(config, seed)]
            if theirs:
                lacking.append((config, theirs))
        if not rows and not lacking:
            raise ValueError(f"some lane must have all of these values, got {brief(values)}")
        return self._part(np.array(rows, int), lacking)

    def _known_seeds(self, wanted) -> set[int]:
        """The seeds that are wanted, each of them one of the study's."""
        seeds = _several(wanted)
        known = set(map(self._seed_of, range(len(self))))
        for _, absent in self._untrained:
            known.update(absent)
        for seed in seeds:
            if not integer(seed) or seed not in known:
                raise ValueError(f"seed must be one of the {len(known)} here, got {brief(seed)}")
        return {int(seed) for seed in seeds}

    def _part(self, rows: Int[np.ndarray, " rows"], untrained: Untrained) -> "Result":
        """The result of some rows, and of some of the missing lanes."""
        steps = self.steps if self.steps.ndim == 1 else self.steps[rows]
        history = {name: curves[rows] for name, curves in self.history.items()}
        if steps.ndim == 2 and len(rows) and (steps == steps[0]).all():
            # One schedule is left: a step a column, as for every study of one schedule.
            steps = steps[0][steps[0] >= 0]
            history = {name: curves[:, : len(steps)] for name, curves in history.items()}
        absent = {}
        for name, without in self._absent.items():
            absent[name] = {place for place, row in enumerate(rows) if row in without}
            if len(rows) and len(absent[name]) == len(rows):
                del history[name]  # a metric of other tasks alone
        # Of a result made of a count nobody knows whose lanes are missing: perhaps these.
        lacking = sum(len(seeds) for _, seeds in untrained) if self._untrained else self.missing
        return Result(
            [self.lanes[row] for row in rows],
            history,
            steps,
            self.axes,
            self.path,
            len(rows) + lacking,
            self.metrics,
            absent,
            untrained,
            self._when,
        )

    def columns(self, curves: bool = False) -> frames.Columns:
        """Gives the tidy table as columns, name -> values, of which every data frame can be made.

        A row a lane: its row number, what was swept, seed, status, diverged_at, and the last value
        of every metric. With `curves` a row an evaluation: the same beginning, its ``step``,
        ``diverged`` (whether the lane was lost by then, and so stands still), and every metric.

        A swept None is the text ``"None"``, and where 1 and 1.0 are two configs both are texts: a
        grouping would drop the one and join the other. A swept name that another column has stands
        as ``hp.NAME``.
        """
        if flag("curves", curves):
            return frames.curve_columns(self._tidy)
        last = {name: self.final(name) for name in self.history}
        return frames.lane_columns(self._tidy, last)

    @property
    def _tidy(self) -> frames.Lanes:
        steps = np.broadcast_to(self.steps, (len(self), self.steps.shape[-1]))
        return frames.Lanes(self.axes, self.lanes, self.history, steps)

    @property
    def _about(self) -> dict[str, int]:
        """What a data frame says of itself beside its rows."""
        return {"lanes": len(self), "missing": self.missing}

    def to_pandas(self, curves: bool = False):
        """Makes a pandas DataFrame of `columns`; its ``attrs`` say how many lanes are missing.

        Raises:
          ImportError: pandas is not installed.
        """
        return frames.data_frame(self.columns(curves), self._about)

    def to_xarray(self):
        """Makes an xarray Dataset of the curves, and of what is known of the lanes as coordinates.

        Where the lanes are a full product (every combination of values, every seed), its axes and
        ``seed`` are dimensions beside ``evaluation``; else there is one of ``lane``. ``diverged``
        is as in `columns`: ``found.where(~found.diverged)`` leaves frozen values out.

        Raises:
          ImportError: xarray is not installed.
        """
        return frames.labelled_arrays(self._tidy, self._about)

    def to_csv(self, path: str | os.PathLike, curves: bool = False) -> int:
        """Writes `columns` as a CSV file, which appears whole or not at all.

        Returns:
          the number of its rows.
        """
        columns = self.columns(curves)
        write_atomically(folder("path", path), frames.to_csv(columns).encode())
        return len(columns["lane"])

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
        return self._sure(stats.summarise(final[rows], diverged[rows], better))

    def _sure_comparison(self, compared: stats.Comparison) -> stats.Comparison:
        """A comparison without its intervals, where lanes are not independent."""
        if not self.crossed:
            return compared
        return compared._replace(difference_interval=TOO_FEW, improvement_interval=TOO_FEW)

    def _sure(self, summary: stats.Summary) -> stats.Summary:
        """A summary without its intervals, which take lanes as independent, where they are not."""
        if not self.crossed:
            return summary
        return summary._replace(
            iqm_interval=TOO_FEW, mean_interval=TOO_FEW, median_interval=TOO_FEW
        )

    def _summaries(
        self, name: str, higher_is_better: bool | None = None, most: int | None = None
    ) -> list[stats.Summary]:
        """The distribution over seeds of a metric's last value, one a config, of the first ones."""
        # Once for all configs: 400,000 lanes read again for each of 400 configs took 20 s.
        final, diverged = self.final(name), self.diverged
        better = self._direction_if_any(name, higher_is_better)
        absent = self._absent.get(name, set())
        summaries = []
        for rows in itertools.islice(self._rows.values(), most):
            measured = [row for row in rows if row not in absent]
            summaries.append(stats.summarise(final[measured], diverged[measured], better))
        return list(map(self._sure, summaries)) if self.crossed else summaries

    def table(self, name: str) -> tables.Table:
        """Tabulates a metric's last value by config: n, survived, mean, sd, median, IQM."""
        return self._table(name)

    def _table(self, name: str, most: int | None = None) -> tables.Table:
        """The table of the first configs; it says how many more there are."""
        configs = self.configs[:most]
        rows = list(zip(configs, self._summaries(name, most=most), strict=True))
        table = tables.summary_table(f"{name} {self._when}", self.axes, rows)
        more = len(self.configs) - len(configs)
        notes = [f"and {more} more configs: result.table({name!r})"] if more else []
        if self.footer:
            notes.append(self.footer)
        if self.crossed:
            # "n too small" would be another reason
            table = table._replace(rows=tuple((*row[:-1], None) for row in table.rows))
            notes.append(self.sharing)
        if self.narrowed is not None:
            notes += str(self.narrowed).splitlines()
        return table._replace(footer="\n  ".join(notes))

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
        compared = stats.compare(
            final[left],
            final[right],
            diverged[left],
            diverged[right],
            higher,
        )
        return self._sure_comparison(compared)

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

    def best(
        self,
        name: str,
        over: str | Sequence[str] | None = None,
        higher_is_better: bool | None = None,
        at: str = "last",
    ) -> choosing.Choices:
        """Chooses the config with the best median, for every combination of the other axes.

        Where medians tie, the one that lost fewer lanes, then the better IQM, then the first in
        declared order.

        Args:
          name: of the history.
          over: the axis to choose along, or several; all of them by default.
          higher_is_better: of a recorded value, which declares no direction.
          at: ``"last"``, each lane's last evaluation, or ``"best"``, its best one, see `at_best`.

        Returns:
          the configs, a list of dicts; printed, a table with each runner-up, the difference to it
          with its interval, and whether that tells the two apart (`Choices.choices`).

        Raises:
          ValueError: a test metric (choosing by it would leak the test set), an axis that is not
            swept, a recorded value without `higher_is_better`, or a combination in which every lane
            has diverged.
        """
        # By medians, in which a diverged lane ranks worst: a rate at which half of the lanes are
        # lost does not win by those that survived.
        self._check_choosing(name)
        higher = self.direction(name, higher_is_better)
        if one_of("at", at, ("last", "best")) == "best":
            return self.at_best(name, higher).best(name, over, higher)
        along = self.axes if over is None else self._axes_of(over)
        if not along and over is not None:
            raise ValueError(f"over must name an axis, got {brief(over)}")
        others = [axis for axis in self.axes if axis not in along]
        summaries = self._summaries(name, higher)
        groups: dict[tuple, list[choosing.Described]] = {}
        for config, summary in zip(self.configs, summaries, strict=True):
            group = groups.setdefault(config_key(config, others), [])
            group.append((config, summary))
        final, diverged = self.final(name), self.diverged
        choices = []
        for group in groups.values():
            alive = choosing.ordered(name, group, higher)
            choices.append(self._choice(alive, len(group), final, diverged, higher))
        words = f"{name} {self._when}"
        notes = [self.footer] if self.footer else []
        if self.crossed:
            notes.append(self.sharing)
        footer = "\n  ".join(notes)
        independent = not self.crossed
        return choosing.Choices(choices, words, self.axes, along, higher, footer, independent)

    def _choice(
        self,
        alive: list[choosing.Described],
        count: int,
        final: Float[np.ndarray, " lanes"],
        diverged: Bool[np.ndarray, " lanes"],
        higher_is_better: bool,
    ) -> choosing.Choice:
        """The first of a group's configs, which stand in order, beside the second."""
        config, summary = alive[0]
        other, other_summary = alive[1] if len(alive) > 1 else (None, None)
        comparison = None
        if other is not None:
            mine, theirs = self._row_by_seed(config), self._row_by_seed(other)
            common = sorted(mine.keys() & theirs.keys())
            left, right = [mine[seed] for seed in common], [theirs[seed] for seed in common]
            if common:
                compared = stats.compare(
                    final[left],
                    final[right],
                    diverged[left],
                    diverged[right],
                    higher_is_better,
                )
                comparison = self._sure_comparison(compared)
        ties = choosing.ties_of(alive, higher_is_better)
        return choosing.Choice(
            config,
            summary,
            other,
            other_summary,
            comparison,
            ties,
            count - 1,
        )

    def _check_choosing(self, name: str):
        """Refuses a metric that nothing may be chosen by."""
        self.metric(name)
        if name.startswith("test_"):
            raise ValueError(
                f"metric must not be of the test split, got {name!r}: choose by a valid_ metric "
                "(valid_fraction above 0)"
            )

    def at_best(self, name: str, higher_is_better: bool | None = None) -> "Result":
        """Takes every lane where a metric was best: early stopping, after the fact.

        Args:
          name: the metric to stop by, mostly ``"valid_loss"``. The first of equals counts, and
            nothing that a lane was evaluated at after it had diverged; such a lane still counts as
            diverged.
          higher_is_better: of a recorded value, which declares no direction.

        Returns:
          a result with one evaluation a lane, whose `steps` (lanes, 1) say which: its tables,
          comparisons and choices are of all metrics there. It has no curves to plot.

        Raises:
          ValueError: a test metric (stopping by it would leak the test set), a recorded value
            without `higher_is_better`.
        """
        self._check_choosing(name)
        higher = self.direction(name, higher_is_better)
        curves = self.metric(name)
        steps = self._tidy.steps
        counts = (steps >= 0) & np.isfinite(curves) & ~self.lost(range(len(self)))
        worst = -np.inf if higher else np.inf
        ranked = np.where(counts, curves, worst)
        best = ranked.argmax(axis=1) if higher else ranked.argmin(axis=1)
        # Where nothing counts, the beginning is all that a lane has.
        rows = np.arange(len(self))
        return Result(
            self.lanes,
            {each: values[rows, best][:, None] for each, values in self.history.items()},
            steps[rows, best][:, None],
            self.axes,
            self.path,
            len(self) + self.missing,
            self.metrics,
            self._absent,
            self._untrained,
            f"at each lane's best {name}",
        )

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

    def plot(
        self,
        name: str,
        hue: str | Sequence[str] | None = None,
        style: str | Sequence[str] | None = None,
        col: str | Sequence[str] | None = None,
        ax=None,
    ):
        """Draws every config's median curve with bands that hold 50 and 90 % of its lanes.

        No two configs look the same: an axis that is given no role gets one, colours first. In a
        panel of more than a dozen configs bands are left out. Limits are those of what is drawn;
        where that spans three decades the scale is logarithmic.

        Args:
          name: of the history.
          hue, style, col: the axes (several together, as a list) that colours, line styles and
            panels stand for. Many values of an axis are shades, with a colour bar for a legend.
          ax: matplotlib axes to draw in, in place of a figure of its own; it has no panels.

        Returns:
          a matplotlib Figure, which a notebook shows as a picture; that of `ax` if given.

        Raises:
          ValueError: an unknown name, `col` beside `ax`, more values than line styles or panels.
        """
        self.metric(name)
        if self._when != LAST:
            raise ValueError(
                f"plot must be of a result with curves, got one {self._when}, a value a lane"
            )
        given = looks.Roles(
            self._axes_of(hue),
            self._axes_of(style),
            self._axes_of(col),
        )
        if ax is not None and given.col:
            raise ValueError(f"col must not be given beside ax, got {brief(col)}")
        curves = [self._curves(name, config) for config in self.configs]
        better = bool(self._direction_if_any(name))
        return panels.draw(curves, self.axes, name, better, given, ax, self.footer)

    def _axes_of(self, names: str | Sequence[str] | None) -> tuple[str, ...]:
        """Axes as they are given: none, one, or several."""
        if names is None:
            return ()
        listed: list = list(names) if isinstance(names, (list, tuple)) else [names]
        for name in listed:
            if name not in self.axes:
                raise unknown("axis", name, self.axes)
        return tuple(listed)

    def _curves(self, name: str, config: dict) -> panels.Curves:
        rows = self.rows(config)
        # Lanes of one config have one schedule.
        steps = self.steps if self.steps.ndim == 1 else self.steps[rows[0]]
        due = steps >= 0
        return panels.Curves(
            config,
            steps[due],
            self.metric(name)[rows][:, due],
            self.lost(rows)[:, due],
        )

    def _repr_html_(self) -> str:
        if not len(self) or not self.history:
            return html_table(repr(self), ("axis",), [[name] for name in self.axes])
        name = usual_metric(self.history)
        table = self._table(name, MOST_ROWS)
        return table._replace(title=f"{self!r}\n{table.title}")._repr_html_()


def _crossed_streams(lanes: list[dict], axes: tuple[str, ...]) -> dict[str, int]:
    counts = {}
    for name in frames.SEEDS:
        if lanes and name in lanes[0] and name not in axes:
            count = len({lane[name] for lane in lanes})
            if count > 1:
                counts[name.removeprefix("seed_")] = count
    return counts if len(counts) > 1 else {}


def _several(values) -> list:
    """What was given as one value or as several of them."""
    if isinstance(values, (list, tuple, set, frozenset, range, np.ndarray)):
        return list(values)
    return [values]


def _fitting(configs: list[dict], wanted: dict) -> list[dict]:
    """The configs that have one of the wanted values of every name.

    Raises:
      ValueError: an unknown name, or a value that none of them has.
    """
    choices = {name: _several(values) for name, values in wanted.items()}
    for name, values in choices.items():
        for value in values:
            if not match(configs, {name: value}):
                known = list(dict.fromkeys(str(config[name]) for config in configs))
                listed = ", ".join(known[:10]) + ", ..." * (len(known) > 10)
                raise ValueError(f"{name} must be a value of some lane ({listed}), got {value!r}")
    fitting = []
    for combination in itertools.product(*choices.values()):
        fitting += match(configs, dict(zip(choices, combination, strict=True)))
    return fitting


def usual_metric(names: Iterable[str]) -> str:
    """Picks the metric to show where none is asked for: the last one of the test split, the loss or
    a cell of a confusion matrix only if there is no other."""
    of_test = [name for name in names if name.startswith("test_")] or list(names)
    return sorted(of_test, key=lambda name: name != "test_loss" and not is_cell(name))[-1]


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
    for stream in _inert_streams(result):
        say(
            f"seeds of {stream} change nothing here: lanes that differ in them alone are copies of "
            "each other"
        )
    return result


def _inert_streams(result: Result) -> list[str]:
    """The streams whose seeds were varied and moved no bit of any lane: nothing draws from them."""
    # Twenty copies of a lane look like a very sure sample of twenty.
    inert = []
    for name in frames.SEEDS:
        if not result.lanes or name not in result.lanes[0] or name in result.axes:
            continue
        others = [other for other in frames.SEEDS if other != name]
        first: dict[tuple, int] = {}
        pairs = []
        for row, lane in enumerate(result.lanes):
            key = (config_key(lane, result.axes), *(lane[other] for other in others))
            pairs.append((first.setdefault(key, row), row))
        copies = [pair for pair in pairs if pair[0] != pair[1]]
        if copies and _all_equal(result.history, np.array(copies)):
            inert.append(name.removeprefix("seed_"))
    return inert


def _all_equal(history: dict[str, np.ndarray], pairs: Int[np.ndarray, "pairs 2"]) -> bool:
    left, right = pairs.T
    return all(
        np.array_equal(curves[left], curves[right], equal_nan=True) for curves in history.values()
    )


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
        curves.untrained,
    )
