"""Wrong arguments are refused in one line: the argument, what it must be, what was given."""

import functools
import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen, nnx

from experiments import unit_square
from experiments.convolution import convolution
from jaxdl import Metric, Result, Study, layers, load, losses, make_train, models, tasks
from jaxdl.planning.spec import seed_list
from jaxdl.types import Dataset, Model, Task

TASK, MODEL, SGD = tasks.moons(40), models.mlp(2, (3,)), optax.sgd(0.1)
X, Y = np.zeros((10, 2), np.float32), np.arange(10) % 2
KEY = jax.random.key(0)
FLOATS = tasks.from_arrays(X, np.zeros(10, np.float32))


class LinenNet(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(x)


class NNXNet(nnx.Module):
    def __init__(self, *, rngs):
        self.layer = nnx.Linear(2, 2, rngs=rngs)

    def __call__(self, x):
        return self.layer(x)


def foreign(module: str, called=lambda self, x: x):
    """An instance of a class that some other library is the home of."""
    return type("Net", (), {"__module__": module, "__call__": called})()


def plan(task=TASK, model=MODEL, optimizer=SGD, **options):
    return Study(task, model, optimizer, **{"steps": 4, "batch_size": 8, **options}).plan()


def train(task=TASK, model=MODEL, optimizer=SGD, key=KEY, dataset=None, **options):
    run = make_train(task, model, optimizer, **{"steps": 2, **options})
    return jax.eval_shape(lambda: run(key, dataset))


def weights(key):
    return jax.random.normal(key, (2, 2))


def linear(params, state, x, *, key=None, train=False):
    return params @ x, state


def stateless(apply):
    return Model(lambda key: (weights(key), ()), apply)


def three(key):
    return (jax.random.normal(key, (2, 3)), jnp.zeros(2)), ()


def affine(params, state, x, *, key=None, train=False):
    return params[0] @ x + params[1][:, None], state


def result():
    fine = {"status": "finished", "diverged_at": None}
    lanes = [{"a": a, "seed": seed, **fine} for a in (1, 2) for seed in (0, 1)]
    return Result(
        lanes,
        {"test_accuracy": np.zeros((4, 2), np.float32)},
        np.array([0, 4]),
        ("a",),
        None,
        metrics={"accuracy": True},
    )


DECLARED = {
    "task None": (
        lambda: plan(task=None),
        "^task must be a Task, or a function of hp that returns one, got None: write task=tasks",
    ),
    "model None": (
        lambda: plan(model=None),
        "^model must be a Model, or a function of hp .*, got None: write model=models.mlp",
    ),
    "optimizer None": (
        lambda: plan(optimizer=None),
        "^optimizer must be an optax optimizer, .*, got None: write optimizer=lambda hp",
    ),
    "task by name": (lambda: plan(task="moons"), "^task must be .*got 'moons': write task=tasks"),
    "model by name": (lambda: plan(model="mlp"), "^model must be .*got 'mlp': write model=models"),
    "optimizer by name": (
        lambda: plan(optimizer="adam"),
        "^optimizer must be .*got 'adam': write optimizer=lambda hp: optax.adam",
    ),
    "a tuple of arrays": (lambda: plan(task=(X, Y)), r"^task must be .*tasks\.from_arrays\(X, y\)"),
    "a dataset as task": (
        lambda: plan(task=Dataset(X.T, Y, X.T, Y)),
        r"^task must be .*task=tasks\.classification\(dataset\)$",
    ),
    "task unbuilt": (
        lambda: plan(task=tasks.moons),
        r"^task must be .*: write task=tasks\.moons\(\.\.\.\)",
    ),
    "model unbuilt": (
        lambda: plan(model=models.mlp),
        r"^model must be .*: write model=models\.mlp\(\.\.\.\)",
    ),
    "sgd unbuilt": (
        lambda: plan(optimizer=optax.sgd),
        r"^optimizer must be .*: write optimizer=lambda hp: optax\.sgd\(hp\.learning_rate\)$",
    ),
    "adam in part": (
        lambda: plan(optimizer=functools.partial(optax.adam, b1=0.5)),
        r"^optimizer must be .*lambda hp: optax\.adam\(hp",
    ),
    "injected": (
        lambda: plan(optimizer=optax.inject_hyperparams(optax.adam)),
        "^optimizer must be .*write optimizer=lambda hp",
    ),
    "a schedule": (
        lambda: plan(optimizer=optax.cosine_decay_schedule(0.1, 10)),
        "^optimizer must be .*write optimizer=lambda hp",
    ),
    "MultiSteps unbuilt": (
        lambda: plan(optimizer=optax.MultiSteps),
        "^optimizer must be .*write optimizer=lambda hp",
    ),
    "model for optimizer": (
        lambda: plan(optimizer=MODEL),
        "^optimizer must be an optax optimizer, .*got Model",
    ),
    "linen instance": (
        lambda: plan(model=LinenNet()),
        r"^model must be .*: write model=models\.from_flax\(module, sample_x\)$",
    ),
    "linen class": (
        lambda: plan(model=LinenNet),
        r"^model must be .*: write model=models\.from_flax",
    ),
    "nnx class": (lambda: plan(model=NNXNet), r"^model must be .*: write model=models\.from_flax"),
    "nnx class in part": (
        lambda: plan(model=functools.partial(nnx.Linear, 2, 2)),
        r"^model must be .*: write model=models\.from_flax",
    ),
    "nnx instance": (
        lambda: plan(model=NNXNet(rngs=nnx.Rngs(0))),
        r"^model must be .*: write model=models\.from_flax",
    ),
    "equinox": (
        lambda: plan(model=foreign("equinox.nn")),
        r"^model must be .*: write model=models\.from_equinox\(module\)",
    ),
    "torch": (
        lambda: plan(model=foreign("torch.nn.modules.linear")),
        r"^model must be .*: write model=types\.Model\(init, apply\)",
    ),
    "model a pair": (
        lambda: plan(model=(weights, linear)),
        r"^model must be .*types\.Model\(init, apply\)$",
    ),
    "a function of nothing": (
        lambda: plan(optimizer=lambda: SGD),
        r"^optimizer must be a function of hp alone .*got <lambda>\(\)$",
    ),
    "init no function": (
        lambda: plan(model=Model(3, linear)),
        r"^model.init must be a function \(key\) -> \(params, state\), got 3$",
    ),
    "init without key": (
        lambda: plan(model=Model(lambda: 0, linear)),
        r"^model.init must be a function \(key\) .*got <lambda>\(\)$",
    ),
    "apply no function": (
        lambda: plan(model=Model(three, None)),
        r"^model.apply must be a function \(params, state, x.*got None$",
    ),
    "apply without key": (
        lambda: plan(model=Model(three, lambda params, state, x: x)),
        r"^model.apply must be .*got <lambda>\(params, state, x\)$",
    ),
    "loss no function": (
        lambda: plan(task=TASK._replace(loss="mse")),
        r"^task.loss must be a function \(outputs, targets\) .*'mse'$",
    ),
    "loss of one": (
        lambda: plan(task=TASK._replace(loss=lambda outputs: outputs)),
        r"^task.loss must be .*got <lambda>\(outputs\)$",
    ),
    "data a tuple": (
        lambda: plan(task=TASK._replace(data=(X, Y))),
        r"^task.data must be a Dataset or a function \(key\) -> Dataset, got a tuple of 2",
    ),
    "data None": (
        lambda: plan(task=TASK._replace(data=None)),
        r"^task.data must be a Dataset or a function .*got None: see types.Dataset$",
    ),
    "data of nothing": (
        lambda: plan(task=TASK._replace(data=lambda: 0)),
        r"^task.data must be a function \(key\) -> Dataset, got <lambda>\(\)$",
    ),
    "metrics a list": (
        lambda: plan(task=TASK._replace(metrics=[losses.accuracy])),
        "^metrics must be a dict of name -> Metric, got",
    ),
    "metric of one": (
        lambda: plan(task=TASK._replace(metrics={"m": Metric(lambda o: o, True)})),
        r"^metric 'm' must be .*<lambda>\(o\)$",
    ),
    "augment": (
        lambda: plan(task=TASK._replace(augment="flip")),
        r"^task.augment must be a function \(key, x, targets\).*'flip'$",
    ),
    "prepare": (
        lambda: plan(task=TASK._replace(prepare=255)),
        r"^task.prepare must be a function \(x\) -> x, got 255$",
    ),
    "batch": (
        lambda: plan(task=TASK._replace(batch=32)),
        r"^task.batch must be a function \(dataset, key, step, batch_size\).*got 32$",
    ),
    "record no function": (
        lambda: plan(record={"norm": 3}),
        r"^record 'norm' must be a function \(StepInfo\) -> scalar, got 3$",
    ),
    "record of nothing": (
        lambda: plan(record={"norm": lambda: 0}),
        r"^record 'norm' must be .*got <lambda>\(\)$",
    ),
    "record a function": (
        lambda: plan(record=lambda info: 0),
        "^record must be a dict of name -> function .*got <function",
    ),
    "record a list": (
        lambda: plan(record=["norm"]),
        r"^record must be a dict of name -> function .*got \['norm'\]$",
    ),
    "eval_params": (
        lambda: plan(eval_params="ema"),
        r"^eval_params must be a function \(params, opt_state\) -> params, got 'ema'$",
    ),
    "eval_params of one": (
        lambda: plan(eval_params=lambda params: params),
        r"^eval_params must be a function .*<lambda>\(params\)$",
    ),
    "steps": (
        lambda: plan(steps=2**31),
        "^steps must be an integer from 1 to 2147483646, got 2147483648$",
    ),
    "steps of two": (
        lambda: plan(steps=lambda hp, other: 3),
        r"^steps must be a function of hp alone, got <lambda>\(hp, other\)$",
    ),
    "steps a float": (lambda: plan(steps=10.0), "^steps must be an integer .*got 10.0$"),
    "batch_size": (
        lambda: plan(batch_size="all"),
        "^batch_size must be a positive integer, got 'all'$",
    ),
    "reduction": (
        lambda: plan(reduction=np.zeros(2)),
        "^reduction must be one of 'mean', 'sum', got an array of shape",
    ),
    "sampling": (lambda: plan(sampling=3), "^sampling must be one of 'step', 'epoch', got 3"),
    "sweep": (
        lambda: plan(sweep=3),
        "^sweep must be a dict of name -> values, or a list of configs, got 3$",
    ),
    "sweep of a number": (
        lambda: plan(sweep={"a": 3}),
        "^sweep of a must be a list of values, got 3$",
    ),
    "sweep of arrays": (
        lambda: plan(sweep={"a": np.zeros((2, 2))}),
        r"^sweep of a must be a list of values, got an array of shape \(2, 2\)",
    ),
    "sweep of lists": (
        lambda: plan(sweep={"a": [[1]]}),
        r"^sweep of a must hold numbers.*got \[1\]$",
    ),
    "sweep an array": (lambda: plan(sweep=np.array(3)), r"^sweep must be a dict"),
    "sweep of nameless": (
        lambda: plan(sweep=[{1: 2}]),
        "^a hyper-parameter must be named as hp.NAME can read it, got 1$",
    ),
    "sweep uneven": (
        lambda: plan(sweep=[{1: 2}, {"a": 2}]),
        "^sweep must name the same hyper-parameters",
    ),
    "defaults": (
        lambda: plan(defaults=3),
        "^defaults must be a dict of hyper-parameter -> value, got 3$",
    ),
    "seeds a word": (
        lambda: plan(seeds="3"),
        "^seeds must be a positive integer, or a sequence of integers, got '3'$",
    ),
    "seeds a float": (lambda: plan(seeds=3.0), "^seeds must be a positive integer, .*got 3.0$"),
    "seeds a bool": (lambda: plan(seeds=True), "^seeds must be a positive integer, .*got True$"),
    "seeds a set": (lambda: plan(seeds={1, 2}), r"^seeds must be .*got \{1, 2\}$"),
    "seeds negative": (
        lambda: plan(seeds=[0, -1]),
        "^seeds must be integers from 0 to 4294967295, got -1$",
    ),
    "seeds too many": (
        lambda: plan(seeds=2**33),
        "^seeds must be an integer from 1 to 4294967296, got 8589934592$",
    ),
    "sweep of a large int": (
        lambda: plan(sweep={"a": [10**400]}),
        "^sweep of a must hold numbers that a float32 holds, got 1000",
    ),
    "data of lists": (
        lambda: plan(TASK._replace(data=Dataset([[1.0]], [0], [[1.0]], [0]))),
        r"^train_x must be a NumPy or JAX array, got list$",
    ),
    "seeds a point": (lambda: plan(seeds=np.array(3)), r"^seeds must be .*got array\(3\)$"),
    "shapes": (lambda: plan(shapes=3), "^shapes must be one of 'auto', 'pad', 'bucket', got 3"),
    "lane_size": (lambda: plan(lane_size=2.0), "^lane_size must be a positive integer, got 2.0$"),
    "norm_bound": (
        lambda: plan(norm_bound="big"),
        "^norm_bound must be a number above 0 .*got 'big'$",
    ),
    "epochs": (
        lambda: plan(epochs=3),
        "^unknown argument 'epochs': known are task, model, .*; did you mean 'steps'",
    ),
    "lr": (
        lambda: plan(lr=3),
        r"^unknown argument 'lr': .*did you mean \"defaults=\{'learning_rate': ...\}\"",
    ),
    "batchsize": (
        lambda: plan(batchsize=3),
        "^unknown argument 'batchsize': .*did you mean 'batch_size'",
    ),
}

TRACED = {
    "optimizer a loss": (
        lambda: plan(optimizer=lambda hp: 0.1),
        "^optimizer must be a function of hp that returns an optax optimizer, got .* 0.1: write",
    ),
    "return forgotten": (
        lambda: plan(optimizer=lambda hp: None),
        "^optimizer must be .*got one that returns None: is a return missing",
    ),
    "model forgotten": (
        lambda: plan(model=lambda hp: None),
        "^model must be .*got one that returns None: is a return missing",
    ),
    "model a tuple": (
        lambda: plan(model=lambda hp: (1, 2)),
        r"^model must be .*returns \(1, 2\): write model=",
    ),
    "model a module": (
        lambda: plan(model=lambda hp: LinenNet()),
        r"^model must be .*: write model=models\.from_flax\(module, sample_x\)$",
    ),
    "optimizer unbuilt": (
        lambda: plan(optimizer=lambda hp: optax.adam),
        r"^optimizer must be .*: write optimizer=lambda hp: optax\.adam\(hp",
    ),
    "task a dataset": (
        lambda: plan(task=lambda hp: Dataset(X.T, Y, X.T, Y)),
        r"^task must be .*task=tasks\.classification\(dataset\)$",
    ),
    "hp as a number": (
        lambda: plan(optimizer=lambda hp: optax.sgd(2 * hp)),
        "^hp is no number: read a hyper-parameter by its name, as in hp.learning_rate$",
    ),
    "hp as a dict": (
        lambda: plan(optimizer=lambda hp: optax.sgd(hp["lr"])),
        r"^hyper-parameters are read as attributes, got hp\['lr'\]: write hp.NAME$",
    ),
    "only params": (
        lambda: plan(model=Model(weights, linear)),
        r"^model.init must return \(params, state\), got an array of shape \(2, 2\)",
    ),
    "params a dict": (
        lambda: plan(model=Model(lambda key: {"w": weights(key), "b": 0.0}, linear)),
        r"^model.init must return \(params, state\), got a dict",
    ),
    "params a layer": (
        lambda: plan(model=Model(lambda key: layers.Dense(weights(key), None), linear)),
        r"^model.init must return .*got a Dense of 2",
    ),
    "only outputs": (
        lambda: plan(model=stateless(lambda params, state, x, *, key, train: params @ x)),
        r"^model.apply must return \(outputs, state\), got an array of shape \(2, 32\)",
    ),
    "another state": (
        lambda: plan(
            model=Model(
                lambda key: (weights(key), ()),
                lambda params, state, x, *, key, train: (params @ x, None),
            )
        ),
        r"^model.apply must give a state like that of init, \(\), got None$",
    ),
    "state of another shape": (
        lambda: plan(
            model=Model(
                lambda key: (weights(key), jnp.zeros(2)),
                lambda params, state, x, *, key, train: (params @ x, jnp.zeros(1)),
            )
        ),
        "^model.apply must give a state like that of init, .*2.*, got .*1",
    ),
    "integer weights": (
        lambda: plan(model=Model(lambda key: (jnp.ones((2, 2), jnp.int32), ()), linear)),
        r"^model.init must return params that are arrays of floats, got an array .* int32$",
    ),
    "weights that are numbers": (
        lambda: plan(model=Model(lambda key: ([weights(key), 0.5], ()), linear)),
        "^model.init must return params that are arrays of floats, got 0.5$",
    ),
    "updates alone": (
        lambda: plan(optimizer=optax.GradientTransformation(SGD.init, lambda g, s, p=None: g)),
        "^optimizer.update must give updates like params, .*, got Dense",
    ),
    "updates of something else": (
        lambda: plan(optimizer=optax.GradientTransformation(SGD.init, lambda g, s, p: (g[0], s))),
        "^optimizer.update must give updates like params, .*, got Dense",
    ),
    "another opt_state": (
        lambda: plan(optimizer=optax.GradientTransformation(SGD.init, lambda g, s, p=None: (g, 3))),
        "^optimizer.update must give an opt_state like that of init, .*, got 3$",
    ),
    "outputs forgotten": (
        lambda: plan(model=stateless(lambda params, state, x, *, key, train: (None, state))),
        r"^model.apply must return \(outputs, state\), got outputs None$",
    ),
    "an activation of all": (
        lambda: plan(model=models.mlp(2, (3,), activation=jnp.sum)),
        r"^activation must give x's shape \(3, 32\), got",
    ),
    "a scheme of nothing": (
        lambda: plan(model=models.mlp(2, (3,), init=lambda key, outputs, inputs: None)),
        r"^init must be a scheme that returns a Dense, weight \(3, 2\) and bias \(3,\), got None$",
    ),
    "prepare forgotten": (
        lambda: plan(TASK._replace(prepare=lambda x: None)),
        "^task.prepare must give arrays whose last axis is the batch, got None, an array",
    ),
    "augment another batch": (
        lambda: plan(TASK._replace(augment=lambda key, x, targets: (x[:, :1], targets))),
        r"^task.augment must give arrays whose last axis is the batch, got .*\(2, 1\).*\(8,\)",
    ),
    "batch of numbers": (
        lambda: plan(TASK._replace(batch=lambda data, key, step, size: (1, 2, 3))),
        "^task.batch must give arrays whose last axis is the batch, got 1, 2, 3$",
    ),
    "steps of a sequence": (
        lambda: plan(tasks.palindromes(4), models.rnn(1, 3, length=9)),
        "^length must be at most the 3 steps of x, got 9$",
    ),
    "features": (lambda: plan(model=models.mlp(3)), "^model takes 3 features, got data with 2"),
    "features of a perceptron": (
        lambda: plan(unit_square.linear(20), models.perceptron(1)),
        "^model takes 1 features, got data with 2",
    ),
    "features of a convolution": (
        lambda: plan(unit_square.linear(20), convolution(3)),
        "^model takes 3 features, got data with 2",
    ),
    "features of a sequence": (
        lambda: plan(tasks.palindromes(4), models.rnn(10, 3)),
        "^model takes 10 features, got data with 1",
    ),
    "points for a sequence": (
        lambda: plan(model=models.rnn(2, 3, 2)),
        r"^x must be \(time, features, batch\) for this model, got an array of shape \(2, 32\)",
    ),
    "features of a user's model": (
        lambda: plan(model=Model(three, affine)),
        r"^model takes 3 features, got data with 2 \(x of shape \(2, 32\).*TypeError: dot_general",
    ),
    "features of Flax": (
        lambda: plan(model=models.from_flax(LinenNet(), np.zeros((1, 3)))),
        "^model takes 3 features, got data with 2",
    ),
    "features of a function of hp": (
        lambda: plan(model=lambda hp: models.mlp(hp.i), sweep={"i": [3, 4]}),
        "^model takes 3 features, got data with 2",
    ),
    "outputs": (
        lambda: plan(FLOATS, models.mlp(2, outputs=2), batch_size=None),
        r"^squared_error takes targets of the outputs' shape.*outputs \(2, 8\) and targets \(8,\)",
    ),
    "data forgotten": (
        lambda: plan(TASK._replace(data=lambda key: None)),
        r"^task.data must be a Dataset or a function \(key\) -> Dataset, got None",
    ),
    "data a pair": (
        lambda: plan(TASK._replace(data=lambda key: (X.T, Y))),
        r"^task.data must be a Dataset .*got a tuple of 2",
    ),
    "batch a pair": (
        lambda: plan(TASK._replace(batch=lambda data, key, step, size: data[:2])),
        r"^task.batch must return \(x, targets, weight\), got a tuple of 2",
    ),
    "augment x alone": (
        lambda: plan(TASK._replace(augment=lambda key, x, targets: x)),
        r"^task.augment must return \(x, targets\), got an array of shape \(2, 8\)",
    ),
    "loss forgotten": (
        lambda: plan(TASK._replace(loss=lambda outputs, targets: None)),
        "^loss must give .*got None",
    ),
    "metric forgotten": (
        lambda: plan(TASK._replace(metrics={"m": Metric(lambda outputs, targets: None, True)})),
        r"^metric 'm' must give .*got None",
    ),
    "record a vector": (
        lambda: plan(record={"norm": lambda info: jnp.zeros(3)}),
        r"^record 'norm' must give a real scalar, got shape \(3,\)",
    ),
    "record forgotten": (
        lambda: plan(record={"norm": lambda info: None}),
        "^record 'norm' must give a scalar, got None$",
    ),
    "record a word": (
        lambda: plan(record={"norm": lambda info: "big"}),
        "^record 'norm' must give a scalar, got 'big'$",
    ),
    "record params": (
        lambda: plan(record={"norm": lambda info: info.params}),
        r"^record 'norm' must give a scalar, got \(Dense",
    ),
    "eval_params a pair": (
        lambda: plan(eval_params=lambda params, state: (params, state)),
        "^eval_params must give a tree like params",
    ),
    "eval_params forgotten": (
        lambda: plan(eval_params=lambda params, state: None),
        "^eval_params must give a tree like params.*got None",
    ),
    "steps forgotten": (
        lambda: plan(steps=lambda hp: None),
        "^steps must be an integer .*got None$",
    ),
    "steps a function of a function": (
        lambda: plan(steps=lambda hp: len),
        "^steps must be a function of hp that returns a value, got one that returns <built-in",
    ),
    "batch_size too large": (
        lambda: plan(batch_size=33),
        "^batch_size must be an integer from 1 to 32, got 33$",
    ),
}

BARE = {
    "task": (lambda: train(task="moons"), "^task must be a Task, got 'moons': write"),
    "a function of hp": (
        lambda: train(model=lambda hp: MODEL),
        "^model must be a Model, got <function",
    ),
    "optimizer": (
        lambda: train(optimizer=optax.sgd),
        "^optimizer must be an optax optimizer, got <function sgd.*lambda hp: optax.sgd",
    ),
    "steps": (
        lambda: train(steps=2**31),
        "^steps must be an integer from 1 to 2147483646, got 2147483648$",
    ),
    "batch_size": (
        lambda: make_train(TASK, MODEL, SGD, steps=1, batch_size="all"),
        "^batch_size must be a positive integer, got 'all'$",
    ),
    "record": (lambda: train(record=3), "^record must be a dict of name -> function .*got 3$"),
    "eval_params": (lambda: train(eval_params=3), "^eval_params must be a function .*got 3$"),
    "epochs": (
        lambda: train(epochs=3),
        "^unknown argument 'epochs': known are task, .*; did you mean 'steps'",
    ),
    "an int for a key": (
        lambda: train(key=0),
        r"^key must be a jax PRNG key such as jax.random.key\(0\), got 0$",
    ),
    "a float array for a key": (
        lambda: train(key=jnp.zeros(2)),
        r"^key must be a jax PRNG key .*got an array of shape \(2,\), float32$",
    ),
    "a seed array for a key": (
        lambda: train(key=jnp.arange(3)),
        r"^key must be a jax PRNG key .*got an array of shape \(3,\), int32$",
    ),
    "keys": (
        lambda: train(key=jax.random.split(KEY, 3)),
        r"^key must be a jax PRNG key .*got \(3,\) of them: jax.vmap\(train\)\(keys\)",
    ),
    "dataset": (
        lambda: train(dataset=(X.T, Y)),
        r"^task.data must be a Dataset .*got a tuple of 2",
    ),
    "only params": (
        lambda: train(model=Model(weights, linear)),
        r"^model.init must return \(params, state\)",
    ),
    "features": (lambda: train(model=models.mlp(3)), "^model takes 3 features, got data with 2"),
}

VOCABULARY = {
    "noise a word": (
        lambda: tasks.moons(noise="a"),
        "^noise must be a finite number from 0 up, got 'a'$",
    ),
    "noise None": (
        lambda: tasks.moons(noise=None),
        "^noise must be a finite number from 0 up, got None$",
    ),
    "noise a list": (lambda: tasks.moons(noise=[0.1]), r"^noise must be .*got \[0.1\]$"),
    "noise an array": (
        lambda: tasks.moons(noise=np.zeros(2)),
        r"^noise must be .*got an array of shape \(2,\), float64$",
    ),
    "noise a negative jax number": (
        lambda: tasks.moons(noise=jnp.float32(-1)),
        "^noise must be a finite",
    ),
    "noise nan": (lambda: tasks.moons(noise=float("nan")), "^noise must be .*got nan$"),
    "samples": (lambda: tasks.moons("many"), "^samples must be a positive integer, got 'many'$"),
    "samples of a line": (
        lambda: unit_square.linear(None),
        "^samples must be a positive integer, got None$",
    ),
    "fraction": (
        lambda: tasks.moons(40, test_fraction="a"),
        "^test_fraction must be a number from 0 .*got 'a'$",
    ),
    "means": (
        lambda: tasks.gaussians(means="a"),
        "^means must be two points of two finite numbers, got a$",
    ),
    "means None": (lambda: tasks.gaussians(means=None), "^means must be two points .*got None$"),
    "covariances": (lambda: tasks.gaussians(covariances=None), "^covariances must be .*got None$"),
    "sizes": (
        lambda: tasks.gaussians(samples="many"),
        "^samples must be a positive integer, got 'many'$",
    ),
    "length": (
        lambda: tasks.palindromes("long"),
        "^length must be an integer from 2 up, got 'long'$",
    ),
    "encoding": (
        lambda: tasks.palindromes(encoding=3),
        "^encoding must be one of 'number', 'one_hot', got 3",
    ),
    "X 1-d": (
        lambda: tasks.from_arrays(np.zeros(10), Y),
        r"^X must be \(n_samples, features...\), got shape \(10,\): write X\[:, None\]",
    ),
    "X None": (lambda: tasks.from_arrays(None, Y), "^X must hold numbers"),
    "split_seed": (
        lambda: tasks.from_arrays(X, Y, split_seed="a"),
        "^split_seed must be an integer from 0 to 4294967295, got 'a'$",
    ),
    "loss": (
        lambda: tasks.from_arrays(X, Y, loss="mse"),
        r"^loss must be a function \(outputs, targets\) -> \(batch,\), got 'mse'$",
    ),
    "hidden an int": (
        lambda: models.mlp(2, hidden=5),
        r"^hidden must be a sequence of widths, got 5: write hidden=\(5,\)$",
    ),
    "hidden None": (
        lambda: models.mlp(2, hidden=None),
        "^hidden must be a sequence of widths, got None",
    ),
    "hidden a float": (
        lambda: models.mlp(2, hidden=20.0),
        "^hidden must be a sequence of widths, got 20.0",
    ),
    "hidden a NumPy int": (
        lambda: models.mlp(2, hidden=np.int64(5)),
        "^hidden must be a sequence of widths, got np.int64",
    ),
    "hidden words": (
        lambda: models.mlp(2, hidden=("a",)),
        "^hidden must be a positive integer, got 'a'$",
    ),
    "hidden floats": (
        lambda: models.mlp(2, hidden=(20.0,)),
        "^hidden must be a positive integer, got 20.0$",
    ),
    "hidden bools": (
        lambda: models.mlp(2, hidden=(True,)),
        "^hidden must be a positive integer, got True$",
    ),
    "inputs": (lambda: models.mlp(None), "^inputs must be a positive integer, got None$"),
    "outputs": (
        lambda: models.mlp(2, outputs=[2]),
        r"^outputs must be a positive integer, got \[2\]$",
    ),
    "activation": (
        lambda: models.mlp(2, activation="rellu"),
        "^activation must be one of .*did you mean 'relu'",
    ),
    "activation None": (
        lambda: models.mlp(2, activation=None),
        "^activation must be a function f.x. of x's shape, .*got None$",
    ),
    "init": (
        lambda: models.mlp(2, init=3),
        "^init must be a function .key, outputs, inputs. -> Dense, .*got 3$",
    ),
    "init unbuilt": (
        lambda: models.mlp(2, init=layers.normal),
        r"^init must be .*got normal\(std\)$",
    ),
    "std": (lambda: layers.normal("a"), "^std must be a finite number from 0 up, got 'a'$"),
    "bias": (lambda: models.mlp(2, bias="no"), "^bias must be True or False, got 'no'$"),
    "dropout negative": (
        lambda: models.mlp(2, dropout_rate=-0.1),
        "^dropout_rate must be a number from 0 .*got -0.1$",
    ),
    "dropout a NumPy number": (
        lambda: models.mlp(2, dropout_rate=np.float32(-1)),
        "^dropout_rate must be a number from 0 .*got np",
    ),
    "dropout a word": (
        lambda: models.mlp(2, dropout_rate="half"),
        "^dropout_rate must be a number from 0 .*got 'half'$",
    ),
    "rnn hidden": (lambda: models.rnn(1, 5.0), "^hidden must be a positive integer, got 5.0$"),
    "rnn cell": (
        lambda: models.rnn(cell=3),
        "^cell must be one of 'vanilla', 'gru', 'lstm', got 3",
    ),
    "rnn length": (lambda: models.rnn(length="a"), "^length must be a positive integer, got 'a'$"),
    "rnn init": (lambda: models.rnn(init=None), "^init must be a function .*got None$"),
    "conv1d kernel": (
        lambda: convolution(2, 3, kernel=4),
        "^kernel must be an integer from 1 to 3, got 4$",
    ),
    "conv1d channels": (
        lambda: convolution(channels=None),
        "^channels must be a positive integer, got None$",
    ),
    "conv1d activation": (
        lambda: convolution(output_activation=3),
        "^output_activation must be a function .*got 3$",
    ),
    "perceptron": (lambda: models.perceptron("a"), "^inputs must be a positive integer, got 'a'$"),
    "perceptron bias": (
        lambda: models.perceptron(bias=None),
        "^bias must be True or False, got None$",
    ),
    "scheme": (lambda: layers.init_dense(KEY, 2, 2, "he"), "^scheme must be one of 'he_normal'"),
    "flax module": (
        lambda: models.from_flax(None, X),
        "^module must be a Linen instance, .*got None",
    ),
    "flax sample": (
        lambda: models.from_flax(LinenNet(), None),
        "^sample_x must be an example batch",
    ),
}

RESULTS = {
    "load None": (lambda: load(None), "^path must be a folder, a str or a path, got None$"),
    "load a number": (lambda: load(3), "^path must be a folder, a str or a path, got 3$"),
    "load a file": (
        lambda: load(__file__),
        "^path must be a run folder, got .*test_errors.py, which",
    ),
    "run": (
        lambda: Study(TASK, MODEL, SGD, steps=1).run(3),
        "^path must be a folder, a str or a path, got 3$",
    ),
    "final": (lambda: result().final(3), "^unknown metric 3: known are test_accuracy"),
    "final a list": (lambda: result().final(["test_accuracy"]), "^unknown metric"),
    "table": (lambda: result().table(None), "^unknown metric None"),
    "plot": (lambda: result().plot(3), "^unknown metric 3"),
    "rows": (lambda: result().rows(3), "^config must be a dict of name -> value, got 3$"),
    "rows unknown": (lambda: result().rows({"b": 3}), "^unknown axis 'b': known are a"),
    "compare numbers": (
        lambda: result().compare("test_accuracy", 1, 2),
        "^config must be a dict of name -> value, got 1$",
    ),
    "compare arrays": (
        lambda: result().compare("test_accuracy", {"a": np.zeros(2)}, {"a": 1}),
        r"^config must hold one value of a, got an array of shape \(2,\), float64$",
    ),
    "compare a number": (lambda: result().compare(3, {"a": 1}, {"a": 2}), "^unknown metric 3"),
    "compare a value": (
        lambda: result().compare("test_accuracy", {"a": 1}, {"a": 5}),
        "^config must fit some lane, got {'a': 5}",
    ),
    "compare directions": (
        lambda: result().compare("test_accuracy", {"a": 1}, {"a": 2}, "up"),
        "^higher_is_better must be .*got 'up'$",
    ),
    "best a number": (lambda: result().best(3, over="a"), "^unknown metric 3"),
    "best over": (
        lambda: result().best("test_accuracy", over=3),
        "^metric must not be of the test split",
    ),
    "replay config": (
        lambda: Study(TASK, MODEL, SGD, steps=1).replay(3, 0),
        "^config must be a dict of name -> value, got 3$",
    ),
    "replay unknown": (
        lambda: Study(TASK, MODEL, SGD, steps=1).replay({"a": 3}, 0),
        "^unknown axis 'a'",
    ),
    "replay a word": (
        lambda: Study(TASK, MODEL, SGD, steps=1).replay({}, seed="a"),
        "^seed must be an integer from 0 to 4294967295, got 'a'$",
    ),
    "replay negative": (
        lambda: Study(TASK, MODEL, SGD, steps=1).replay({}, seed=-1),
        "^seed must be an integer from 0 .*got -1$",
    ),
    "replay a bool": (
        lambda: Study(TASK, MODEL, SGD, steps=1).replay({}, seed=True),
        "^seed must be an integer from 0 .*got True$",
    ),
    "recipe": (
        lambda: Study(TASK, MODEL, SGD, steps=1).recipe("a"),
        "^config must be a dict of name -> value, got 'a'$",
    ),
}

CASES = {
    f"{kind}: {name}": case
    for kind, cases in {
        "study": DECLARED,
        "trace": TRACED,
        "bare": BARE,
        "words": VOCABULARY,
        "result": RESULTS,
    }.items()
    for name, case in cases.items()
}


@pytest.fixture
def no_compiling(monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("it was compiled")

    monkeypatch.setattr(jax.stages.Lowered, "compile", refuse)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.usefixtures("no_compiling")
def test_one_line_names_the_argument_and_what_was_given(name):
    attempt, message = CASES[name]
    with pytest.raises((ValueError, TypeError)) as caught:
        attempt()
    text = str(caught.value)  # without its notes
    assert re.search(message, text), text
    assert "\n" not in text
    assert len(text) < 500


class Mine(Exception):
    """An error of a user's own."""


def broken(kind):
    """A function of anything that raises."""

    def function(*_, **__):
        raise kind("mine")

    return function


def own(part, kind):
    """A study in which a user's own function fails at width 3."""
    fails = broken(kind)

    def made(name, hp, value):
        """The value, or at width 3 what fails in its place."""
        if hp.width != 3:
            return value
        if part == name:
            return fails()
        fields = {"metrics": {"m": Metric(fails, True)}} if part == "metric" else {part: fails}
        return value._replace(**fields) if set(fields) <= set(value._fields) else value

    options = {"eval_params": {part: fails}, "record": {part: {"norm": fails}}}.get(part, {})
    if part in SET:
        options = {part: lambda hp: fails() if hp.width == 3 else SET[part]}
    return Study(
        lambda hp: made("task", hp, TASK),
        lambda hp: made("model", hp, MODEL),
        lambda hp: made("optimizer", hp, SGD),
        sweep={"width": [3] if part in ("record", "eval_params") else ["none", 3]},
        **{"steps": 4, **options},
    )


SET = {"steps": 4, "eval_every": 2, "batch_size": 8, "reduction": "mean", "sampling": "step"}
OWN = (
    *("task", "data", "loss", "augment", "prepare", "batch", "metric"),
    *("model", "init", "apply", "optimizer", "update", "record", "eval_params", *SET),
)


@pytest.mark.parametrize("part", OWN)
@pytest.mark.usefixtures("no_compiling")
def test_the_users_own_error_stays_theirs_and_its_config_is_named(part):
    for kind in (Mine, TypeError):
        with pytest.raises(kind, match="mine") as caught:
            own(part, kind).plan()
        assert type(caught.value) is kind
        assert any("'width': 3" in note for note in caught.value.__notes__)


CALLS = {
    "run": Study.run,
    "replay": lambda study: study.replay({"a": "x"}, 0),
    "recipe": lambda study: study.recipe({"a": "x"}),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.usefixtures("no_compiling")
def test_an_error_that_comes_after_the_plan_names_the_config_too(name):
    late = []

    def model(hp):
        if late:
            raise Mine("mine")
        return models.mlp(2, (len(hp.a),))

    study = Study(TASK, model, SGD, steps=4, sweep=[{"a": "x"}])
    study.plan()
    late.append(True)
    with pytest.raises(Mine, match="mine") as caught:
        CALLS[name](study)
    assert any("'a': 'x'" in note for note in caught.value.__notes__)


def test_an_error_of_a_combination_that_only_the_last_config_has_names_it():
    def steps(hp):
        return {(1, 1): 4, (1, 2): 4, (2, 1): 4}[hp.a, hp.b]

    def optimizer(hp):
        return optax.sgd(0.1 * hp.a * hp.b)

    with pytest.raises(KeyError) as caught:
        plan(steps=steps, optimizer=optimizer, sweep={"a": [1, 2], "b": [1, 2]})
    assert any("{'a': 2, 'b': 2}" in note for note in caught.value.__notes__)


class Pair:
    """An optimizer that is no class of optax's."""

    def init(self, params):
        return ()

    def update(self, grads, opt_state, params=None):
        return jax.tree.map(lambda leaf: -0.1 * leaf, grads), opt_state


OPTIMIZERS = {
    "MultiSteps": optax.MultiSteps(SGD, 2),
    "a class": Pair(),
    "a function": lambda hp: Pair(),
    "a chain": optax.chain(optax.clip(1.0), SGD),
    "a key in its state": optax.add_noise(0.1, 0.5, key=jax.random.key(0)),
    "injected": optax.inject_hyperparams(optax.adam)(0.1),
    "a schedule": optax.sgd(optax.cosine_decay_schedule(0.1, 4)),
    "a partition": optax.partition({"a": SGD}, lambda params: jax.tree.map(lambda _: "a", params)),
    "extra arguments": optax.lbfgs(),
    "schedule-free": optax.contrib.schedule_free_sgd(0.1),
    "plateau": optax.chain(SGD, optax.contrib.reduce_on_plateau()),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_whatever_has_init_and_update_is_an_optimizer(optimizer):
    with jax.debug_key_reuse(
        False
    ):  # a frozen lane keeps its key, which the checker takes for used
        assert len(plan(optimizer=optimizer).programs) == 1


def test_functions_of_hp_may_be_methods_parts_and_callable_objects():
    class Maker:
        def __call__(self, hp):
            return MODEL

        def task(self, hp):
            return TASK

    optimizer = functools.partial(lambda rate, hp: optax.sgd(rate), 0.1)
    assert len(plan(Maker().task, Maker(), optimizer).programs) == 1
    assert isinstance(Study(TASK, MODEL, SGD, steps=1).recipe({}).task, Task)


def test_an_old_style_key_trains_what_the_typed_one_does():
    run = make_train(TASK, MODEL, SGD, steps=1)
    typed = jax.random.split(jax.random.key(3), 2)

    def both(old, typed):
        return run(old)[2]["train_loss"], run(typed)[2]["train_loss"]

    old, new = jax.jit(jax.vmap(both))(jax.random.key_data(typed), typed)
    np.testing.assert_array_equal(old, new)
    assert np.isfinite(old).all()


def test_the_types_of_updates_and_of_averages_are_their_own():
    """Weights of half precision may have updates of single precision: optax casts the sum."""
    half = Model(lambda key: (weights(key).astype(jnp.bfloat16), ()), linear)
    wide = optax.stateless(lambda updates, _: -updates.astype(jnp.float32))
    average = lambda params, opt_state: params.astype(jnp.float32)
    study = Study(TASK, half, wide, steps=4, eval_params=average)
    assert len(study.plan().programs) == 1


def test_seeds_are_a_count_or_a_sequence():
    assert seed_list(np.int64(3)) == seed_list(range(3)) == seed_list(np.arange(3)) == (0, 1, 2)
