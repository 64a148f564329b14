"""Checks of functions that users hand in, of how ours are called, and of the jax they run on."""

import contextlib
import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

from jaxdl.checks.messages import brief, brief_text, nearest

F = TypeVar("F", bound=Callable[..., Any])
MEANT = {  # what others call our arguments
    "epochs": "steps",
    "iterations": "steps",
    "num_epochs": "steps",
    "lr": "defaults={'learning_rate': ...}",
    "learning_rate": "defaults={'learning_rate': ...}",
    "data": "task",
    "dataset": "task",
    "network": "model",
    "opt": "optimizer",
    "tx": "optimizer",
    "grid": "sweep",
    "params": "defaults",
    "repeats": "seeds",
    "metrics": "task",
}


def known_arguments(function: F) -> F:
    """Decorates a function so that an unknown argument is refused with the nearest known one.

    >>> known_arguments(lambda *, batch_size: batch_size)(batchsize=3)
    Traceback (most recent call last):
    TypeError: unknown argument 'batchsize': known are batch_size; did you mean 'batch_size'?
    """
    known = [name for name in inspect.signature(function).parameters if name != "self"]

    @functools.wraps(function)
    def checked(*arguments, **named):
        for name in named:
            if name not in known:
                meant = f"; did you mean {MEANT[name]!r}?" if name in MEANT else ""
                ending = meant or nearest(name, known)
                raise TypeError(f"unknown argument {name!r}: known are {', '.join(known)}{ending}")
        return function(*arguments, **named)

    return checked  # type: ignore[return-value]


def function_of(name: str, value, signature: str, *arguments, **named):
    """Returns the value, or raises a ValueError if it is no function of these arguments.

    >>> function_of("loss", lambda outputs: outputs, "(outputs, targets) -> (batch,)", None, None)
    Traceback (most recent call last):
    ValueError: loss must be a function (outputs, targets) -> (batch,), got <lambda>(outputs)
    """
    if not callable(value):
        raise ValueError(f"{name} must be a function {signature}, got {brief(value)}")
    try:
        has = inspect.signature(value)
    except (TypeError, ValueError):  # of a built-in one nothing is known
        return value
    try:
        has.bind(*arguments, **named)
    except TypeError:
        given = getattr(value, "__name__", type(value).__name__) + brief_text(str(has))
        raise ValueError(f"{name} must be a function {signature}, got {given}") from None
    return value


def check_float32():
    """Raises a ValueError where jax computes in 64 bits: draws, and so results, would be others."""
    import jax

    if jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        remedy = "`with jax.enable_x64(False):`"
        raise ValueError(
            f"jax_enable_x64 must be off, as jaxdl trains in float32: {remedy}, got True"
        )


@contextlib.contextmanager
def nan_named() -> Iterator[None]:
    """Makes a `FloatingPointError` of what a compiled program raises under `jax_debug_nans`."""
    try:
        yield
    except Exception as error:
        if type(error).__name__ != "InternalFloatingPointError":
            raise
        what = "the data, weights or metrics of a lane hold a NaN"
        raise FloatingPointError(f"jax_debug_nans is on and {what}") from None
