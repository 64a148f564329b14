"""Chunks of an evaluation: how many examples at a time, so that memory stays bounded."""

import functools
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

    def weights(self) -> Any:
        """Gives what the examples count, float32 (rows,); None for 1 each."""
        if self.weight is None or self.order is None:
            return self.weight
        return _take(self.weight, self.order)


class Reduce(NamedTuple):
    """What is made of values of the examples at hand, batch axis last."""

    mean: Callable  # (batch,) -> their share of the mean over all examples
    total: Callable  # (..., batch) -> (...), the sum of each times what it counts


class Collected(NamedTuple):
    """What an evaluation takes of examples: of a chunk, and then of all of them."""

    means: dict  # name -> float32 scalar
    totals: dict  # name -> tree of float32 (...)
    rows: dict  # name -> tree of float32 (..., rows)


def _slice(array, begin, size: int):
    return jax.lax.dynamic_slice_in_dim(jnp.asarray(array), begin, size, axis=-1)


def _take(array, rows):
    return jnp.asarray(array).at[..., rows].get(mode="promise_in_bounds")


def collect(taken: Callable, examples: Examples, most: int) -> Collected:
    """Takes means, sums and rows of examples, a chunk at a time.

    Args:
      taken: ``(x, targets, reduce) -> Collected``, where `reduce` is a `Reduce` and what it is
        given float32, of each example alone.
      examples: of which the last chunk may have fewer; it weighs as many as it has.
      most: rows of a chunk; chunks are as equal as can be.
    """
    rows = examples.rows
    given = examples.weights()
    # the largest is 1, so that no sum of them is beyond a float32
    weight = None if given is None else jnp.asarray(given) / jnp.max(given)
    chunks = -(-rows // most)
    if chunks == 1:
        x, targets = examples.whole()
        return taken(x, targets, _of_all(given, weight))
    size = -(-rows // chunks)

    # The last chunk begins earlier where it would be short, and what it has in common with the one
    # before counts once: so one chunk is compiled, and no row is made up.
    def of_chunk(number):
        begin = jnp.minimum(number * size, rows - size)
        is_new = begin + jnp.arange(size) >= number * size
        x, targets = examples.part(begin, size)

        def sum_of_new(values):
            if weight is not None:
                values = values * _slice(weight, begin, size)
            return jnp.sum(jnp.where(is_new, values, 0.0))

        def total_of_new(values):
            counted = values if given is None else _times(values, _slice(given, begin, size))
            return jnp.sum(jnp.where(_like(is_new, values), counted, 0.0), axis=-1)

        # The weights are added up as the values are: where all are right, a share is exactly 1.
        whole = None if weight is None else sum_of_new(jnp.ones(size))
        return taken(x, targets, Reduce(sum_of_new, total_of_new)), whole

    # One chunk after the other: for a CNN of six layers on 45,000 images a lane takes 171 MB beside
    # its data and weights, its step included, where all images at once took 14 GB.
    collected, wholes = jax.lax.map(of_chunk, jnp.arange(chunks))
    whole: Any = rows if weight is None else jnp.sum(wholes)
    return Collected(
        means={name: jnp.sum(each) / whole for name, each in collected.means.items()},
        totals=jax.tree.map(functools.partial(jnp.sum, axis=0), collected.totals),
        rows=jax.tree.map(functools.partial(_side_by_side, rows), collected.rows),
    )


def _of_all(given, weight) -> Reduce:
    """What is made of values of all examples at once, of the weights given and as means take them,
    None or (rows,)."""
    whole: Any = None if weight is None else jnp.sum(weight)

    def mean(values):
        return jnp.mean(values) if weight is None else jnp.sum(weight * values) / whole

    def total(values):
        counted = values if given is None else _times(values, jnp.asarray(given))
        return jnp.sum(counted, axis=-1)

    return Reduce(mean, total)


def _times(values, weight):
    """Multiplies every example's values by its weight."""
    # No product of matrices, which a GPU rounds to ten bits where it is not told otherwise.
    return values * _like(weight, values)


def _like(by_example, values):
    """Repeats a number an example (batch,) along the axes of values (..., batch)."""
    return jnp.broadcast_to(by_example, values.shape)


def _side_by_side(rows: int, chunks):
    """Joins what was taken of every chunk, (chunks, ..., size), to (..., rows)."""
    # the last chunk begins with rows that the one before has already, see `collect`
    last = rows - (len(chunks) - 1) * chunks.shape[-1]
    before = jnp.moveaxis(chunks[:-1], 0, -2)
    joined = before.reshape(*before.shape[:-2], -1)
    return jnp.concatenate([joined, chunks[-1, ..., -last:]], axis=-1)


def most_rows(recipe: Recipe, taken: Callable, splits: Iterable[Examples]) -> int:
    """Chooses how many examples are evaluated at a time, at most.

    The widest array that evaluation computes says how many bytes a row takes. Inputs say little of
    it: a picture of 32x32 has 12 kB, and a layer of its activations 65 to 260. A chunk of a batch's
    size is always small enough: a step keeps the arrays of all layers for its gradient.

    Args:
      recipe: for the rows of a step.
      taken: see `collect`; traced here for the shapes of its arrays, if a split is larger than a
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
        return taken(x, targets, _of_all(None, None))

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
