"""Replicates the perceptrons of the reports' listings, defects and all, and their data."""

import jax
import jax.numpy as jnp
import optax

from experiments.perceptrons import RULES, plain_sgd
from experiments.references import R4
from jaxdl import Metric, losses, tasks
from jaxdl.types import Task

# How R2's listing may be read: corrected, with labels +1 and -1 but its gradient, or as it stands.
VARIANTS = ["as meant", "scalar gradient", "literal"]


def literal_loss(outputs, targets):
    """Gives the criterion with labels 0 and 1: points of class 0 never move anything."""
    margin = (targets + 1) // 2 * outputs[0]
    return jnp.where(margin <= 0, -margin, 0.0)


def literal_accuracy(outputs, targets):
    """Compares predictions +1 and -1 with labels 1 and 0: at most one half at equal classes."""
    return (losses.sign(outputs[0]) == (targets + 1) // 2).astype(jnp.float32)


def crossed_lines(hp) -> Task:
    """Makes R2's two singular normals."""
    m, c = hp.mean, hp.variance
    task = tasks.gaussians([[m, m], [-m, -m]], [[[c, c], [c, c]], [[c, -c], [-c, c]]])
    if hp.variant != "literal":
        return task
    # Loss and metric alone see 0 and 1: the data are those of the other variants.
    metrics = {"accuracy": Metric(literal_accuracy, higher_is_better=True)}
    return task._replace(loss=literal_loss, metrics=metrics)


def summed_gradient() -> optax.GradientTransformation:
    """Replaces every partial derivative by the sum of all of them: R2's listing.

    The bias is the weight of a constant, so its derivative is one of them.
    """

    def update(updates, params):
        total = sum(jnp.sum(leaf) for leaf in jax.tree.leaves(updates))
        return jax.tree.map(lambda leaf: jnp.broadcast_to(total, leaf.shape), updates)

    return optax.stateless(update)


def grid_optimizer(hp) -> optax.GradientTransformation:
    """Makes plain SGD, over the summed gradient where that is kept."""
    plain = plain_sgd(hp)
    return plain if hp.variant == "as meant" else optax.chain(summed_gradient(), plain)


def pair(hp) -> Task:
    """Makes the normals of one of R4's tests."""
    # Indexed arrays, not a Python choice, so that the tests are lanes of one program.
    columns = [jnp.asarray(column, jnp.float32) for column in zip(*R4.tests, strict=True)]
    first, second, first_variances, second_variances = (part[hp.test - 1] for part in columns)
    covariances = jnp.stack([jnp.diag(first_variances), jnp.diag(second_variances)])
    return tasks.gaussians(jnp.stack([first, second]), covariances, loss=RULES[hp.rule])
