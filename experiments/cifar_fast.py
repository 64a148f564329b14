"""How far do ten minutes on two CPU cores get on CIFAR-10?

Protocol: no report's; in the spirit of airbench (Jordan, arXiv:2404.00498), at a twentieth of its
work. A first layer that whitens patches of 3x3 with stride 2, computed from training images and not
trained, both signs of each direction; three blocks of two 3x3 convolutions (64, 160 and 256
channels), each with a batch norm and ReLU, the first of a block with a pool; the largest of each
channel, one linear layer. SGD with Nesterov's momentum, a triangular rate, labels smoothed by 0.2,
random crop with padding 2, flip. A test image and its mirror image are averaged.
By default handwritten digits (stride 1, no mirror images), which show that it works.

Command: python -m experiments cifar_fast
Time: two seeds of CIFAR-10, 6 epochs each, took 9 minutes on two cores, 16 of CPU time.
Expected: on CIFAR-10 83.6 and 83.5 % of two seeds. A size for a GPU, not tried: --sweep scale=2
--sweep stride=1 --epochs 40.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.frame import Experiment
from experiments.image_figures import FIGURES
from experiments.images import (
    DEFAULTS,
    describe_images,
    image_columns,
    image_study,
    overfit,
    task_of,
)
from experiments.request import Request, Size
from jaxdl import Study, layers, train
from jaxdl.types import Model, Task

CHANNELS = (64, 160, 256)
PATCHED = 500  # images whose patches are whitened, at all places: 450,000 of 32x32 pixels
EPSILON = 5e-4  # added to the variance of a direction, which may be 0
EVALUATIONS = 3  # beside that of the fresh weights: one costs as much as 30 steps
VARIANTS: dict[str, dict] = {
    "recipe": {},
    "gelu": {"activation": "gelu"},
    "adamw": {"optimizer": "adamw", "learning_rate": 3e-3, "weight_decay": 1e-2},
    "no smoothing": {"smoothing": 0.0},
    "one view": {"mirrored": False},
}


class Half(NamedTuple):
    """Parameters of half a block."""

    conv: layers.Conv2d
    norm: layers.Norm


class Weights(NamedTuple):
    """What is trained."""

    bias: Any  # of the whitened patches, (directions,)
    halves: tuple[Half, ...]
    head: layers.Dense


class Frozen(NamedTuple):
    """State: the whitening kernel, which no step changes, and each batch norm's statistics."""

    kernel: Any  # (directions, channels, patch, patch)
    running: tuple[layers.Running, ...]


def whitening(task: Task, patch: int) -> np.ndarray:
    """Computes the kernel under which patches of training images are uncorrelated, of variance 1.

    The directions are the eigenvectors of the patches' second moments, each divided by the root of
    its eigenvalue, and all of them once more with the other sign: ReLU keeps one sign of each.

    Returns:
      (2 channels patch**2, channels, patch, patch), float32.
    """
    images = np.asarray(train.prepared(task, task.data.train_x[..., :PATCHED]), np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(images, (patch, patch), axis=(1, 2))
    # (channels, places, places, images, patch, patch) to (channels, patch, patch, all the rest)
    patches = np.moveaxis(windows, (4, 5), (1, 2))
    shape = patches.shape[:3]
    patches = patches.reshape(np.prod(shape), -1)
    moments = patches @ patches.T / patches.shape[1]
    # A floor below the variances: directions of almost none would be noise, blown up.
    variances, directions = np.linalg.eigh(moments)
    kernel = (directions / np.sqrt(variances + EPSILON)).T.reshape(-1, *shape)
    return np.concatenate([kernel, -kernel]).astype(np.float32)


def network(chosen, inputs: tuple[int, int, int], kernel: np.ndarray) -> Model:
    """Makes the network over images of any size; `kernel` is that of the first layer."""
    sizes = [round(width * chosen.scale) for width in CHANNELS for _ in range(2)]
    patch = kernel.shape[-1]
    activation = layers.activation_of("activation", chosen.activation)

    def init(key):
        *keys, head_key = jax.random.split(key, len(sizes) + 1)
        halves, running = [], []
        for half_key, size, before in zip(keys, sizes, [len(kernel), *sizes], strict=False):
            conv = layers.init_conv2d(half_key, size, before, 3, chosen.init, bias=False)
            norm, statistics = layers.init_batch_norm(size)
            halves.append(Half(conv, norm))
            running.append(statistics)
        head = layers.init_dense(head_key, 10, sizes[-1], "torch")
        weights = Weights(jnp.zeros(len(kernel)), tuple(halves), head)
        return weights, Frozen(jnp.asarray(kernel), tuple(running))

    def outputs_of(params: Weights, state: Frozen, x, training: bool):
        first = layers.Conv2d(state.kernel, params.bias)
        x = activation(layers.conv2d(first, x, chosen.stride, (patch - 1) // 2))
        running = []
        for place, (half, before) in enumerate(zip(params.halves, state.running, strict=True)):
            x = layers.conv2d(half.conv, x, 1, 1)
            # The pool first: the norm then has a quarter of the places.
            x = layers.max_pool(x, 2) if place % 2 == 0 else x
            x, statistics = layers.batch_norm(half.norm, before, x, train=training)
            x = activation(x)
            running.append(statistics)
        outputs = layers.dense(params.head, x.max(axis=(1, 2)))
        return outputs, state._replace(running=tuple(running))

    def apply(params, state, x, *, key=None, train=False):
        if train or not chosen.mirrored:
            return outputs_of(params, state, x, train)
        # Side by side in one batch: the network is compiled once for both.
        both = jnp.concatenate([x, x[:, :, ::-1]], axis=-1)
        outputs, _ = outputs_of(params, state, both, train)
        return outputs.reshape(len(outputs), 2, -1).mean(axis=1), state

    return Model(init, apply)


def study(request: Request) -> Study:
    """Builds the study of variants."""
    task = task_of(request)
    # One kernel for all lanes: like the mean and the deviation, it belongs to the images.
    kernel_of: Callable = functools.cache(functools.partial(whitening, task))

    def model(chosen, inputs) -> Model:
        return network(chosen, inputs, kernel_of(chosen.patch))

    return image_study(request, model, VARIANTS, task, EVALUATIONS)


ON_CIFAR10 = {"stride": 2, "mirrored": True, "padding": 2}
EXPERIMENT = Experiment(
    doc=__doc__,
    reference=(),
    sweep={"variant": ["recipe"], "batch_size": [125]},
    defaults={
        **DEFAULTS,
        "optimizer": "nesterov",
        "schedule": "triangular",
        "learning_rate": 0.12,
        "weight_decay": 1e-3,
        "smoothing": 0.2,
        "init": "he_normal",
        "activation": "relu",
        "patch": 3,
        "stride": 1,
        "mirrored": False,  # whether evaluation averages an image and its mirror image
    },
    full=Size(seeds=8, defaults={"scale": 0.25, "epochs": 15}),
    quick=Size(seeds=3, defaults={"scale": 0.125, "epochs": 5}),
    sizes={
        "cifar10": (
            Size(seeds=2, defaults={**ON_CIFAR10, "epochs": 6}),
            Size(seeds=2, defaults={**ON_CIFAR10, "scale": 0.5, "epochs": 2}),
        )
    },
    allowed={"variant": VARIANTS},
    studies={"": study},
    titles={"": "A fast recipe on images."},
    columns=image_columns(),
    figures={name: FIGURES[name] for name in ("accuracy", "loss", "gap", "recall")},
    measurements={"images": describe_images},
    conclusions={"gap": overfit},
)
