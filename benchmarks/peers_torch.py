"""Trains the peers' networks in PyTorch: eager, compiled, and as an ensemble of `torch.func`."""

from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy

from benchmarks.peer_worker import CLIP, LANES, RATES, Problem, Trainer, replayed


class Recurrent(nn.Module):
    """R5's network: `nn.RNN`, or a loop over time where that cannot be vmapped."""

    def __init__(self, units: int, classes: int, is_loop: bool):
        super().__init__()
        self.rnn, self.out = nn.RNN(1, units, batch_first=True), nn.Linear(units, classes)
        self.is_loop = is_loop

    def forward(self, x):
        """Computes the logits, (batch, classes)."""
        if not self.is_loop:
            return self.out(self.rnn(x)[1][0])
        rnn: Any = self.rnn
        h = x.new_zeros(x.shape[0], rnn.hidden_size)
        for now in x.unbind(1):
            from_x = nn.functional.linear(now, rnn.weight_ih_l0, rnn.bias_ih_l0)
            h = torch.tanh(from_x + nn.functional.linear(h, rnn.weight_hh_l0, rnn.bias_hh_l0))
        return self.out(h)


def place() -> str:
    """Names the device: a GPU where PyTorch has one."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def network_of(problem: Problem, is_loop: bool = False) -> Any:
    """Builds a network with the problem's weights."""
    shapes = [each.shape for each in problem.weights]
    if problem.network == "mlp":
        (width, inputs), (classes, _) = shapes[0], shapes[2]
        network: Any = nn.Sequential(nn.Linear(inputs, width), nn.ReLU(), nn.Linear(width, classes))
    elif problem.network == "cnn":
        network = nn.Sequential(*convolutions(shapes))
    else:
        network = Recurrent(shapes[0][0], shapes[4][0], is_loop)
    weights = list(problem.weights)
    if problem.network == "rnn":  # PyTorch lists both matrices of the cell before its biases
        weights[1], weights[2] = weights[2], weights[1]
    with torch.no_grad():
        for parameter, weight in zip(network.parameters(), weights, strict=True):
            parameter.copy_(torch.tensor(weight))
    return network.to(place())


def convolutions(shapes) -> list[nn.Module]:
    """Lists the modules of the CNN: blocks that halve the picture, then an affine map."""
    modules: list[nn.Module] = []
    *kernels, (classes, units), _ = shapes
    for out, into, *_ in kernels[::2]:
        modules += [nn.Conv2d(into, out, 3, 1, 1), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    return [*modules, nn.Flatten(), nn.Linear(units, classes)]


def optimizer_of(problem: Problem, parameters) -> Any:
    """Makes the optimizer that a network is trained with."""
    rate = RATES[problem.network]
    if problem.network == "rnn":
        return torch.optim.RMSprop(parameters, lr=rate, alpha=0.99, eps=1e-8)
    return torch.optim.SGD(parameters, lr=rate)


def tensors(x, targets) -> tuple[Any, Any]:
    """Puts rows on the device."""
    return torch.from_numpy(x).to(place()), torch.from_numpy(targets).to(place())


def wait() -> None:
    """Waits for the device."""
    if place() == "cuda":
        torch.cuda.synchronize()


def palindromes(count: int, steps: int) -> tuple[Any, Any]:
    """Draws the first digits of palindromes, (count, steps, 1), and their last one, (count,)."""
    half = torch.randint(0, 10, (count, (steps + 2) // 2), device=place())
    mirrored = half.flip(1)[:, (steps + 1) % 2 :]
    return torch.cat([half, mirrored], 1)[:, :-1, None].float(), half[:, 0]


def eager(problem: Problem, threads: int) -> Trainer:
    """Makes the loop that a tutorial has."""
    return loop(problem, threads, lambda function: function)


def compiled(problem: Problem, threads: int) -> Trainer:
    """Makes the same loop with the network and its loss compiled."""
    return loop(problem, threads, torch.compile)


def loop(problem: Problem, threads: int, transform) -> Trainer:
    """Makes a loop of one network."""
    torch.set_num_threads(threads)
    network = network_of(problem)
    optimizer = optimizer_of(problem, network.parameters())
    computed = transform(lambda x, targets: cross_entropy(network(x), targets))
    x, targets = tensors(problem.x, problem.targets)
    clips, batch_size = problem.network == "rnn", problem.batch_size

    def train(x, targets):
        optimizer.zero_grad()
        computed(x, targets).backward()
        if clips:
            nn.utils.clip_grad_norm_(network.parameters(), CLIP)
        optimizer.step()

    def step():
        if clips:
            train(*palindromes(batch_size, problem.x.shape[1]))
        elif batch_size == len(x):
            train(x, targets)
        else:
            rows = torch.randperm(len(x), device=x.device)[:batch_size]
            train(x[rows], targets[rows])

    def loss() -> float:
        with torch.no_grad():
            return float(cross_entropy(network(x), targets))

    def update(x, targets):
        train(*tensors(x, targets))

    return Trainer(replayed(problem, update, loss), step, wait)


def ensemble(problem: Problem, threads: int) -> Trainer:
    """Makes many networks as one: stacked weights, and a vmapped gradient."""
    torch.set_num_threads(threads)
    lanes = LANES[problem.network]
    network = network_of(problem, is_loop=True)
    params, buffers = torch.func.stack_module_state([network] * lanes)  # type: ignore[arg-type]
    optimizer = optimizer_of(problem, list(params.values()))
    x, targets = tensors(problem.x, problem.targets)
    is_rnn, batch_size = problem.network == "rnn", problem.batch_size

    def loss_of(params, x, targets):
        return cross_entropy(torch.func.functional_call(network, (params, buffers), (x,)), targets)

    def gradients_of(params, x, targets):
        gradients = torch.func.grad(loss_of)(params, x, targets)
        if not is_rnn:
            return gradients
        norm = torch.sqrt(sum((each * each).sum() for each in gradients.values()))  # type: ignore
        factor = torch.clamp(CLIP / (norm + 1e-6), max=1.0)
        return {name: each * factor for name, each in gradients.items()}

    def train(x, targets):
        detached = {name: each.detach() for name, each in params.items()}
        gradients = torch.func.vmap(gradients_of)(detached, x, targets)
        for name, each in params.items():
            each.grad = gradients[name]
        optimizer.step()

    def step():
        if is_rnn:
            drawn = palindromes(lanes * batch_size, problem.x.shape[1])
            train(*(each.unflatten(0, (lanes, batch_size)) for each in drawn))
        elif batch_size == len(x):
            train(x.expand(lanes, *x.shape), targets.expand(lanes, -1))
        else:
            order = torch.rand(lanes, len(x), device=x.device).argsort(1)[:, :batch_size]
            train(x[order], targets[order])

    def update(x, targets):
        one_x, one_targets = tensors(x, targets)
        train(one_x.expand(lanes, *one_x.shape), one_targets.expand(lanes, -1))

    def loss() -> float:
        with torch.no_grad():
            each = torch.func.vmap(loss_of, in_dims=(0, None, None))(params, x, targets)
        return float(each.mean())

    return Trainer(replayed(problem, update, loss), step, wait, units=lanes)
