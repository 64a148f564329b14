"""The contracts that everything else is written against.

Arrays are batch-last: points are ``(features, batch)``, sequences ``(time, features, batch)``,
images ``(channels, height, width, batch)``. Weights are ``(out, in)``.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.checks import brief, check_name


class Model(NamedTuple):
    """A pair of pure functions."""

    init: Callable  # (key) -> (params, state); state is () for most models
    apply: Callable  # (params, state, x, *, key=None, train=False) -> (outputs, state)


class Dataset(NamedTuple):
    """Arrays with the batch axis last; the validation split is optional."""

    train_x: Any
    train_targets: Any
    test_x: Any
    test_targets: Any
    valid_x: Any = None
    valid_targets: Any = None


class Metric(NamedTuple):
    """A value per example, and which direction of it is better: declared, never guessed from a
    name."""

    function: Callable  # (outputs, targets) -> per-example value, shape (batch,)
    higher_is_better: bool


class Task(NamedTuple):
    """What is learned: where data come from, what is minimised and measured, how batches come
    about.

    Constructed by keyword. What the trainer draws (`batch` None) follows the study's `sampling`; a
    task that brings its own batches may not be given one.
    """

    data: Any  # (key) -> Dataset, drawn per lane; or a Dataset that all lanes share
    loss: Callable  # (outputs, targets) -> per-example loss, shape (batch,)
    metrics: dict[str, Metric]
    augment: Callable | None = None  # (key, x, targets) -> (x, targets), in training only
    prepare: Callable | None = None  # (x) -> x, in training and evaluation alike
    batch: Callable | None = None  # (dataset, key, step, batch_size) -> (x, targets, weight)


def traced(value) -> bool:
    """Whether a value is a scalar that is not at hand, because it is traced."""
    return isinstance(value, jax.core.Tracer) and value.shape == ()


def check_metrics(metrics: Mapping[str, Metric]) -> dict[str, Metric]:
    """The metrics, if each one declares its direction and is called by a name of its own.

    Raises:
      ValueError: a bare function (with what to write instead), or a name that is taken.
    """
    if not isinstance(metrics, Mapping):
        raise ValueError(f"metrics must be a dict of name -> Metric, got {brief(metrics)}")
    for name, metric in metrics.items():
        check_name("metric", name, reserved=("loss",))
        if not isinstance(metric, Metric):
            remedy = f"{name!r}: Metric(function, higher_is_better=True), or False"
            raise ValueError(
                f"metrics must declare which direction is better, got {brief(metric)}: write "
                f"{remedy}"
            )
        if not callable(metric.function) or not isinstance(metric.higher_is_better, bool):
            raise ValueError(f"metric {name!r} must be a function and a bool, got {brief(metric)}")
    return dict(metrics)


class Padded:
    """A size that differs between the lanes of one program: arrays have `max` rows, `size` of them
    live.

    It is no number: whatever would need one (a Python branch, ``range``, arithmetic) raises, so
    that code which does not understand padding is noticed and gets a program per value instead. Use
    `live`, `capacity` and `mask` on a size that may be an int or a `Padded`.
    """

    __slots__ = ("max", "size")
    __hash__ = None  # type: ignore[assignment]

    def __init__(self, size, max: int):
        self.size = size
        self.max = max

    def __repr__(self) -> str:
        return f"Padded(size={self.size}, max={self.max})"

    def _refuse(self, *_):
        raise TypeError(
            "a padded size has no single value here: use live(), capacity() or mask() of "
            "jaxdl.types"
        )

    __bool__ = __eq__ = __ne__ = __lt__ = __le__ = __gt__ = __ge__ = _refuse  # type: ignore[assignment]
    __int__ = __index__ = __float__ = __iter__ = __len__ = __getitem__ = _refuse  # type: ignore[assignment]
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
    __pow__ = __rpow__ = __neg__ = __abs__ = __jax_array__ = __array__ = _refuse


Size = int | Padded


def live(size: Size):
    """The number that counts in formulas (fan-in, a mean's denominator): an int, or a traced
    scalar."""
    return size.size if isinstance(size, Padded) else size


def capacity(size: Size) -> int:
    """The number that arrays are shaped by: always an int."""
    return size.max if isinstance(size, Padded) else size


def check_padded(name: str, size: Padded, least: int = 1):
    """Raises a ValueError for a padded size whose live part, where it is known, is not in
    least..max.

    >>> check_padded("length", Padded(9, max=5))
    Traceback (most recent call last):
    ValueError: length must be an integer from 1 to its padded maximum 5, got 9
    """
    number = None if isinstance(size.size, jax.core.Tracer) else size.size
    if size.max < least or (number is not None and not least <= number <= size.max):
        raise ValueError(
            f"{name} must be an integer from {least} to its padded maximum {size.max}, got {number}"
        )


def mask(size: Size) -> jax.Array | None:
    """Which of the `capacity` places are live, shape (capacity,), bool; None where all of them are.

    >>> mask(3) is None
    True
    >>> mask(Padded(2, max=4)).tolist()
    [True, True, False, False]
    """
    return jnp.arange(size.max) < size.size if isinstance(size, Padded) else None
