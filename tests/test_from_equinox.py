"""Equinox modules as models: Equinox's own numbers, dropout by key, running statistics, a study."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Study, make_train, models, tasks, testing
from jaxdl.sampling import seed_key

equinox = pytest.importorskip("equinox", reason="pip install -e '.[outside]'")
from equinox import nn  # noqa: E402

pytestmark = pytest.mark.full  # others' numbers
X = np.random.default_rng(0).normal(size=(3, 8)).astype(np.float32)  # batch last
MLP = functools.partial(nn.MLP, 3, 2, 4, 1)


def fresh():
    """The same key, not used yet."""
    return jax.random.key(3)


class Dropping(equinox.Module):
    dense: nn.Linear
    drop: nn.Dropout

    def __init__(self, *, key):
        self.dense, self.drop = nn.Linear(3, 4, key=key), nn.Dropout(0.5)

    def __call__(self, x, *, key=None):
        return self.drop(self.dense(x), key=key)


class Norming(equinox.Module):
    dense: nn.Linear
    norm: nn.BatchNorm
    offset: jax.Array

    def __init__(self, *, key):
        for_dense, for_offset = jax.random.split(key)
        self.dense = nn.Linear(3, 2, key=for_dense)
        self.norm = nn.BatchNorm(2, "batch", mode="batch")
        self.offset = jax.random.randint(for_offset, (2,), 1, 9)  # drawn, and never trained

    def __call__(self, x, state):
        outputs, state = self.norm(self.dense(x), state)
        return outputs + self.offset, state


def test_outputs_are_those_of_the_module():
    params, state = models.from_equinox(MLP).init(fresh())
    outputs, after = models.from_equinox(MLP).apply(params, state, X)
    expected = jax.vmap(MLP(key=fresh()))(X.T).T
    assert (state, after) == ((), ())
    np.testing.assert_allclose(outputs, expected, rtol=1e-6)


def test_training_is_that_of_a_loop_in_equinox():
    task = tasks.from_arrays(X.T, np.arange(8) % 2, test_fraction=0)
    made = []

    def kept(*, key):
        made.append(MLP(key=key))
        return made[-1]

    run = make_train(task, models.from_equinox(kept), optax.sgd(0.1), steps=3, batch_size=8)
    params, _, history = run(seed_key(0))
    module = made[-1]

    def loss(module):
        logits = jax.vmap(module)(task.data.train_x.T)
        each = optax.softmax_cross_entropy_with_integer_labels(logits, task.data.train_targets)
        return each.mean()

    for _ in range(3):
        grads = equinox.filter_grad(loss)(module)
        module = equinox.apply_updates(module, jax.tree.map(lambda grad: -0.1 * grad, grads))
    np.testing.assert_allclose(history["train_loss"][-1], loss(module), rtol=1e-5)
    trained = jax.tree.leaves(equinox.filter(module, equinox.is_inexact_array))
    for own, theirs in zip(jax.tree.leaves(params), trained, strict=True):
        np.testing.assert_allclose(own, theirs, rtol=1e-5, atol=1e-7)


def test_dropout_has_a_key_an_example_and_none_in_evaluation():
    model = models.from_equinox(Dropping)
    params, state = model.init(fresh())
    same = jnp.ones((3, 8))
    dropped, _ = model.apply(params, state, same, key=fresh(), train=True)
    again, _ = model.apply(params, state, same, key=fresh(), train=True)
    fewer, _ = model.apply(params, state, same[:, :5], key=fresh(), train=True)
    np.testing.assert_array_equal(dropped, again)
    np.testing.assert_array_equal(dropped[:, :5], fewer)
    assert len(np.unique(np.asarray(dropped) == 0, axis=1).T) > 1
    plain, _ = model.apply(params, state, same)
    np.testing.assert_allclose(plain[:, 0], params.dense.weight.sum(1) + params.dense.bias, 1e-5)
    kept = np.asarray(dropped) != 0
    np.testing.assert_allclose(np.asarray(dropped)[kept], 2 * np.asarray(plain)[kept], rtol=1e-5)


def test_batch_norm_is_state_that_changes_in_training_alone():
    model = models.from_equinox(Norming)
    params, state = model.init(fresh())
    own, memory = nn.make_with_state(Norming)(key=fresh())
    batched = jax.vmap(own, (0, None), (0, None), axis_name="batch")
    expected, memory = batched(X.T, memory)
    outputs, after = model.apply(params, state, X, train=True)
    np.testing.assert_allclose(outputs, expected.T, rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, after[1], tuple(jax.tree.leaves(memory)))
    assert len(jax.tree.leaves(params)) == 4  # the offset is none of them
    inference = equinox.nn.inference_mode(own)
    expected, _ = jax.vmap(inference, (0, None), (0, None), axis_name="batch")(X.T, memory)
    outputs, same = model.apply(params, after, X)
    np.testing.assert_allclose(outputs, expected.T, rtol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, same, after)


@pytest.mark.parametrize("module", [MLP, Dropping, Norming])
def test_it_meets_the_contract(module):
    testing.check_model(models.from_equinox(module), X)


def test_a_study_trains_it(tmp_path):
    study = Study(
        tasks.moons(30),
        lambda hp: models.from_equinox(functools.partial(nn.MLP, 2, 2, 4, 1)),
        lambda hp: optax.sgd(hp.rate),
        sweep={"rate": [0.1, 0.2]},
        seeds=2,
        steps=3,
        batch_size=7,
        sampling="epoch",
    )
    result = study.run(tmp_path / "run")
    assert len(set(result.final("test_loss").tolist())) == 4
    _, _, history = study.replay({"rate": 0.2}, seed=1)
    np.testing.assert_array_equal(history["test_loss"], result.history["test_loss"][3])


REFUSED = {
    "an instance": (MLP(key=fresh()), "module must be an Equinox class, .* got an instance of MLP"),
    "what needs more": (nn.MLP, r"module must be .* key= alone, .*\(functools.partial sets"),
    "no module": (lambda *, key: jnp.zeros(3), "module must make an Equinox module .*"),
    "a number": (3, "module must be an Equinox class or function called with key= alone, got 3"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_maker_of_modules_is_refused(name):
    module, message = REFUSED[name]
    with pytest.raises(ValueError, match=f"^{message}"):
        models.from_equinox(module)


@pytest.mark.parametrize("module", [Dropping, MLP, MLP(key=fresh())])
def test_a_module_given_as_a_model_is_answered_with_the_adapter(module):
    with pytest.raises(ValueError, match=r"^model must be .*: write model=models\.from_equinox"):
        Study(tasks.moons(30), module, optax.sgd(0.1), steps=1)
