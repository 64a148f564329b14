"""Gives the optimizers of the experiments on images, with what a rate does over a run."""

from collections.abc import Callable
from types import SimpleNamespace

import jax.numpy as jnp
import optax

from jaxdl import schedules
from jaxdl.checks import one_of


def constant_rate(epoch, epochs: int):
    """Leaves the rate as it is."""
    return jnp.ones_like(epoch)


def cosine_rate(epoch, epochs: int):
    """Anneals by a cosine, once an epoch as PyTorch's scheduler does: a staircase."""
    return schedules.warmup_cosine(epochs)(jnp.floor(epoch))


def triangular_rate(epoch, epochs: int):
    """Rises over a fifth of the run and falls to 0 over the rest."""
    return schedules.triangular(epochs, peak=0.2)(epoch)


# (epochs so far, epochs in all) -> share of the learning rate
RATES = {"constant": constant_rate, "cosine": cosine_rate, "triangular": triangular_rate}


def schedule_of(chosen: SimpleNamespace, steps_of_epoch: int, epochs: int) -> optax.Schedule:
    """Makes the learning rate by step: a share of the rate, which so stays traced."""
    share = RATES[one_of("schedule", chosen.schedule, RATES)]

    def rate(count):
        epoch = count / steps_of_epoch
        # A warm-up goes before any schedule, so it is a factor of its own.
        rising = epoch / (epochs * jnp.maximum(chosen.warmup, 1e-6))
        rising = jnp.where(chosen.warmup > 0, jnp.minimum(rising, 1.0), 1.0)
        return chosen.learning_rate * share(epoch, epochs) * rising

    return rate


OPTIMIZERS: dict[str, Callable] = {
    # PyTorch's SGD adds its weight decay to the gradient, before the momentum.
    "momentum": lambda rate, decay: optax.chain(
        optax.add_decayed_weights(decay), optax.sgd(rate, momentum=0.9)
    ),
    "nesterov": lambda rate, decay: optax.chain(
        optax.add_decayed_weights(decay), optax.sgd(rate, momentum=0.9, nesterov=True)
    ),
    "adam": lambda rate, decay: optax.chain(optax.add_decayed_weights(decay), optax.adam(rate)),
    "adamw": lambda rate, decay: optax.adamw(rate, weight_decay=decay),
}


def optimizer_of(chosen: SimpleNamespace, steps_of_epoch: int, epochs: int):
    """Makes the optimizer of a config, behind a clip of the gradient's norm where there is one."""
    make = OPTIMIZERS[one_of("optimizer", chosen.optimizer, OPTIMIZERS)]
    plain = make(schedule_of(chosen, steps_of_epoch, epochs), chosen.weight_decay)
    if chosen.clip is None:
        return plain
    return optax.chain(optax.clip_by_global_norm(chosen.clip), plain)
