"""Builds the studies of multi-layer perceptrons on two moons, as R1, R2 and R4 train them.

What the reports leave open are hyper-parameters: the initial weights, how many hidden layers, and
whether biases are trained.
"""

from collections.abc import Callable, Iterable

import jax.numpy as jnp
import optax

from experiments.request import Request
from jaxdl import Study, models, tasks
from jaxdl.layers import Dense, normal
from jaxdl.layers.affine import fan
from jaxdl.types import Model

# Zero-mean normal weights: names have a standard deviation that depends on the layer, a number is
# one, as in NumPy's ``normal(0, 0.01)``. A stored run knows them by their place: add at the end.
INITS = ("he", "xavier", 1.0, 0.01, 0.0001, 0.001, 0.00001)
ALLOWED: dict[str, Iterable] = {
    "init": INITS,
    "bias": (True, False),
    "layers": (1, 2),
    "reduction": ("mean", "sum"),
}


def weights(init) -> Callable:
    """Makes the scheme of a place in `INITS`, which may be traced."""

    def draw(key, outputs, inputs) -> Dense:
        by_layer = [(2 / fan(inputs)) ** 0.5, (2 / (fan(inputs) + fan(outputs))) ** 0.5]
        return normal(jnp.array([*by_layer, *INITS[2:]])[init])(key, outputs, inputs)

    return draw


def network(hp) -> Model:
    """Makes a network 2 - h - 2, or 2 - h - h - 2, with ReLU."""
    return models.mlp(2, (hp.width,) * hp.layers, 2, init=weights(hp.init))


def optimizer(hp) -> optax.GradientTransformation:
    """Makes plain SGD, which leaves biases at zero where they are not trained."""

    # Times 0 or 1, not left out: so trained biases and others are lanes of one program.
    def update(updates, params):
        return tuple(Dense(layer.weight, hp.bias * layer.bias) for layer in updates)

    return optax.chain(optax.sgd(hp.learning_rate), optax.stateless(update))


def moons_study(request: Request, configs: list[dict], **settings) -> Study:
    """Builds a study of MLPs on moons.

    Args:
      configs: as people write them; see `coded`. None for the defaults alone.
      settings: further arguments of `Study`, in the place of the command line's.
    """
    defaults = {name: value for name, value in request.defaults.items() if name != "epochs"}
    return Study(
        task=lambda hp: tasks.moons(hp.samples, hp.noise),
        model=network,
        optimizer=optimizer,
        defaults=coded(defaults),
        sweep=[coded(config) for config in configs] or None,
        **{**request.study, **settings},
    )


def by_scale(init: int) -> float:
    """Gives a key that sorts places in `INITS`: names first, then from large to small.

    >>> [INITS[init] for init in sorted(range(len(INITS)), key=by_scale)]
    ['he', 'xavier', 1.0, 0.01, 0.001, 0.0001, 1e-05]
    """
    scale = INITS[init]
    return init - len(INITS) if isinstance(scale, str) else -scale


def coded(config: dict) -> dict:
    """Puts numbers in the place of names: a study traces a number, and has a program a name.

    >>> coded({"init": "xavier", "bias": True, "width": 20})
    {'init': 1, 'bias': 1.0, 'width': 20}
    """
    codes: dict[str, Callable] = {"init": INITS.index, "bias": float}
    return {name: codes[name](value) if name in codes else value for name, value in config.items()}


def in_words(config: dict) -> dict:
    """Puts the names back, for people.

    >>> in_words({"init": 1, "bias": 1.0, "width": 20})
    {'init': 'xavier', 'bias': True, 'width': 20}
    """
    names: dict[str, Callable] = {"init": INITS.__getitem__, "bias": bool}
    return {name: names[name](value) if name in names else value for name, value in config.items()}
