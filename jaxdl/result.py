"""Result: what a study found, one row a lane."""

from collections.abc import Mapping

import numpy as np

from jaxdl.checks import brief, folder, unknown
from jaxdl.reporting import plots, stats, tables
from jaxdl.running import manifest as manifests
from jaxdl.running import store
from jaxdl.running.manifest import config_key
from jaxdl.running.progress import say

SPLITS = ("train_", "valid_", "test_")


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
        history: dict[str, np.ndarray],
        steps: np.ndarray,
        axes,
        path=None,
        planned: int | None = None,
        metrics: dict[str, bool] | None = None,
    ):
        self.lanes, self.history, self.steps, self.axes, self.path = (
            lanes,
            history,
            steps,
            tuple(axes),
            path,
        )
        self.missing = 0 if planned is None else planned - len(lanes)
        self.metrics = dict(metrics or {})
        self._without: dict[
            str, set[int]
        ] = {}  # name -> rows whose task has no such metric; see `collect`
        self._rows: dict[tuple, list[int]] = {}  # of each config, by seed
        for row in sorted(range(len(lanes)), key=lambda row: lanes[row]["seed"]):
            self._rows.setdefault(config_key(lanes[row], self.axes), []).append(row)

    def __repr__(self) -> str:
        return f"Result({self._count}, {len(self.configs)} configs, {len(self.history)} metrics)"

    @property
    def complete(self) -> bool:
        """Whether every planned lane is there."""
        return not self.missing

    @property
    def _count(self) -> str:
        some = f"{len(self.lanes)} of {len(self.lanes) + self.missing}"
        return f"{len(self.lanes) if self.complete else some} lanes"

    @property
    def footer(self) -> str:
        """What tables and figures of a partial result say below: ``"48 of 80 lanes"``; empty for a
        whole one."""
        return "" if self.complete else self._count

    @property
    def configs(self) -> list[dict]:
        """The configs, in order."""
        first = sorted(rows[0] for rows in self._rows.values())
        return [{name: self.lanes[row][name] for name in self.axes} for row in first]

    @property
    def diverged(self) -> np.ndarray:
        """Which lanes have diverged, (lanes,) bool."""
        return np.array([lane["status"] == "diverged" for lane in self.lanes], bool)

    def rows(self, config: dict) -> np.ndarray:
        """The row numbers of the lanes that have these values, in the order of their seeds.

        Raises:
          ValueError: an unknown name, or no such lane.
        """
        fitting = match(self.configs, config)
        if not fitting:
            raise ValueError(
                f"config must fit some lane, got {brief(config)}; configs are {self.configs[:5]}"
            )
        chosen = [row for each in fitting for row in self._rows[config_key(each, self.axes)]]
        return np.array(sorted(chosen, key=lambda row: self.lanes[row]["seed"]))

    def metric(self, name: str) -> np.ndarray:
        """A metric's curves, (lanes, evaluations)."""
        if not isinstance(name, str) or name not in self.history:
            raise unknown("metric", name, self.history)
        return self.history[name]

    def final(self, name: str) -> np.ndarray:
        """A metric at each lane's last evaluation, (lanes,)."""
        curves = self.metric(name)
        last = (
            self.steps.shape[-1] - 1 if self.steps.ndim == 1 else (self.steps >= 0).sum(axis=1) - 1
        )
        return curves[np.arange(len(curves)), last]

    def direction(self, name: str, higher_is_better: bool | None = None) -> bool:
        """Whether larger values of a history name are better: as declared, or as said here.

        Raises:
          ValueError: a recorded value, which has no direction, where nothing is said.
        """
        self.metric(name)
        if higher_is_better is not None:
            return higher_is_better
        if name.startswith("batch_loss_"):
            return False
        if (metric := self.metric_of(name)) not in self.metrics:
            raise ValueError(
                f"higher_is_better must be given for {name!r}, whose direction no metric declares, "
                "got None"
            )
        return self.metrics[metric]

    def metric_of(self, name: str) -> str:
        """A history name without its split: ``"accuracy"`` of ``"test_accuracy"``; else the name
        itself."""
        return name.partition("_")[2] if name.startswith(SPLITS) else name

    def summary(
        self, name: str, config: dict, higher_is_better: bool | None = None
    ) -> stats.Summary:
        """The distribution over seeds of a metric's last value.

        Args:
          name: of the history.
          config: values of swept names.
          higher_is_better: of a recorded value, which declares no direction. Where it is not given,
            the figures that rank a diverged lane worst (median and quantiles) are of the survivors.
        """
        rows = self.rows(config)
        better = self._direction_if_any(name, higher_is_better)
        return stats.summarise(self.final(name)[rows], self.diverged[rows], better)

    def _direction_if_any(self, name: str, higher_is_better: bool | None = None) -> bool | None:
        """The direction of a history name; None of a recorded value of which nothing is said."""
        known = self.metric_of(name) in self.metrics or name.startswith("batch_loss_")
        return self.direction(name, higher_is_better) if known else higher_is_better

    def _summaries(self, name: str, higher_is_better: bool | None = None) -> list[stats.Summary]:
        """The distribution over seeds of a metric's last value, by config; every lane is read
        once."""
        final, diverged = self.final(name), self.diverged
        better = self._direction_if_any(name, higher_is_better)
        without = self._without.get(
            name, set()
        )  # they did not diverge: there is nothing to say of them
        of_configs = [
            [row for row in rows if row not in without] for rows in sorted(self._rows.values())
        ]  # as `configs`
        return [stats.summarise(final[rows], diverged[rows], better) for rows in of_configs]

    def table(self, name: str) -> tables.Table:
        """A metric's last value by config: n, survived, mean, sd, median, IQM with its 95 %
        interval."""
        rows = list(zip(self.configs, self._summaries(name), strict=True))
        made = tables.summary_table(f"{name} at the last evaluation", self.axes, rows)
        return made._replace(footer=self.footer)

    def compare(
        self, name: str, a: dict, b: dict, higher_is_better: bool | None = None
    ) -> stats.Comparison:
        """Two configs on the seeds that both have: a - b, and the probability that a is better.

        Args:
          name: of the history.
          a, b: values of swept names, enough of them to name one config each.
          higher_is_better: of a recorded value, which declares no direction.
        """
        higher = self.direction(name, higher_is_better)
        sides = []
        for config in (a, b):
            rows = self.rows(config)
            seeds = [self.lanes[row]["seed"] for row in rows]
            if len(set(seeds)) != len(seeds):
                raise ValueError(
                    f"config must name one config, got {config}, which fits "
                    f"{len(match(self.configs, config))}"
                )
            sides.append(dict(zip(seeds, rows, strict=True)))
        common = sorted(set(sides[0]) & set(sides[1]))
        left, right = ([side[seed] for seed in common] for side in sides)
        values, lost = self.final(name), self.diverged
        for config, chosen in ((a, left), (b, right)):
            if self._without.get(name, set()).intersection(chosen):
                raise ValueError(
                    f"{name} must be a metric of both configs, got {brief(config)}, whose task has "
                    "none of that name"
                )
        if not common:
            raise ValueError(f"a and b must have seeds in common, got none for {a} and {b}")
        return stats.compare(values[left], values[right], lost[left], lost[right], higher)

    def best(self, name: str, over: str, higher_is_better: bool | None = None) -> list[dict]:
        """The config with the best median, for every combination of the axes other than `over`.

        Where medians tie, the one that lost fewer lanes, then the better IQM, then the first in
        declared order.

        Raises:
          ValueError: a test metric (choosing by it would leak the test set), an axis that is not
            swept, a recorded value without `higher_is_better`, or a combination in which every lane
            has diverged.
        """
        self.metric(name)
        if name.startswith("test_"):
            raise ValueError(
                f"metric must not be of the test split, got {name!r}: choose by a valid_ metric "
                "(valid_fraction above 0)"
            )
        higher = self.direction(name, higher_is_better)
        if over not in self.axes:
            raise unknown("axis", over, self.axes)
        groups: dict[tuple, list[tuple]] = {}
        others = [axis for axis in self.axes if axis != over]
        for config, summary in zip(self.configs, self._summaries(name, higher), strict=True):
            groups.setdefault(config_key(config, others), []).append((config, summary))
        return [_best_of(name, group, higher) for group in groups.values()]

    def plot(self, name: str):
        """The median curve of every config with bands that hold 50 and 90 % of its lanes: a
        matplotlib Figure."""
        made, axes = plots.figure(width=8, height=5)
        configs = self.configs
        for config, colour in zip(configs, plots.colours(len(configs)), strict=True):
            rows = self.rows(config)
            steps = self.steps if self.steps.ndim == 1 else self.steps[rows[0]]
            shown = steps >= 0
            label = ", ".join(f"{key}={value}" for key, value in config.items()) or "all lanes"
            curves = self.metric(name)[rows][:, shown]
            plots.band(
                axes[0, 0],
                steps[shown],
                curves,
                f"{label} (n={len(rows)})",
                colour,
                diverged=self.lost(rows)[:, shown],
                higher_is_better=bool(self._direction_if_any(name)),
            )
        part = "" if self.complete else f" ({self.footer})"
        plots.style(
            axes[0, 0], f"{name}: median, middle 50 % and 90 % of seeds{part}", "step", name
        )
        if 0 < len(configs) <= 12:
            axes[0, 0].legend(fontsize=plots.FONT - 2)
        return made

    def lost(self, rows) -> np.ndarray:
        """Which of the lanes have diverged by each evaluation, (rows, evaluations) bool."""
        at = np.array(
            [
                np.inf if self.lanes[row]["diverged_at"] is None else self.lanes[row]["diverged_at"]
                for row in rows
            ]
        )
        steps = self.steps if self.steps.ndim == 1 else self.steps[rows]
        return np.broadcast_to(steps, (len(rows), self.steps.shape[-1])) > at[:, None]


def _best_of(name: str, group: list[tuple], higher_is_better: bool) -> dict:
    """The best config of a group of (config, Summary)."""
    if not any(summary.survived for _, summary in group):
        configs = [config for config, _ in group[:5]]
        raise ValueError(
            f"{name} must be finite in some lane, got none that survived among {configs}"
        )
    return max(group, key=lambda pair: stats.preference(pair[1], higher_is_better))[0]


def load(path) -> Result:
    """Reads a run back, finished or not, under any version of jax; says on stderr where lanes are
    missing.

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
    """The result; says in a line on stderr how many of its lanes are missing, if any."""
    if not result.complete:
        say(
            f"{result.path} holds {result.footer}: the others are not trained yet or damaged; run "
            "the study again for them"
        )
    return result


def collect(manifest: dict, blocks: dict[int, dict], path=None, configs=None, seeds=None) -> Result:
    """The result that blocks hold, by config and then by seed; only those of `configs` and `seeds`
    where given."""
    known = {config_key(config): number for number, config in enumerate(manifest["configs"])}
    order = (
        list(known.values())
        if configs is None
        else [known[config_key(config)] for config in configs]
    )
    rank = {number: place for place, number in enumerate(order)}
    planned = manifests.planned_lanes(manifest)
    if configs is not None:
        planned = {(config, seed) for config in order for seed in seeds}
    places = _places(manifest, blocks, planned)
    found = sorted((rank[config], seed, *place) for (config, seed), place in places.items())
    lanes = [
        _lane(manifest["configs"][order[place]], seed, blocks[number], row)
        for place, seed, number, row in found
    ]
    schedules = {
        n: manifests.schedule_of(manifest, n).due() for n in range(len(manifest["programs"]))
    }
    owner = manifests.owners(manifest)
    steps = _steps([schedules[owner[order[place]]] for place, *_ in found])
    history = _history(blocks, found, steps.shape[-1])
    made = Result(lanes, history, steps, manifest["axes"], path, len(planned), manifest["metrics"])
    for name in history:
        made._without[name] = {
            place
            for place, (_, _, number, _) in enumerate(found)
            if f"history/{name}" not in blocks[number]
        }
    return made


def _places(
    manifest: dict, blocks: dict[int, dict], planned: set
) -> dict[tuple[int, int], tuple[int, int]]:
    """Where lanes stand: (config number, seed) -> (block, row); a lane in two blocks is the same in
    both."""
    places: dict[tuple[int, int], tuple[int, int]] = {}
    lanes_of = manifests.reader(manifest)
    for number in sorted(blocks):
        for row, lane in enumerate(lanes_of(blocks[number])):
            if lane is not None and lane in planned:
                places.setdefault(lane, (number, row))
    return places


def _lane(config: dict, seed: int, block: dict, row: int) -> dict:
    at = int(block["diverged_at"][row])
    status = (
        {"status": "finished", "diverged_at": None}
        if at < 0
        else {"status": "diverged", "diverged_at": at}
    )
    return {**config, "seed": seed, **status}


def _history(blocks: dict[int, dict], found: list, columns: int) -> dict[str, np.ndarray]:
    history: dict[str, np.ndarray] = {}
    for place, (_, _, number, row) in enumerate(found):
        for key, values in blocks[number].items():
            if key.startswith("history/"):
                name = key.removeprefix("history/")
                if name not in history:
                    history[name] = np.full((len(found), columns), np.nan, np.float32)
                history[name][place, : values.shape[1]] = values[row]
    return history


def _steps(schedules: list[tuple]) -> np.ndarray:
    """The step of each column: shared by all lanes, or one row a lane that ends in -1."""
    if len(set(schedules)) <= 1:
        return np.array(schedules[0] if schedules else (), np.int64)
    widest = max(map(len, schedules))
    return np.array([[*due, *[-1] * (widest - len(due))] for due in schedules])


def match(configs, wanted: dict) -> list[dict]:
    """The configs that have the wanted values."""
    if not isinstance(wanted, Mapping):
        raise ValueError(f"config must be a dict of name -> value, got {brief(wanted)}")
    for name, value in wanted.items():
        if getattr(value, "shape", ()):
            raise ValueError(f"config must hold one value of {name}, got {brief(value)}")
        if configs and name not in configs[0]:
            raise unknown("axis", name, configs[0])
    return [
        config for config in configs if all(config[name] == value for name, value in wanted.items())
    ]
