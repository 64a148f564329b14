"""The contracts that everything else is written against.

Arrays are batch-last: points are ``(features, batch)``, sequences ``(time, features, batch)``,
images ``(channels, height, width, batch)``. Weights are ``(out, in)``. A key is used once.

Five NamedTuples are what users hand in: `Model`, `Dataset`, `Metric`, `SplitMetric` and `Task`.
Each function in them has a Protocol here that says what it is called with and what it returns;
functions written without annotations meet it all the same. Arguments before the ``/`` may have any
name.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, ArrayLike, Float, Num, PRNGKeyArray, Shaped

from jaxdl.checks import brief, check_name
from jaxdl.sizes import Index, Padded, Size, capacity, check_padded, live, mask

AnyArray = Array | np.ndarray  # data that all lanes share come from the host
Params = Any  # a tree of float arrays, the leaves that have a gradient
State = Any  # a tree of what a model carries along untrained (running means); () for most models
Inputs = Shaped[Array, "*example batch"]  # float32, or integers where the model takes them
Targets = Shaped[Array, "*label batch"]  # class numbers (batch,), or numbers a label


@runtime_checkable
class InitFunction(Protocol):
    """Draws the parameters of a model and its state before the first step.

    `key` decides all that is random. It does not depend on the config, so that seed k starts from
    the same draws under every config; drawn with `sampling.rows`, a narrow layer has the first
    weights of a wide one.
    """

    def __call__(self, key: PRNGKeyArray, /) -> tuple[Params, State]:
        """Returns (params, state); sizes may be `Padded`, and what lies beyond is exactly zero."""


@runtime_checkable
class ApplyFunction(Protocol):
    """Computes a model's outputs for a batch.

    `train` tells a step of training from an evaluation: what is random (dropout) or looks at the
    batch as a whole (batch norm) does so only where it is True. `key` is what dropout draws from,
    another one at every step; None where nothing may be random, as in every evaluation. Examples
    must not mix where `train` is False.
    """

    def __call__(
        self,
        params: Params,
        state: State,
        x: Inputs,
        /,
        *,
        key: PRNGKeyArray | None = None,
        train: bool = False,
    ) -> tuple[Any, State]:
        """Returns (outputs, state): outputs (..., batch), the state as it was unless `train`."""


class Model(NamedTuple):
    """A pair of pure functions."""

    init: InitFunction  # (key) -> (params, state)
    apply: ApplyFunction  # (params, state, x, *, key=None, train=False) -> (outputs, state)


class RowWeights(NamedTuple):
    """How much each row of a data set counts, above 0; None for 1 each."""

    batch: Any = None  # float32 (training rows,): in the loss that a step minimises
    train: Any = None  # float32 (training rows,): in the means of an evaluation
    test: Any = None
    valid: Any = None


class Dataset(NamedTuple):
    """Arrays with the batch axis last; the validation split is optional, and so is that for
    testing, where both of its arrays are None."""

    train_x: Any  # Inputs: (features, rows), (time, features, rows), ...
    train_targets: Any  # Targets: (rows,) or (labels, rows)
    test_x: Any
    test_targets: Any
    valid_x: Any = None
    valid_targets: Any = None
    weights: RowWeights | None = None  # None: every row counts the same


@runtime_checkable
class DataFunction(Protocol):
    """Draws the data of a lane.

    `key` is the lane's seed key; draw from ``sampling.stream(key, "data")``, so that data share no
    draws with weights or batches. It does not depend on the config: seed k has the same data under
    every config. Shapes must be the same for all keys.
    """

    def __call__(self, key: PRNGKeyArray, /) -> Dataset:
        """Returns a `Dataset` of arrays of numbers."""


@runtime_checkable
class PerExample(Protocol):
    """Measures every example of a batch: a loss to minimise, or a metric to report.

    `outputs` are what the model gives, ``(classes, batch)`` for instance, and `targets` those of
    the same examples. A value depends on its own example alone: the trainer weighs them, adds them
    up and divides. A loss has a gradient in the outputs; what a function is not defined for should
    give NaN, so that the lane counts as diverged.
    """

    def __call__(self, outputs: Any, targets: Targets, /) -> Num[Array, "batch"]:
        """Returns a value per example."""


class Metric(NamedTuple):
    """A value per example, and which direction of it is better: declared, never guessed from a
    name."""

    function: PerExample  # (outputs, targets) -> per-example value, shape (batch,)
    higher_is_better: bool


@runtime_checkable
class TakeFunction(Protocol):
    """Takes of every example what a metric of a whole split is made of.

    Called with the outputs and targets of some examples at a time, as a `PerExample` is. What it
    gives of an example depends on that example alone; what it is not defined for should give NaN,
    and the metric is NaN then.
    """

    def __call__(self, outputs: Any, targets: Targets, /) -> Any:
        """Returns a tree of arrays of real numbers, (..., batch), which are kept as float32."""


@runtime_checkable
class FinishFunction(Protocol):
    """Makes the value of a whole split.

    `taken` is a tree like that of the `TakeFunction`. Where it is summed, its arrays (...) hold the
    sums over all examples, each times what it counts, and `weight` is the sum of these, a scalar:
    the number of examples, where no sample weights are given. Where it is gathered, its arrays are
    (..., rows), all examples side by side in an order that means nothing, and `weight` is (rows,).
    """

    def __call__(self, taken: Any, weight: Float[Array, "*rows"], /) -> Float[ArrayLike, ""]:
        """Returns a real scalar; NaN where the split has no value."""


class SplitMetric(NamedTuple):
    """A value of a whole split that is no mean over its examples (F1, the area under the ROC
    curve), and which direction of it is better.

    An evaluation goes through a split in chunks. Sums cost no memory whatever the number of rows;
    what is gathered costs a lane 4 bytes a number and row.
    """

    function: TakeFunction  # (outputs, targets) -> tree of (..., batch), of each example alone
    finish: FinishFunction  # (taken, weight) -> scalar
    higher_is_better: bool
    gathered: bool = False  # whether `finish` sees every example, or sums over them


@runtime_checkable
class AugmentFunction(Protocol):
    """Varies the examples of a batch at random: flips, crops, noise.

    Called in training only, before `prepare`, on the batch as it was drawn. `key` is another one at
    every step, from the lane's "augment" stream. It may change values of x and of targets, never
    the number of examples.
    """

    def __call__(self, key: PRNGKeyArray, x: Inputs, targets: Targets, /) -> tuple[Inputs, Targets]:
        """Returns (x, targets), batch axis last."""


@runtime_checkable
class PrepareFunction(Protocol):
    """Turns stored inputs into those that the model takes, such as uint8 into normalised floats.

    Called in training (after `augment`) and in evaluation alike, so it must not be random, and has
    no key.
    """

    def __call__(self, x: Inputs, /) -> Inputs:
        """Returns x for the model, batch axis last."""


@runtime_checkable
class BatchFunction(Protocol):
    """Makes the batch of a step, for a task that does not draw rows of its data set.

    `dataset` is the lane's. `key` is its shuffle key, the same at every step: fold `step` (int
    scalar, from 0) into it. `batch_size` is an int or `Padded`; a padded batch has `capacity`
    places of which the first `live` ones are examples. `weight` says how much each place counts in
    the loss: 1 for an example, 0 for a place that holds none. The mean loss is
    ``sum(weight * loss) / sum(weight)``.
    """

    def __call__(
        self, dataset: Dataset, key: PRNGKeyArray, step: Index, batch_size: Size, /
    ) -> tuple[Inputs, Targets, Float[Array, "batch"]]:
        """Returns (x, targets, weight), with one weight an example."""


@runtime_checkable
class RecordFunction(Protocol):
    """Measures a step of training: the norm of its gradients, for instance.

    `info` is a `train.StepInfo`: step, loss (the batch's mean), params (before the update), grads
    and updates. Between evaluations the smallest, the mean and the largest value are kept.
    """

    def __call__(self, info: Any, /) -> Float[ArrayLike, ""]:
        """Returns a real scalar."""


@runtime_checkable
class EvalParamsFunction(Protocol):
    """Picks the weights that evaluation uses, where the optimizer trains others.

    `params` are those that are trained, `opt_state` the optimizer's, which may hold an average of
    them (schedule-free, EMA).
    """

    def __call__(self, params: Params, opt_state: Any, /) -> Params:
        """Returns a tree like params."""


class Task(NamedTuple):
    """What is learned: where data come from, what is minimised and measured, how batches come
    about.

    Constructed by keyword. What the trainer draws (`batch` None) follows the study's `sampling`; a
    task that brings its own batches may not be given one.
    """

    data: Any  # a DataFunction, drawn per lane; or a Dataset that all lanes share
    loss: PerExample  # (outputs, targets) -> per-example loss, shape (batch,)
    metrics: Mapping[str, Metric | SplitMetric]
    augment: AugmentFunction | None = None  # (key, x, targets) -> (x, targets), in training only
    prepare: PrepareFunction | None = None  # (x) -> x, in training and evaluation alike
    batch: BatchFunction | None = None  # (dataset, key, step, batch_size) -> (x, targets, weight)
    classes: tuple | None = None  # names of the classes, by number, where labels were no numbers


def traced(value) -> bool:
    """Tells whether a value is a scalar that is not at hand, because it is traced."""
    return isinstance(value, jax.core.Tracer) and value.shape == ()


def check_metrics(
    metrics: Mapping[str, Metric | SplitMetric],
) -> dict[str, Metric | SplitMetric]:
    """Returns the metrics, if each one declares its direction and is called by a name of its own.

    Raises:
      ValueError: a bare function (with what to write instead), or a name that is taken.
    """
    if not isinstance(metrics, Mapping):
        raise ValueError(f"metrics must be a dict of name -> Metric, got {brief(metrics)}")
    for name, metric in metrics.items():
        check_name("metric", name, reserved=("loss",))
        if not isinstance(metric, (Metric, SplitMetric)):
            remedy = f"{name!r}: Metric(function, higher_is_better=True), or False"
            raise ValueError(
                f"metrics must declare which direction is better, got {brief(metric)}: write "
                f"{remedy}"
            )
        if not callable(metric.function) or not isinstance(metric.higher_is_better, bool):
            raise ValueError(f"metric {name!r} must be a function and a bool, got {brief(metric)}")
        if isinstance(metric, SplitMetric):
            _check_split_metric(name, metric)
    return dict(metrics)


def _check_split_metric(name: str, metric: SplitMetric):
    """Refuses a metric of a whole split whose own fields are not what they are called."""
    if not callable(metric.finish):
        wanted = "a function (taken, weight) -> scalar"
        raise ValueError(f"finish of metric {name!r} must be {wanted}, got {brief(metric.finish)}")
    if not isinstance(metric.gathered, bool):
        given = brief(metric.gathered)
        raise ValueError(f"gathered of metric {name!r} must be True or False, got {given}")


__all__ = [
    "AnyArray",
    "ApplyFunction",
    "AugmentFunction",
    "BatchFunction",
    "DataFunction",
    "Dataset",
    "EvalParamsFunction",
    "FinishFunction",
    "Index",
    "InitFunction",
    "Inputs",
    "Metric",
    "Model",
    "Padded",
    "Params",
    "PerExample",
    "PrepareFunction",
    "RecordFunction",
    "RowWeights",
    "Size",
    "SplitMetric",
    "State",
    "TakeFunction",
    "Targets",
    "Task",
    "capacity",
    "check_metrics",
    "check_padded",
    "live",
    "mask",
    "traced",
]
