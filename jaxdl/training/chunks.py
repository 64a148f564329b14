"""Chunks of an evaluation: how many examples at a time, so that memory stays bounded."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from jaxdl.training.recipe import Recipe, rows_at_a_time

# On CPU 500 to 1000 images at a time are evaluated fastest (a CNN on pictures of 32x32). More rows
# would only cost memory: as many lanes are vmapped as keep a step's arrays in a core's cache, and
# each of them holds a chunk.
MOST_ROWS = 1024
# Of the widest array of a chunk; two or three of its kind are alive at a time.
MOST_BYTES = 2**26


class Examples(NamedTuple):
    """What is evaluated: all rows of x and targets, or those that `order` lists."""

    x: Any  # (..., rows)
    targets: Any  # (..., rows)
    order: Any = None  # int32 (count,)
    weight: Any = None  # float32 (rows,), above 0; None for 1 each

    @property
    def rows(self) -> int:
        """The number of examples."""
        listed = self.targets if self.order is None else self.order
        return listed.shape[-1]

    def part(self, begin, size: int) -> tuple:
        """Takes `size` examples from the place `begin` on: (x, targets)."""
        if self.order is None:
            return tuple(_slice(array, begin, size) for array in (self.x, self.targets))
        rows = _slice(self.order, begin, size)
        return tuple(_take(array, rows) for array in (self.x, self.targets))

    def whole(self) -> tuple:
        """Takes all examples: (x, targets)."""
        if self.order is None:
            return self.x, self.targets
        return self.part(0, self.rows)

    def weighing(self) -> Any:
        """Gives the weights of the examples, float32 (rows,), of which the largest is 1."""
        if self.weight is None or self.order is None:
            chosen = self.weight
        else:
            chosen = _take(self.weight, self.order)
        return None if chosen is None else jnp.asarray(chosen) / jnp.max(chosen)


def _slice(array, begin, size: int):
    return jax.lax.dynamic_slice_in_dim(jnp.asarray(array), begin, size, axis=-1)


def _take(array, rows):
    return jnp.asarray(array).at[..., rows].get(mode="promise_in_bounds")


def means(reduced: Callable, examples: Examples, most: int) -> dict:
    """Averages values over examples, a chunk at a time: name -> float32 scalar.

    Args:
      reduced: ``(x, targets, reduce) -> name -> reduce(values)``, where values are float32
        (batch,), of each example alone.
      examples: of which the last chunk may have fewer; it weighs as many as it has.
      most: rows of a chunk; chunks are as equal as can be.
    """
    rows = examples.rows
    weight = examples.weighing()
    chunks = -(-rows // most)
    if chunks == 1:
        x, targets = examples.whole()
        if weight is None:
            return reduced(x, targets, jnp.mean)
        total = jnp.sum(weight)
        return reduced(x, targets, lambda values: jnp.sum(weight * values) / total)
    size = -(-rows // chunks)

    # The last chunk begins earlier where it would be short, and what it has in common with the one
    # before counts once: so one chunk is compiled, and no row is made up.
    def sums_of(number):
        begin = jnp.minimum(number * size, rows - size)
        is_new = begin + jnp.arange(size) >= number * size
        x, targets = examples.part(begin, size)

        def sum_of_new(values):
            if weight is not None:
                values = values * _slice(weight, begin, size)
            return jnp.sum(jnp.where(is_new, values, 0.0))

        # The weights are added up as the values are: where all are right, a share is exactly 1.
        total = None if weight is None else sum_of_new(jnp.ones(size))
        return reduced(x, targets, sum_of_new), total

    # One chunk after the other: for a CNN of six layers on 45,000 images a lane takes 171 MB beside
    # its data and weights, its step included, where all images at once took 14 GB.
    sums, totals = jax.lax.map(sums_of, jnp.arange(chunks))
    whole: Any = rows if weight is None else jnp.sum(totals)
    return {name: jnp.sum(each) / whole for name, each in sums.items()}


def most_rows(recipe: Recipe, reduced: Callable, splits: Iterable[Examples]) -> int:
    """Chooses how many examples are evaluated at a time, at most.

    The widest array that evaluation computes says how many bytes a row takes. Inputs say little of
    it: a picture of 32x32 has 12 kB, and a layer of its activations 65 to 260. A chunk of a batch's
    size is always small enough: a step keeps the arrays of all layers for its gradient.

    Args:
      recipe: for the rows of a step.
      reduced: see `means`; traced here for the shapes of its arrays, if a split is larger than a
        batch.
      splits: what is evaluated, one after the other.
    """
    largest = max(splits, key=lambda examples: examples.rows)
    least = min(MOST_ROWS, rows_at_a_time(recipe))
    if largest.rows <= least:
        return least

    # on shapes alone: nothing is computed
    def at_once():
        x, targets = largest.whole()
        return reduced(x, targets, jnp.mean)

    traced = jax.make_jaxpr(at_once)()
    fitting = int(MOST_BYTES * largest.rows / _widest(traced.jaxpr))
    return min(MOST_ROWS, max(least, fitting))


def _widest(jaxpr) -> float:
    """The bytes of the largest array that a jaxpr, or one inside it, computes."""
    widest = 1.0
    for equation in jaxpr.eqns:
        for variable in equation.outvars:
            widest = max(widest, _bytes(variable.aval))
        for inner in _jaxprs(equation):
            widest = max(widest, _widest(inner))
    return widest


def _bytes(aval) -> float:
    dtype = getattr(aval, "dtype", None)  # a token has none, and a key's type no size
    itemsize = getattr(dtype, "itemsize", 0)
    return float(aval.size) * itemsize if itemsize else 0.0


def _jaxprs(equation) -> Iterator:
    """The bodies of an equation's loops, branches and calls."""
    for parameter in equation.params.values():
        several = isinstance(parameter, (tuple, list))
        for part in parameter if several else (parameter,):
            if hasattr(part, "eqns"):
                yield part
