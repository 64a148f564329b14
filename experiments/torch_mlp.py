"""Trains a report's MLP with one hidden layer in PyTorch, as its users write it.

PyTorch comes with the extra ``bench``; it is imported where it is used.
"""

import importlib.util
from collections.abc import Iterator

import numpy as np

from experiments.numpy_mlp import TEST, Points, Weights


def installed() -> bool:
    """Tells whether PyTorch can be imported."""
    return importlib.util.find_spec("torch") is not None


def network(width: int):
    """Builds the network with Xavier's uniform weights and zero biases."""
    import torch

    layers = torch.nn.Linear(2, width), torch.nn.Linear(width, 2)
    for layer in layers:
        torch.nn.init.xavier_uniform_(layer.weight)
        torch.nn.init.zeros_(layer.bias)
    return torch.nn.Sequential(layers[0], torch.nn.ReLU(), layers[1])


def moons(samples: int, noise: float):
    """Draws two half circles with normal noise, in random order: (x, targets)."""
    import torch

    upper = torch.linspace(0, torch.pi, samples // 2)
    lower = torch.linspace(0, torch.pi, samples - samples // 2)
    first = torch.cat([torch.cos(upper), 1 - torch.cos(lower)])
    second = torch.cat([torch.sin(upper), 0.5 - torch.sin(lower)])
    x = torch.stack([first, second], dim=1)
    x = x + noise * torch.randn(x.shape)
    targets = (torch.arange(samples) >= samples // 2).long()
    order = torch.randperm(samples)
    return x[order], targets[order]


def train(seed: int, steps: int, settings: dict) -> float:
    """Trains one network on one thread; returns its test accuracy.

    Args:
      settings: samples, noise, width, learning_rate and batch_size.
    """
    import torch

    torch.set_num_threads(1)  # a second one slows steps of this size down
    torch.manual_seed(seed)
    x, targets = moons(settings["samples"], settings["noise"])
    model = network(settings["width"])
    loss_function = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=settings["learning_rate"])
    train_size = len(x) - round(len(x) * TEST)
    batches: Iterator = iter(())
    # Shuffled passes without a loader, whose workers would cost more than the steps.
    for _ in range(steps):
        rows = next(batches, None)
        if rows is None:
            batches = iter(torch.randperm(train_size).split(settings["batch_size"]))
            rows = next(batches)
        optimizer.zero_grad()
        loss_function(model(x[rows]), targets[rows]).backward()
        optimizer.step()
    with torch.no_grad():
        right = model(x[train_size:]).argmax(dim=1) == targets[train_size:]
    return float(right.float().mean())


def trajectory(weights: Weights, batches: list[Points], rate: float) -> np.ndarray:
    """Takes a step a batch from given weights; returns all weights after each, (steps, weights)."""
    import torch

    model = network(weights.first.shape[0])
    # Its parameters come in the order of ours: weight and bias of the first layer, of the second.
    with torch.no_grad():
        for mine, given in zip(model.parameters(), weights, strict=True):
            mine.copy_(torch.as_tensor(np.array(given)).reshape(mine.shape))
    loss_function = torch.nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=rate)
    states = []
    for batch in batches:
        optimizer.zero_grad()
        targets = torch.as_tensor(batch.targets.argmax(axis=0))
        loss_function(model(torch.as_tensor(batch.x.T.copy())), targets).backward()
        optimizer.step()
        states.append(
            np.concatenate([each.detach().numpy().ravel() for each in model.parameters()])
        )
    return np.stack(states)
