"""How are lanes best laid out on this device: batch last or first, vmapped together or in a loop?

A step of so many lanes, each with weights of its own, by SGD on one fixed batch: R1's MLP 2-20-2 at
batch 32, and a CNN of two blocks on 8x8 pictures. With the batch last the network is ours, with the
batch first it is Flax's (pictures then have their channels last). The lanes are vmapped, so that
convolutions with weights of their own become grouped ones, or go one after the other (`lax.map`).
All are one compiled program of a loop of steps; no batch is drawn, nothing is evaluated. It is what
a default per backend would rest on.

Command: python -m benchmarks layouts
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax

from benchmarks import peers_jax
from benchmarks.harness import Benchmark, Case, Contestant, Quick, Setting, Work, product
from benchmarks.peer_problems import parts_of, problem_of
from benchmarks.peer_worker import RATES
from benchmarks.timing import repeated
from jaxdl.sampling import seed_key

BATCH, STEPS = 32, 16


def make(is_last: bool, is_vmapped: bool, case: Case, setting: Setting) -> Work:
    """Makes a burst of steps of all lanes."""
    lanes, rate = case["lanes"], RATES[case["network"]]
    loss_of, params = batch_last(case["network"]) if is_last else batch_first(case["network"])

    def step(params):
        gradients = jax.grad(loss_of)(params)
        return jax.tree.map(lambda weight, slope: weight - rate * slope, params, gradients)

    def of_lanes(params):
        return jax.vmap(step)(params) if is_vmapped else jax.lax.map(step, params)

    @jax.jit
    def run(params):
        return jax.lax.fori_loop(0, STEPS, lambda _, params: of_lanes(params), params)

    stacked = jax.tree.map(lambda leaf: jnp.stack([leaf] * lanes), params)
    trained = run(stacked)
    loss = float(jax.vmap(loss_of)(trained).mean())
    burst = repeated(lambda: run(stacked), setting.seconds, units=lanes * STEPS)
    return Work(burst, loss=loss)


def batch_last(network: str):
    """Gives the loss of our network on a batch, and its weights."""
    task, model = parts_of(network)
    problem = problem_of(network, BATCH)
    x = jnp.asarray(np.moveaxis(problem.batches_x[0], 0, -1))
    targets = jnp.asarray(problem.batches_targets[0], jnp.int32)
    _, state = model.init(seed_key(0))

    def loss_of(params):
        return task.loss(model.apply(params, state, x, train=True)[0], targets).mean()

    leaves = [jnp.asarray(weight) for weight in problem.weights]
    tree = jax.tree.structure(model.init(seed_key(0))[0])
    return loss_of, jax.tree.unflatten(tree, leaves)


def batch_first(network: str):
    """Gives the loss of Flax's network on the same batch, and the same weights."""
    problem = problem_of(network, BATCH)
    module, variables = peers_jax.network_of(problem)
    x = jnp.asarray(peers_jax.channels_last(problem, problem.batches_x[0]))
    targets = jnp.asarray(problem.batches_targets[0], jnp.int32)

    def loss_of(variables):
        logits = module.apply(variables, x)
        return optax.softmax_cross_entropy_with_integer_labels(logits, targets).mean()

    return loss_of, variables


def contestants() -> dict[str, Contestant]:
    """Lists both layouts, both ways."""
    listed = {}
    for layout, is_last in (("last", True), ("first", False)):
        for way, is_vmapped in (("vmapped", True), ("looped", False)):
            made = functools.partial(make, is_last, is_vmapped)
            listed[f"{layout}, {way}"] = Contestant(made, ours=is_last)
    return listed


BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=product(network=["mlp", "cnn"], lanes=[16, 512]),
    contestants=contestants(),
    quick=Quick(cases=product(network=["mlp", "cnn"], lanes=[4]), seconds=0.02),
    agreement=1e-3,
    headline=({"network": "cnn"}, "last, looped"),
)
