"""What the trained lanes of a config say of new inputs."""

from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Shaped

from jaxdl.checks import brief
from jaxdl.data.arrays import inputs_of, user_array
from jaxdl.datasets import check_fits
from jaxdl.parts import dataset_of
from jaxdl.running.replay import Trained
from jaxdl.sampling import seed_key
from jaxdl.train import Recipe

ROWS = 1024  # inputs at a time
LANES = 64  # and so many lanes


def predict(recipe: Recipe, trained: Trained, X: Any) -> Float[np.ndarray, "lanes samples ..."]:
    """Computes the outputs of every lane; NaN of a lane that has diverged.

    Args:
      recipe: of the config.
      trained: its lanes.
      X: (n, features...), as a task's arrays are handed in; images (n, height, width, channels).

    Raises:
      ValueError: inputs of another shape or kind than those of training.
    """
    x = as_trained(recipe, X)

    def outputs_of(params, state, x):
        prepared = x if recipe.task.prepare is None else recipe.task.prepare(x)
        return recipe.model.apply(params, state, prepared, key=None, train=False)[0]

    # In parts, so that 1000 lanes and 60,000 images need no more memory than a part of either.
    of_lanes = jax.jit(jax.vmap(outputs_of, in_axes=(0, 0, None)))
    lanes, samples = len(trained.seeds), x.shape[-1]
    rows = []
    for first in range(0, lanes, LANES):
        part = slice(first, first + LANES)
        params, state = jax.tree.map(lambda leaf, part=part: leaf[part], trained[:2])
        pieces = []
        for begin in range(0, samples, ROWS):
            pieces.append(np.asarray(of_lanes(params, state, x[..., begin : begin + ROWS])))
        rows.append(np.concatenate(pieces, axis=-1))
    outputs = np.moveaxis(np.concatenate(rows), -1, 1).astype(np.float32)
    # The weights of a lane that was lost are those of some step before: they would look like any
    # others in a mean.
    outputs[trained.diverged_at >= 0] = np.nan
    return outputs


def as_trained(recipe: Recipe, X: Any) -> Shaped[np.ndarray, "... samples"]:
    """Returns inputs in the layout and type that the config is trained with, samples last."""
    data = recipe.task.data
    dataset = dataset_of(jax.eval_shape(data, seed_key(0)) if callable(data) else data)
    wanted = tuple(dataset.train_x.shape[:-1])
    dtype = np.dtype(dataset.train_x.dtype)
    is_float = jax.numpy.issubdtype(dtype, jax.numpy.floating)
    x = inputs_of(user_array("X", X), keep_integers=not is_float)
    check_fits("X", x, dtype)
    return _samples_last(x.astype(dtype), wanted)


def _samples_last(x: np.ndarray, wanted: tuple[int, ...]) -> np.ndarray:
    given = x.shape[1:]
    as_it_is = given == wanted
    as_image = x.ndim == 4 and (given[2], *given[:2]) == wanted
    if as_it_is and as_image and given[0] > 1:
        raise ValueError(
            f"X of shape {x.shape} may have its channels first or last: take study.weights and "
            "model.apply, which takes samples last"
        )
    if as_it_is:
        return np.moveaxis(x, 0, -1)
    if as_image:
        return np.transpose(x, (3, 1, 2, 0))
    if wanted[0] == 1 and x.ndim == 3 and given == wanted[1:]:
        return np.moveaxis(x, 0, -1)[None]  # grey pictures
    usual = ", ".join(map(str, wanted))
    pictures = f" or (n, {wanted[1]}, {wanted[2]}, {wanted[0]})" if len(wanted) == 3 else ""
    raise ValueError(f"X must be of shape (n, {usual}){pictures}, got {brief(x)}")
