"""Schedules, label smoothing and a whole training recipe of PyTorch, kept as the reference of
test_schedules and test_recipe.

Needs ``pip install torch==2.13.0``, which the tests do not. Run once, by hand, from the repository
root:

    python tests/golden/make_training.py

It writes into the folder training next to itself: schedules.npz, the rates of each scheduler;
smoothing.npz, values and gradients of smoothed cross-entropies; recipe.npz, a run with momentum,
weight decay, clipping, smoothing, a schedule and micro-batches: data, initial and final weights,
rows of the batches, losses and gradient norms.
"""

import pathlib

import numpy as np
import torch
from torch.optim import lr_scheduler

FOLDER = pathlib.Path(__file__).with_name("training")
RATE, STEPS = 0.2, 20
SCHEDULERS = {
    "cosine": lambda sgd: lr_scheduler.CosineAnnealingLR(sgd, STEPS, eta_min=0.02),
    "one_cycle": lambda sgd: lr_scheduler.OneCycleLR(sgd, RATE, total_steps=STEPS),
    "linear": lambda sgd: lr_scheduler.LinearLR(sgd, 1.0, 0.1, total_iters=STEPS),
    "multi_step": lambda sgd: lr_scheduler.MultiStepLR(sgd, [5, 12, 13], gamma=0.5),
    "step": lambda sgd: lr_scheduler.StepLR(sgd, 6, gamma=0.1),
    "warm_up": lambda sgd: lr_scheduler.SequentialLR(
        sgd,
        [
            lr_scheduler.LinearLR(sgd, 0.25, 1.0, total_iters=4),
            lr_scheduler.CosineAnnealingLR(sgd, STEPS - 4),
        ],
        milestones=[4],
    ),
    "triangular": lambda sgd: lr_scheduler.LambdaLR(sgd, triangle),
}


def triangle(count: int) -> float:
    """A share that rises from 0.1 to 1 at a quarter of the steps, and falls to 0."""
    return float(np.interp(count, [0, STEPS / 4, STEPS], [0.1, 1.0, 0.0]))


def rates(make_scheduler) -> np.ndarray:
    """The rate of each of `STEPS` updates."""
    sgd = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=RATE)
    scheduler, rates = make_scheduler(sgd), []
    for _ in range(STEPS):
        rates.append(sgd.param_groups[0]["lr"])
        sgd.step()
        scheduler.step()
    return np.array(rates)


def smoothing_arrays() -> dict:
    """Values and gradients, in PyTorch's layout, of smoothed cross-entropies."""
    rng = np.random.default_rng(5)
    logits = np.float32(rng.normal(size=(6, 4)) * 3)
    targets = rng.integers(0, 4, 6)
    arrays = {"logits": logits, "targets": targets.astype(np.int32)}
    for name, smoothing in (("none", 0.0), ("some", 0.1), ("all", 1.0)):
        outputs = torch.from_numpy(logits).requires_grad_()
        each = torch.nn.functional.cross_entropy(
            outputs, torch.from_numpy(targets), label_smoothing=smoothing, reduction="none"
        )
        each.sum().backward()
        arrays |= {
            f"smoothing_{name}": np.float32(smoothing),
            f"values_{name}": each.detach().numpy(),
            f"grads_{name}": outputs.grad.numpy(),
        }
    return arrays


def recipe_arrays(steps: int = 40, batch_size: int = 20, micro: int = 5) -> dict:
    """A run with all of it: gradients of micro-batches are added up before they are clipped."""
    rng = np.random.default_rng(6)
    torch.manual_seed(6)
    x = np.float32(rng.normal(size=(2, 100)))
    targets = (x[0] * x[1] > 0).astype(np.int64)
    rows = np.stack([rng.permutation(100)[:batch_size] for _ in range(steps)])
    model = torch.nn.Sequential(torch.nn.Linear(2, 12), torch.nn.Tanh(), torch.nn.Linear(12, 2))
    arrays = {"x": x, "targets": targets.astype(np.int32), "rows": rows.astype(np.int32)}
    arrays |= {f"start_{n}": p.detach().numpy().copy() for n, p in enumerate(model.parameters())}
    sgd = torch.optim.SGD(
        model.parameters(), lr=0.3, momentum=0.9, nesterov=True, weight_decay=0.01
    )
    scheduler = lr_scheduler.OneCycleLR(sgd, 0.3, total_steps=steps, cycle_momentum=False)
    losses, norms = [], []
    for batch in rows:
        sgd.zero_grad()
        loss = 0.0
        for part in batch.reshape(-1, micro):
            outputs = model(torch.from_numpy(x[:, part].T))
            wanted = torch.from_numpy(targets[part])
            mean = torch.nn.functional.cross_entropy(outputs, wanted, label_smoothing=0.1)
            share = mean * micro / batch_size
            share.backward()
            loss += share.item()
        norms.append(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.3).item())
        sgd.step()
        scheduler.step()
        losses.append(loss)
    arrays |= {f"end_{n}": p.detach().numpy() for n, p in enumerate(model.parameters())}
    return {**arrays, "loss": np.float32(losses), "norm": np.float32(norms)}


if __name__ == "__main__":
    torch.set_num_threads(1)
    FOLDER.mkdir(exist_ok=True)
    schedules = {name: rates(make) for name, make in SCHEDULERS.items()}
    np.savez_compressed(FOLDER / "schedules.npz", **schedules)
    np.savez_compressed(FOLDER / "smoothing.npz", **smoothing_arrays())
    recipe = recipe_arrays()
    np.savez_compressed(FOLDER / "recipe.npz", **recipe)
    print(f"loss {recipe['loss'][0]:.4f} -> {recipe['loss'][-1]:.4f}")
    print(
        f"gradient norms {recipe['norm'].min():.3f} to {recipe['norm'].max():.3f}, clipped at 0.3"
    )
