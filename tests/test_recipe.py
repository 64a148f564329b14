"""What training recipes are made of: momentum, decay, clipping, smoothing, schedules, gradient
norms, micro-batches and bfloat16, against PyTorch and by hand."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Study, losses, make_train, models, schedules, tasks, train
from jaxdl.datasets import check_targets
from jaxdl.layers import Dense
from jaxdl.sampling import seed_key
from jaxdl.types import Dataset, Model, Padded, Task

GOLDEN = pathlib.Path(__file__).parent / "golden" / "training"
SMOOTHING = dict(np.load(GOLDEN / "smoothing.npz"))
PYTORCH = dict(np.load(GOLDEN / "recipe.npz"))
DATA = Dataset(PYTORCH["x"], PYTORCH["targets"], PYTORCH["x"][:, :9], PYTORCH["targets"][:9])
SHARED = tasks.classification(DATA)
MLP = models.mlp(2, (6,), activation="tanh")


def stored_batches(dataset, key, step, batch_size):
    """The rows that PyTorch took at this step."""
    rows = jnp.asarray(PYTORCH["rows"])[step]
    x, targets = jnp.asarray(dataset.train_x), jnp.asarray(dataset.train_targets)
    return x[:, rows], targets[rows], jnp.ones(len(rows))


def pytorch_optimizer(rate, momentum, decay, bound):
    """SGD as PyTorch has it, behind a clip: decay is added to the gradient, which is clipped."""
    schedule = schedules.one_cycle(len(PYTORCH["rows"]))
    return optax.chain(
        optax.clip_by_global_norm(bound),
        optax.add_decayed_weights(decay),
        optax.sgd(lambda count: rate * schedule(count), momentum=momentum, nesterov=True),
    )


def pytorch_start() -> tuple:
    """The initial weights of PyTorch's run, as layers."""
    start = [jnp.asarray(PYTORCH[f"start_{number}"]) for number in range(4)]
    return Dense(*start[:2]), Dense(*start[2:])


@pytest.fixture(scope="module")
def recipe_run():
    """PyTorch's run as a lane whose settings are traced: (settings, accumulate) -> its results."""
    model = models.mlp(2, (12,), activation="tanh")
    model = model._replace(init=lambda key: (pytorch_start(), ()))

    def one(rate, momentum, decay, bound, smoothing, accumulate):
        loss = losses.smoothed_cross_entropy(smoothing)
        task = Task(DATA, loss, {}, batch=stored_batches)
        optimizer = pytorch_optimizer(rate, momentum, decay, bound)
        run = make_train(
            task,
            model,
            optimizer,
            steps=len(PYTORCH["rows"]),
            batch_size=PYTORCH["rows"].shape[1],
            eval_every=1,
            record={"grad_norm": train.gradient_norm},
            accumulate=accumulate,
        )
        return run(seed_key(0))

    return jax.jit(one, static_argnums=5)


SETTINGS = (0.3, 0.9, 0.01, 0.3, 0.1)


@pytest.mark.parametrize("accumulate", [1, 4])
def test_a_whole_recipe_is_that_of_pytorch_step_by_step(recipe_run, accumulate):
    params, _, history = recipe_run(*SETTINGS, accumulate)
    np.testing.assert_allclose(history["batch_loss_mean"][1:], PYTORCH["loss"], rtol=1e-4)
    np.testing.assert_allclose(history["grad_norm_mean"][1:], PYTORCH["norm"], rtol=1e-3)
    for number, leaf in enumerate(jax.tree.leaves(params)):
        np.testing.assert_allclose(leaf, PYTORCH[f"end_{number}"], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("place", range(5), ids=["rate", "momentum", "decay", "bound", "smoothing"])
def test_every_part_of_the_recipe_matters(recipe_run, place):
    """So that the test above would see a part that does nothing."""
    settings = list(SETTINGS)
    settings[place] *= 0.5
    _, _, history = recipe_run(*settings, 1)
    gap = np.abs(history["batch_loss_mean"][1:] / PYTORCH["loss"] - 1).max()
    assert gap > 1e-3


def test_a_whole_recipe_is_a_lane_of_one_program():
    schedule = schedules.warmup_cosine(3, 1)
    configs = [
        {"rate": 0.2, "momentum": 0.9, "decay": 0.1, "bound": 0.4, "smoothing": 0.2, "late": 0.0},
        {"rate": 0.4, "momentum": 0.5, "decay": 0.0, "bound": 0.2, "smoothing": 0.0, "late": 0.1},
    ]

    def optimizer(hp):
        return optax.chain(
            optax.clip_by_global_norm(hp.bound),
            optax.add_decayed_weights(hp.decay),
            optax.trace(hp.momentum, nesterov=True),
            optax.add_decayed_weights(hp.late),
            optax.scale_by_learning_rate(lambda count: hp.rate * schedule(count)),
        )

    study = Study(
        lambda hp: SHARED._replace(loss=losses.smoothed_cross_entropy(hp.smoothing)),
        MLP,
        optimizer,
        sweep=configs,
        steps=3,
        eval_every=3,
        batch_size=10,
        accumulate=2,
    )
    (program,) = study.plan().programs
    assert program.names("traced") == list(configs[0])


@pytest.mark.parametrize("name", ["none", "some", "all"])
def test_smoothed_cross_entropy_is_that_of_pytorch(name):
    loss = losses.smoothed_cross_entropy(SMOOTHING[f"smoothing_{name}"])
    outputs, targets = SMOOTHING["logits"].T, SMOOTHING["targets"]
    np.testing.assert_allclose(loss(outputs, targets), SMOOTHING[f"values_{name}"], rtol=1e-5)
    grads = jax.grad(lambda outputs: loss(outputs, targets).sum())(outputs)
    np.testing.assert_allclose(grads.T, SMOOTHING[f"grads_{name}"], rtol=1e-5, atol=1e-6)


def test_smoothing_of_0_is_cross_entropy_and_what_it_refuses_it_refuses():
    outputs, targets = SMOOTHING["logits"].T, SMOOTHING["targets"]
    np.testing.assert_allclose(
        losses.smoothed_cross_entropy(0)(outputs, targets),
        losses.cross_entropy(outputs, targets),
        rtol=1e-6,
    )
    assert np.isnan(losses.smoothed_cross_entropy(0.1)(outputs, targets + 2)).tolist() == list(
        targets + 2 > 3
    )
    with pytest.raises(ValueError, match=r"^smoothed_cross_entropy takes class numbers as targets"):
        losses.smoothed_cross_entropy(0.1)(outputs, np.ones((4, 6)))
    for smoothing in (-0.1, 1.1, None, True, float("nan")):
        with pytest.raises(ValueError, match=r"^smoothing must be a number from 0 to 1, got "):
            losses.smoothed_cross_entropy(smoothing)
    task = Task(
        DATA._replace(train_targets=DATA.train_targets + 1), losses.smoothed_cross_entropy(0.1), {}
    )
    with pytest.raises(ValueError, match="class numbers below the model's 2 outputs, got 2"):
        check_targets(task, (2, 100), task.data)


def proposed(
    accumulate=1, batch_size=12, reduction="mean", model=MLP, task=SHARED, index=0, **more
):
    """The update of a step from fresh weights: (weights, info)."""
    recipe = train.Recipe(
        task, model, optax.sgd(0.1), batch_size, reduction, accumulate=accumulate, **more
    )

    def propose():
        lane = train.init(recipe, seed_key(0), DATA, train.Schedule(1, 1))
        return train.propose(recipe, lane, DATA, train.streams(seed_key(0)), index)

    return jax.jit(propose)()


def assert_same_update(one, other):
    for mine, theirs in zip(one, other, strict=True):
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), mine, theirs
        )


@pytest.mark.parametrize(("accumulate", "reduction"), [(12, "mean"), (3, "sum")])
def test_micro_batches_give_the_update_of_the_batch(accumulate, reduction):
    assert_same_update(proposed(accumulate, reduction=reduction), proposed(reduction=reduction))


def test_micro_batches_of_a_padded_batch_have_the_weight_of_their_live_rows():
    """Of 12 places 5 are live: the second half of the batch weighs nothing at all."""
    padded = Padded(jnp.int32(5), 12)
    assert_same_update(proposed(2, padded), proposed(batch_size=5))


def test_the_short_last_batch_of_a_pass_is_its_live_rows():
    """100 rows in batches of 12: the last one has 4, in micro-batches of 3 and 1."""
    settings = {"sampling": "epoch", "task": SHARED._replace(loss=own_loss), "index": 8}
    assert_same_update(proposed(4, **settings), proposed(**settings))


def own_loss(outputs, targets):
    """One that the trainer does not know to look at each row alone."""
    return losses.cross_entropy(outputs, targets) * 2


def test_a_model_with_state_sees_the_micro_batches_one_after_the_other():
    def apply(params, state, x, *, key=None, train=False):
        after = {"rows": state["rows"] * 10 + x.shape[-1], "key": state["key"]}
        outputs, _ = MLP.apply(params, (), x)
        return outputs, after if train else state

    def init(key):
        return MLP.init(key)[0], {"rows": 0, "key": jax.random.key(1)}

    weights, _ = proposed(3, model=Model(init, apply))
    assert weights.state["rows"] == 444


def test_dropout_draws_anew_in_every_micro_batch():
    def apply(params, state, x, *, key=None, train=False):
        noise = jax.random.uniform(key) if train else 0.0
        return MLP.apply(params, (), x)[0] + noise * params[1].bias[:, None], (*state[1:], noise)

    def init(key):
        return MLP.init(key)[0], (0.0, 0.0, 0.0)

    weights, _ = proposed(3, model=Model(init, apply))
    assert len({float(noise) for noise in weights.state}) == 3


def test_a_line_search_sees_the_loss_of_the_whole_batch():
    """`optax.lbfgs` asks for the value at other params."""
    seen = []

    def update(grads, opt_state, params, *, value, value_fn, **extra):
        other = jax.tree.map(lambda leaf: 2 * leaf, params)
        seen.append((value, value_fn(params), value_fn(other)))
        return grads, opt_state

    asking = optax.GradientTransformationExtraArgs(lambda params: (), update)
    for accumulate in (1, 4):
        recipe = train.Recipe(SHARED, MLP, asking, 12, "sum", accumulate=accumulate)
        lane = train.init(recipe, seed_key(0), DATA, train.Schedule(1, 1))
        train.propose(recipe, lane, DATA, train.streams(seed_key(0)), 0)
    value, again, elsewhere = np.asarray(seen[0])
    np.testing.assert_allclose(np.asarray(seen[1]), [value, value, elsewhere], rtol=1e-5)
    assert again == value
    assert abs(elsewhere - value) > 1e-3


def widest(jaxpr) -> int:
    """The most columns of a matrix that a jaxpr computes."""
    columns = [0]
    for equation in jaxpr.eqns:
        shapes = [variable.aval.shape for variable in equation.outvars]
        columns += [shape[1] for shape in shapes if len(shape) == 2 and shape[0] == 6]
        for part in jax.tree.leaves(list(equation.params.values()), is_leaf=is_jaxpr):
            columns += [widest(part)] if is_jaxpr(part) else []
    return max(columns)


def is_jaxpr(part) -> bool:
    return hasattr(part, "eqns")


def test_a_step_holds_the_activations_of_one_micro_batch():
    for accumulate, columns in ((1, 100), (4, 25), (50, 2)):
        traced = jax.make_jaxpr(lambda a=accumulate: proposed(a, 100)[0].params)()
        assert widest(traced.jaxpr) == columns


@pytest.mark.parametrize("accumulate", [0, -2, 1.5, True, None, "2"])
def test_a_number_of_micro_batches_is_a_positive_integer(accumulate):
    settings = {"steps": 1, "accumulate": accumulate}
    for make in (make_train, Study):
        with pytest.raises(ValueError, match=r"^accumulate must be a positive integer, got "):
            make(SHARED, MLP, optax.sgd(0.1), **settings)


@pytest.mark.parametrize(("batch_size", "size"), [(10, 10), (None, 100), (100, 100)])
def test_micro_batches_that_are_not_equal_are_refused(batch_size, size):
    settings = {"steps": 1, "accumulate": 3, "batch_size": batch_size}
    line = f"^accumulate must divide the batch size {size} into equal micro-batches, got 3"
    with pytest.raises(ValueError, match=line):
        make_train(SHARED, MLP, optax.sgd(0.1), **settings)(seed_key(0))
    with pytest.raises(ValueError, match=line):
        Study(SHARED, MLP, optax.sgd(0.1), **settings).plan()


def test_micro_batches_are_equal_for_every_batch_size_of_a_sweep():
    """The largest, by which arrays are shaped, would do, and so would those that plans probe."""
    sweep = {"batch_size": [3, 6, 8, 9, 12, 15, 18]}
    study = Study(SHARED, MLP, optax.sgd(0.1), steps=1, accumulate=3, sweep=sweep)
    with pytest.raises(ValueError, match=r"^accumulate must divide the batch size 8 into"):
        study.plan()


def test_the_norm_of_the_gradient_is_that_before_the_optimizer():
    _, info = proposed()
    squares = [float((np.asarray(leaf, float) ** 2).sum()) for leaf in jax.tree.leaves(info.grads)]
    assert float(train.gradient_norm(info)) == pytest.approx(sum(squares) ** 0.5, rel=1e-6)


def rounded(array) -> np.ndarray:
    """An array with the 8 bits of a bfloat16, by NumPy alone: to the nearest, ties to even."""
    bits = np.ascontiguousarray(array, np.float32).view(np.uint32)
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) & 0xFFFF0000).view(np.float32)


def test_bfloat16_is_what_rounding_by_hand_gives_and_outputs_are_float32():
    model = models.in_bfloat16(models.mlp(2, ()))
    (layer,), state = model.init(seed_key(0))
    layer = layer._replace(bias=jnp.float32([0.3, -0.7]))
    outputs, after = model.apply((layer,), state, DATA.train_x)
    assert outputs.dtype == np.float32
    assert after == ()
    by_hand = rounded(layer.weight) @ rounded(DATA.train_x) + rounded(layer.bias)[:, None]
    np.testing.assert_allclose(outputs, by_hand, rtol=2**-7, atol=2**-7)
    np.testing.assert_array_equal(outputs, rounded(outputs))
    exact, _ = models.mlp(2, ()).apply((layer,), (), DATA.train_x)
    assert 1e-4 < np.abs(exact - outputs).max() < 0.05


def test_weights_gradients_and_state_stay_float32_under_bfloat16():
    types = {}

    def apply(params, state, x, *, key=None, train=False):
        if train:
            types.update(weight=params["weight"].dtype, x=x.dtype, state=state["mean"].dtype)
        mean = 0.9 * state["mean"] + 0.1 * jnp.mean(x)
        return params["weight"] @ x, {"mean": mean, "count": state["count"] + 1}

    def init(key):
        state = {"mean": jnp.float32(0.0), "count": jnp.int32(0)}
        return {"weight": jax.random.normal(key, (2, 2))}, state

    model = models.in_bfloat16(Model(init, apply))
    for accumulate in (1, 2):
        weights, info = proposed(accumulate, model=model)
        assert types == {"weight": jnp.bfloat16, "x": jnp.bfloat16, "state": jnp.float32}
        assert {leaf.dtype for leaf in jax.tree.leaves((weights.params, info.grads))} == {
            jnp.dtype("float32")
        }
        assert weights.state["count"] == accumulate
        assert weights.state["mean"].dtype == jnp.float32
    _, exact = proposed(model=Model(init, apply))
    np.testing.assert_allclose(info.grads["weight"], exact.grads["weight"], rtol=0.05, atol=0.02)


MODELS = {
    "mlp": (models.mlp(2, (5,), dropout_rate=0.2), (2, 7)),
    "perceptron": (models.perceptron(), (2, 7)),
    "rnn": (models.rnn(1, 4, 2), (3, 1, 7)),
}


@pytest.mark.parametrize("name", MODELS)
def test_models_work_in_bfloat16_and_learn_nearly_the_same(name):
    model, shape = MODELS[name]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    params, state = model.init(seed_key(3))

    def gradient(apply):
        def total(params):
            return jnp.sum(jnp.sin(apply(params, state, x, key=seed_key(1), train=True)[0]))

        return jax.jit(jax.grad(total))(params)

    ours = gradient(models.in_bfloat16(model).apply)
    for mine, exact in zip(
        jax.tree.leaves(ours), jax.tree.leaves(gradient(model.apply)), strict=True
    ):
        assert mine.dtype == jnp.float32
        np.testing.assert_allclose(mine, exact, atol=0.05 * np.abs(exact).max() + 0.02)


def test_integers_stay_integers_under_bfloat16_and_what_is_no_model_is_refused():
    def apply(params, state, x, *, key=None, train=False):
        assert x.dtype == jnp.uint8
        return params[x], state

    model = models.in_bfloat16(Model(lambda key: (jnp.ones((300, 2)), ()), apply))
    assert model.apply(jnp.ones((300, 2)), (), jnp.array([255], jnp.uint8))[0].shape == (1, 2)
    with pytest.raises(ValueError, match=r"^model must be a Model, as models.mlp\(2\) is, got"):
        models.in_bfloat16(lambda hp: models.mlp(2))


def test_padded_widths_are_lanes_under_bfloat16():
    def outputs(width):
        model = models.in_bfloat16(models.mlp(2, (width,)))
        return model.apply(model.init(seed_key(0))[0], (), DATA.train_x)[0]

    padded = jax.jit(jax.vmap(lambda width: outputs(Padded(width, 6))))(jnp.array([3, 6]))
    for width, ours in zip((3, 6), padded, strict=True):
        np.testing.assert_allclose(ours, jax.jit(outputs, static_argnums=0)(width), atol=0.02)
