"""Layers and networks of pictures in PyTorch: the arrays of pictures.npz.

Called by make_golden.py. Layouts are PyTorch's: (batch, channels, height, width).
"""

import numpy as np
import torch
from torch.nn import functional

STEPS = 20
CONVOLUTIONS = {  # x, weight, stride, padding
    "same": ((2, 3, 5, 6), (4, 3, 3, 3), 1, 1),
    "strided": ((2, 3, 8, 7), (4, 3, 3, 3), 2, 1),
    "oblong": ((2, 2, 6, 9), (3, 2, 5, 2), (1, 3), (2, 0)),
    "tiny": ((2, 2, 2, 2), (3, 2, 3, 3), 1, 1),
}
POOLS = {  # side of x, window, stride, padding
    "overlapping": ((8, 7), 3, 2, 1),
    "tiling": ((6, 6), 2, 2, 0),
    "oblong": ((7, 5), (3, 2), (1, 3), (1, 0)),
}
NORMS = {
    "batch": lambda: torch.nn.BatchNorm2d(6, momentum=0.3),
    "layer": lambda: torch.nn.LayerNorm(6),
    "whole": lambda: torch.nn.LayerNorm((6, 3, 2)),
    "group": lambda: torch.nn.GroupNorm(3, 6),
}


def numbers(rng, *shape):
    """Normal draws, float32, that want a gradient."""
    return torch.from_numpy(rng.normal(size=shape).astype(np.float32)).requires_grad_()


def with_gradients(rng, outputs, **leaves) -> dict:
    """The arrays of a layer: inputs, outputs, and gradients under the sum of outputs * pull."""
    pull = numbers(rng, *outputs.shape).detach()
    (outputs * pull).sum().backward()
    arrays = {name: leaf.detach() for name, leaf in leaves.items()}
    arrays |= {f"{name}_grad": leaf.grad for name, leaf in leaves.items()}
    arrays |= {"pull": pull, "outputs": outputs.detach()}
    return {name: value.numpy().copy() for name, value in arrays.items()}


def convolution(rng, x, weight, stride, padding) -> dict:
    leaves = {
        "x": numbers(rng, *x),
        "weight": numbers(rng, *weight),
        "bias": numbers(rng, weight[0]),
    }
    outputs = functional.conv2d(*leaves.values(), stride=stride, padding=padding)
    return with_gradients(rng, outputs, **leaves)


def pooling(rng, kind: str, side, window, stride, padding) -> dict:
    """A pool of small integers, so that most windows have several largest values."""
    x = torch.from_numpy(rng.integers(0, 3, (2, 3, *side)).astype(np.float32)).requires_grad_()
    if kind == "max":
        outputs = functional.max_pool2d(x, window, stride, padding)
    else:
        counts = kind == "avg"
        outputs = functional.avg_pool2d(x, window, stride, padding, count_include_pad=counts)
    return with_gradients(rng, outputs, x=x)


def norm(rng, kind: str) -> dict:
    """A norm in training; of a batch norm the running statistics and an evaluation as well."""
    layer = NORMS[kind]()
    for name in ("weight", "bias"):
        getattr(layer, name).data = numbers(rng, *getattr(layer, name).shape).detach()
    x = numbers(rng, 4, 6, 3, 2)
    turned = kind == "layer"  # channels last, as it normalises the last axes
    outputs = layer(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2) if turned else layer(x)
    arrays = with_gradients(rng, outputs, x=x, weight=layer.weight, bias=layer.bias)
    if kind == "batch":
        arrays |= {"mean": layer.running_mean.numpy(), "variance": layer.running_var.numpy()}
        arrays["evaluated"] = layer.eval()(x).detach().numpy()
    return arrays


class Network(torch.nn.Module):
    """Two blocks: convolution, norm, shortcut around the second, ReLU, pool; one linear layer."""

    def __init__(self, normed: bool):
        super().__init__()
        self.convs = torch.nn.ModuleList(
            [torch.nn.Conv2d(2, 4, 3, stride=2, padding=1), torch.nn.Conv2d(4, 5, 3, padding=1)]
        )
        self.norms = torch.nn.ModuleList(
            [torch.nn.BatchNorm2d(c) if normed else None for c in (4, 5)]
        )
        self.shortcut = torch.nn.Conv2d(4, 5, 1, bias=False) if normed else None
        self.head = torch.nn.Linear(20, 3)

    def forward(self, x):
        for index, (conv, batch_norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            y = conv(x)
            if batch_norm is not None:
                y = batch_norm(y)
            if index and self.shortcut is not None:
                y = y + self.shortcut(x)
            x = functional.max_pool2d(torch.relu(y), 3, 2, 1) if index == 0 else torch.relu(y)
        return self.head(x.flatten(1))


def trajectory(seed: int, model, optimizer) -> dict:
    """Losses of training from stored weights on stored batches, and of an evaluation at the end."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(24, 2, 8, 8)).astype(np.float32)
    targets = (x.mean((1, 2, 3)) > 0) + (x[:, 0].mean((1, 2)) > 0).astype(int)
    rows = np.stack([rng.permutation(24)[:8] for _ in range(STEPS)])
    start = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    updater, losses = optimizer(model.parameters()), []
    for batch in rows:
        loss = functional.cross_entropy(
            model(torch.from_numpy(x[batch])), torch.from_numpy(targets[batch])
        )
        updater.zero_grad()
        loss.backward()
        updater.step()
        losses.append(loss.item())
    outputs = model.eval()(torch.from_numpy(x)).detach().numpy()
    told = {"x": x, "targets": targets.astype(np.int8), "rows": rows.astype(np.uint8)}
    return {**told, **start, "loss": np.float32(losses), "evaluated": outputs}


def mlp():
    """An MLP of pictures, in PyTorch's order of features."""
    return torch.nn.Sequential(
        torch.nn.Flatten(),
        torch.nn.Linear(128, 7),
        torch.nn.ReLU(),
        torch.nn.Linear(7, 6),
        torch.nn.ReLU(),
        torch.nn.Linear(6, 3),
    )


def picture_arrays() -> dict:
    """All arrays of pictures.npz, each under the name of its case."""
    rng = np.random.default_rng(5)
    torch.manual_seed(5)
    cases = {f"conv_{name}": convolution(rng, *case) for name, case in CONVOLUTIONS.items()}
    for kind in ("max", "avg", "avg_seen"):
        cases |= {f"{kind}_{name}": pooling(rng, kind, *case) for name, case in POOLS.items()}
    cases |= {f"{kind}_norm": norm(rng, kind) for kind in NORMS}
    cases["cnn"] = trajectory(1, Network(False), lambda p: torch.optim.Adam(p, lr=0.01))
    cases["batch_normed"] = trajectory(
        2, Network(True), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9)
    )
    cases["mlp"] = trajectory(
        3, mlp(), lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=5e-4)
    )
    return {
        f"{case}/{name}": array for case, arrays in cases.items() for name, array in arrays.items()
    }
