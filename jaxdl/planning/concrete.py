"""What a plan learns from concrete values: checks that no trace can make, and notes for readers."""

from collections.abc import Iterable, Sequence
from typing import Any

import jax
import numpy as np

from jaxdl import metrics, train
from jaxdl.planning.config import Config, value_key
from jaxdl.planning.program import Program, concrete_recipe
from jaxdl.planning.slow import slow_notes
from jaxdl.planning.spec import Parts
from jaxdl.sampling import seed_key


def check_values(parts: Parts, configs: Sequence[Config]) -> dict[str, bool]:
    """Makes task, model and optimizer once with every swept value as given.

    Returns:
      name -> whether higher is better, of all metrics of the study.

    Raises:
      ValueError: a metric has both directions. What the user's code raises gets a note with which
        value it did.
    """
    declared: dict[str, bool] = {}
    for config, label in _with_every_value(configs):
        try:
            directions = train.directions(concrete_recipe(parts, config).task)
        except Exception as failure:
            failure.add_note(f"with {label}")
            raise
        for name, higher in directions.items():
            if declared.setdefault(name, higher) != higher:
                raise ValueError(
                    f"metric {name!r} must have one direction in all configs, got both, the other "
                    f"one with {label}"
                )
    return declared


def _with_every_value(configs: Sequence[Config]) -> list[tuple[Config, str]]:
    """Configs in which every swept value occurs, each with a word on the value it stands for."""
    if not configs[0].values:
        return [(configs[0], "the defaults")]
    pairs = []
    for name in configs[0].values:
        first_with: dict[tuple, Config] = {}
        for config in reversed(configs):
            first_with[value_key(config.values[name])] = config
        for config in first_with.values():
            pairs.append((config, f"{name}={config.values[name]!r}"))
    return pairs


def check_targets(parts: Parts, programs: Iterable[Program]):
    """Checks shared targets against a model's outputs, and what a loss or metric is defined for.

    Raises:
      ValueError: a target lies beyond them.
    """
    for program in programs:
        sizes = program.names("padded")  # the number of outputs may be one of them
        by_sizes: dict[tuple, Config] = {}
        for config in program.configs:
            by_sizes[tuple(config.value(name) for name in sizes)] = config
        for config in by_sizes.values():
            recipe = concrete_recipe(parts, config)
            if not callable(recipe.task.data):
                train.check_shared_targets(recipe.task, recipe.model, recipe.task.data)


def notes(parts: Parts, programs: Iterable[Program]) -> tuple[str, ...]:
    """Says what a reader should know before the run, a line each."""
    lines: list[str] = []
    for program in programs:
        lines += _notes_on(parts, program)
    return tuple(dict.fromkeys(lines))


def _notes_on(parts: Parts, program: Program) -> list[str]:
    recipe = concrete_recipe(parts, program.configs[0])
    lines = []
    if not depends_on_key(recipe.model.init):
        lines.append(
            "initial weights do not depend on the seed: every lane starts from the same ones"
        )
    params, _ = jax.eval_shape(recipe.model.init, seed_key(0))
    opt_state = jax.eval_shape(recipe.optimizer.init, params)
    if parts.eval_params is None and _keeps_averages(opt_state):
        lines.append(
            "the optimizer averages weights (schedule-free); those evaluated are not the averages: "
            "give eval_params"
        )
    lines += _undefined_areas(recipe)
    return lines + slow_notes(parts, program, recipe.model)


def _undefined_areas(recipe: train.Recipe) -> list[str]:
    """Says in which splits an area under the ROC curve is not defined, where data are at hand."""
    task = recipe.task
    areas = [name for name, metric in task.metrics.items() if metrics.is_auc(metric)]
    if not areas or callable(task.data):
        return []
    outputs = train.outputs_like(task, recipe.model, task.data)
    classes = range(max(2, outputs.shape[0]))
    lines = []
    for split, (_, targets) in train.splits(task.data).items():
        there = {round(float(target)) for target in np.unique(targets)}
        absent = [number for number in classes if number not in there]
        for name in areas if absent else ():
            lines.append(
                f"{split}_{name} is not defined, so NaN: no example of the split is of class "
                f"{absent[0]}"
            )
    return lines


def _keeps_averages(opt_state: Any) -> bool:
    """Whether a schedule-free state is in an optimizer's."""

    def schedule_free(node) -> bool:
        return type(node).__name__ == "ScheduleFreeState"

    return any(map(schedule_free, jax.tree.leaves(opt_state, is_leaf=schedule_free)))


def depends_on_key(init) -> bool:
    """Tells whether some initial weight is computed from the key.

    One that is drawn by NumPy is the same in all lanes.
    """
    # One pass forward: what an equation computes from the key, or from what came of it, depends on
    # it. A loop or a call counts as one equation.
    jaxpr = jax.make_jaxpr(lambda key: init(key)[0])(seed_key(0)).jaxpr
    from_key = set(jaxpr.invars)

    def depends(value) -> bool:
        return not hasattr(value, "val") and value in from_key  # a literal has a value already

    for equation in jaxpr.eqns:
        if any(map(depends, equation.invars)):
            from_key.update(equation.outvars)
    return not jaxpr.outvars or any(map(depends, jaxpr.outvars))
