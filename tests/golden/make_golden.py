"""Loss trajectories, a convolution and recurrent cells of PyTorch, kept as the reference of
test_golden, test_layers and test_rnn.

Needs ``pip install torch==2.13.0``, which the tests do not. Run once, by hand, from the repository
root:

    python tests/golden/make_golden.py

It writes one small .npz a case next to itself: settings, data, initial weights, the rows of every
batch, the losses; and cells.npz: weights, inputs, states after every step and gradients of each
cell, and a run of RMSprop; and pictures.npz, of pictures.py.
"""

import pathlib

import numpy as np
import torch
from pictures import picture_arrays

STEPS = 100
CASES = {
    "relu": {
        "hidden": (20,),
        "samples": 200,
        "batch_size": 32,
        "learning_rate": 0.1,
        "momentum": 0.0,
        "reduction": "mean",
    },
    "tanh": {
        "hidden": (8, 8),
        "samples": 60,
        "batch_size": 60,
        "learning_rate": 0.005,
        "momentum": 0.0,
        "reduction": "sum",
    },
    "sigmoid": {
        "hidden": (16,),
        "samples": 100,
        "batch_size": 16,
        "learning_rate": 1.0,
        "momentum": 0.9,
        "reduction": "mean",
    },
}
USUAL = {
    "hidden": (12,),
    "samples": 100,
    "batch_size": 20,
    "momentum": 0.0,
    "reduction": "mean",
    "activation": "tanh",
}
OPTIMIZERS = {  # name -> (PyTorch's optimizer, its settings)
    "nesterov": ("SGD", {"lr": 0.1, "momentum": 0.9, "nesterov": True}),
    "adam": ("Adam", {"lr": 0.02}),
    "adamw": ("AdamW", {"lr": 0.02, "weight_decay": 0.1}),
    "rmsprop": ("RMSprop", {"lr": 0.005}),
    "weight_decay": ("SGD", {"lr": 0.1, "momentum": 0.9, "weight_decay": 0.02}),
}
CELLS = {"vanilla": torch.nn.RNN, "gru": torch.nn.GRU, "lstm": torch.nn.LSTM}
ACTIVATIONS = {"relu": torch.nn.ReLU, "tanh": torch.nn.Tanh, "sigmoid": torch.nn.Sigmoid}


def half_circles(rng, samples: int):
    """Two noisy half circles: float32 (2, samples) and class numbers (samples,)."""
    targets = rng.integers(0, 2, samples)
    angle = np.pi * rng.random(samples)
    x = np.where(
        targets == 0, [np.cos(angle), np.sin(angle)], [1 - np.cos(angle), 0.5 - np.sin(angle)]
    )
    return (x + 0.1 * rng.normal(size=x.shape)).astype(np.float32), targets


def trajectory(
    activation: str,
    seed: int,
    hidden,
    samples,
    batch_size,
    learning_rate,
    momentum,
    reduction,
    optimizer=None,
) -> dict:
    """The arrays of one case; `optimizer` is a name of `OPTIMIZERS`, None for SGD."""
    rng = np.random.default_rng(seed)
    torch.manual_seed(seed)
    x, targets = half_circles(rng, samples)
    rows = np.stack([rng.permutation(samples)[:batch_size] for _ in range(STEPS)])
    linear = [
        torch.nn.Linear(into, out) for into, out in zip((2, *hidden), (*hidden, 2), strict=True)
    ]
    between = [module for layer in linear[:-1] for module in (layer, ACTIVATIONS[activation]())]
    model = torch.nn.Sequential(*between, linear[-1])
    start = {
        f"{name}_{number}": getattr(layer, name).detach().numpy().copy()
        for number, layer in enumerate(linear)
        for name in ("weight", "bias")
    }
    kind, settings = OPTIMIZERS.get(optimizer, ("SGD", {"lr": learning_rate, "momentum": momentum}))
    updater = getattr(torch.optim, kind)(model.parameters(), **settings)
    losses = []
    for batch in rows:
        loss = torch.nn.functional.cross_entropy(
            model(torch.from_numpy(x[:, batch].T)),
            torch.from_numpy(targets[batch]),
            reduction=reduction,
        )
        updater.zero_grad()
        loss.backward()
        updater.step()
        losses.append(loss.item() / (batch_size if reduction == "sum" else 1))
    told = {
        "activation": activation,
        "learning_rate": learning_rate,
        "momentum": momentum,
        "reduction": reduction,
    }
    return {
        **told,
        **start,
        "x": x,
        "targets": targets.astype(np.int8),
        "rows": rows.astype(np.uint8),
        "loss": np.float32(losses),
    }


def convolution() -> dict:
    """A 1-D convolution in PyTorch's layout, and its gradients under the sum of outputs * pull."""
    rng = np.random.default_rng(9)
    shapes = {"x": (5, 3, 7), "weight": (4, 3, 3), "bias": (4,), "pull": (5, 4, 5)}
    arrays = {name: rng.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}
    x, weight, bias, pull = map(torch.from_numpy, arrays.values())
    for leaf in (x, weight, bias):
        leaf.requires_grad_()
    outputs = torch.nn.functional.conv1d(x, weight, bias)
    (outputs * pull).sum().backward()
    grads = {
        f"{name}_grad": leaf.grad.numpy()
        for name, leaf in (("x", x), ("weight", weight), ("bias", bias))
    }
    return {**arrays, "outputs": outputs.detach().numpy(), **grads}


def cell_arrays(
    name: str, inputs: int = 3, hidden: int = 5, steps: int = 4, batch: int = 6
) -> dict:
    """Weights, inputs (batch-last), hidden states and gradients of one kind of cell."""
    torch.manual_seed(0)
    layer = CELLS[name](inputs, hidden)
    x = torch.randn(steps, batch, inputs, requires_grad=True)
    weight = torch.randn(steps, batch, hidden)
    states, _ = layer(x)
    (states * weight).sum().backward()
    named = {
        kind: getattr(layer, f"{kind}_l0")
        for kind in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    }
    arrays = {kind: value.detach() for kind, value in named.items()} | {
        f"grad_{kind}": v.grad for kind, v in named.items()
    }
    arrays |= {
        "x": x.detach().mT,
        "grad_x": x.grad.mT,
        "weight": weight.mT,
        "states": states.detach().mT,
    }
    return {f"{name}_{key}": value.numpy() for key, value in arrays.items()}


def rmsprop_arrays(steps: int = 20) -> dict:
    """Parameters after every step of RMSprop with PyTorch's defaults, for given gradients (one of
    them always zero)."""
    rng = np.random.default_rng(0)
    grads = np.float32(rng.normal(size=(steps, 6)) * [1, 1e-3, 1e-8, 100, 1, 0])
    params = torch.nn.Parameter(torch.ones(6))
    optimizer, path = torch.optim.RMSprop([params], lr=0.01), []
    for grad in grads:
        params.grad = torch.from_numpy(grad)
        optimizer.step()
        path.append(params.detach().numpy().copy())
    return {"rmsprop_grads": grads, "rmsprop_params": np.stack(path)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    parts = [*(cell_arrays(name) for name in CELLS), rmsprop_arrays()]
    cells = {name: array for part in parts for name, array in part.items()}
    np.savez_compressed(pathlib.Path(__file__).with_name("cells.npz"), **cells)
    cases = {name: {"activation": name, **case} for name, case in CASES.items()}
    cases |= {
        name: {**USUAL, "optimizer": name, "learning_rate": case[1]["lr"]}
        for name, case in OPTIMIZERS.items()
    }
    for seed, (name, case) in enumerate(cases.items()):
        arrays = trajectory(seed=seed, **case)
        np.savez_compressed(pathlib.Path(__file__).with_name(f"{name}.npz"), **arrays)
        print(
            f"{name}: mean loss {arrays['loss'][0]:.4f} -> {arrays['loss'][-1]:.4f} in {STEPS} steps"
        )
    np.savez_compressed(pathlib.Path(__file__).with_name("conv1d.npz"), **convolution())
    np.savez_compressed(pathlib.Path(__file__).with_name("pictures.npz"), **picture_arrays())
