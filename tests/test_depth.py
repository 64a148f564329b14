"""Depth as lanes: layers beyond a lane's depth hand their input on."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from commands import report_of

from jaxdl import Study, layers, make_train, models, tasks
from jaxdl.sampling import seed_key
from jaxdl.types import Padded

OPTIONS = {"steps": 10, "eval_every": 5, "batch_size": 7}
TASK = tasks.moons(40, 0.1)
CONFIGS = [
    {"depth": 1, "width": 4, "learning_rate": 0.01},
    {"depth": 3, "width": 2, "learning_rate": 0.03},
]
X = jnp.linspace(-1.0, 1.0, 10).reshape(2, 5)


def optimizer(learning_rate):
    return optax.adamw(learning_rate, weight_decay=0.1)


@pytest.fixture(scope="module")
def study():
    return Study(
        TASK,
        lambda hp: models.mlp(2, hidden=(hp.width,), depth=hp.depth, init="torch"),
        lambda hp: optimizer(hp.learning_rate),
        sweep=CONFIGS,
        seeds=[3],
        shapes="pad",
        lane_size=2,
        **OPTIONS,
    )


def test_depth_width_and_rate_are_lanes_of_one_program(study):
    (program,) = study.plan().programs
    kinds = {name: axis.kind for name, axis in program.axes.items()}
    assert kinds == {"depth": "padded", "width": "padded", "learning_rate": "traced"}


@pytest.mark.parametrize("config", CONFIGS)
def test_a_padded_lane_is_the_plain_run(study, config):
    depth, width, learning_rate = config.values()
    weights, _, history = study.replay(config, 3)
    model = models.mlp(2, (width,), depth=depth, init="torch")
    train = jax.jit(make_train(TASK, model, optimizer(learning_rate), **OPTIONS))
    params, _, expected = train(seed_key(3))
    for name in ("train_loss", "test_loss", "batch_loss_mean"):
        np.testing.assert_allclose(history[name], expected[name], rtol=1e-4, atol=1e-5)
    assert jax.tree.map(np.shape, weights) == jax.tree.map(np.shape, params)
    assert params.later.weight.shape == (depth - 1, width, width)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-4),
        weights,
        params,
    )


def written_down(params):
    """The layers one by one, as `mlp` without a depth has them."""
    count = len(params.later.weight)
    later = (jax.tree.map(lambda leaf, at=at: leaf[at], params.later) for at in range(count))
    return (params.first, *later, params.read_out)


@pytest.mark.parametrize("depth", [1, 4])
def test_outputs_and_gradients_are_those_of_layers_written_down(depth):
    deep = models.mlp(2, (4,), 3, depth=depth, activation="tanh", init="torch")
    plain = models.mlp(2, (4,) * depth, 3, activation="tanh")
    params, _ = deep.init(jax.random.key(1))

    def loss(model, weights):
        return (model.apply(weights, (), X)[0] ** 2).sum()

    ours, grads = jax.value_and_grad(lambda weights: loss(deep, weights))(params)
    theirs, expected = jax.value_and_grad(lambda weights: loss(plain, weights))(
        written_down(params)
    )
    assert float(ours) == pytest.approx(float(theirs), rel=1e-6)
    for mine, other in zip(written_down(grads), expected, strict=True):
        np.testing.assert_allclose(mine.weight, other.weight, rtol=1e-5, atol=1e-7)
        np.testing.assert_allclose(mine.bias, other.bias, rtol=1e-5, atol=1e-7)


def same_bits(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, ours, theirs)


def test_no_layer_of_a_seed_depends_on_the_depth():
    most, _ = models.mlp(2, (4,), depth=6, init="torch").init(jax.random.key(5))
    for depth in (1, 2, 3):
        for size in (depth, Padded(jnp.int32(depth), 4)):
            params, _ = models.mlp(2, (4,), depth=size, init="torch").init(jax.random.key(5))
            same_bits(params.first, most.first)
            same_bits(params.read_out, most.read_out)
            live = jax.tree.map(lambda leaf, end=depth - 1: leaf[:end], params.later)
            same_bits(live, jax.tree.map(lambda leaf, end=depth - 1: leaf[:end], most.later))
    drawn = {each.tobytes() for each in np.asarray(most.later.weight)}
    assert len(drawn) == 5


def test_without_a_depth_the_draws_are_what_they_were():
    params, _ = models.mlp(2, (4, 4), 3).init(jax.random.key(5))
    keys, sizes = jax.random.split(jax.random.key(5), 3), ((4, 2), (4, 4), (3, 4))
    for layer, key, shape in zip(params, keys, sizes, strict=True):
        same_bits(layer, layers.init_dense(key, *shape, "he_normal"))
    single, _ = models.mlp(2, (4,), 3).init(jax.random.key(5))
    deep, _ = models.mlp(2, (4,), 3, depth=1).init(jax.random.key(5))
    same_bits(single, (deep.first, deep.read_out))


def test_layers_beyond_the_depth_stay_exactly_zero():
    def train(depth):
        model = models.mlp(2, (3,), depth=Padded(depth, 4), activation="sigmoid", init="torch")
        return make_train(TASK, model, optimizer(0.05), **OPTIONS)(seed_key(0))[0]

    # lanes of several depths side by side: each only has its own layers
    lanes = jax.jit(jax.vmap(train))(jnp.array([1, 3, 4]))
    for lane, depth in enumerate((1, 3, 4)):
        for leaf in (lanes.later.weight[lane], lanes.later.bias[lane]):
            assert not np.any(leaf[depth - 1 :])
            assert np.all(leaf[: depth - 1] != 0)


def test_what_lies_beyond_the_depth_has_no_say():
    model = models.mlp(2, (3,), depth=Padded(jnp.int32(2), 4))
    params, _ = model.init(jax.random.key(0))
    later = jax.tree.map(lambda leaf: leaf.at[1:].set(7.0), params.later)
    same_bits(
        model.apply(params._replace(later=later), (), X)[0],
        model.apply(params, (), X)[0],
    )
    outputs, _ = model.apply(params, (), X.at[0, 2].set(np.nan))
    assert np.isnan(outputs).any(axis=0).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("depth", [1, 3])
def test_dropout_masks_do_not_depend_on_the_depth_that_is_padded_to(depth):
    outputs = []
    for size in (depth, Padded(jnp.int32(depth), 4)):
        model = models.mlp(2, (6,), depth=size, dropout_rate=0.5)
        params, state = model.init(jax.random.key(0))
        outputs.append(model.apply(params, state, X, key=jax.random.key(2), train=True)[0])
    np.testing.assert_allclose(*outputs, rtol=1e-6)
    # those of the layers of `mlp` without a depth too
    plain = models.mlp(2, (6,) * depth, dropout_rate=0.5)
    deep, _ = models.mlp(2, (6,), depth=depth).init(jax.random.key(0))
    expected, _ = plain.apply(written_down(deep), (), X, key=jax.random.key(2), train=True)
    np.testing.assert_allclose(outputs[0], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("hidden", "depth", "message"),
    [
        ((3,), 0, "depth must be a positive integer, got 0"),
        ((3,), 1.5, "depth must be a positive integer, got 1.5"),
        ((3,), True, "depth must be a positive integer, got True"),
        ((3,), "2", "depth must be a positive integer, got '2'"),
        ((3,), Padded(0, 4), "depth must be an integer from 1 to its padded maximum 4, got 0"),
        ((3,), Padded(5, 4), "depth must be an integer from 1 to its padded maximum 4, got 5"),
        ((3, 3), 2, "hidden must be one width where depth is given, such as hidden=(20,), got"),
        ((), 1, "hidden must be one width where depth is given, such as hidden=(20,), got"),
    ],
)
def test_refusals(hidden, depth, message):
    with pytest.raises(ValueError, match="must") as refusal:
        models.mlp(2, hidden, depth=depth)
    assert str(refusal.value).startswith(message)
    assert "\n" not in str(refusal.value)


def test_depth_width_prints_json_and_draws_its_maps(tmp_path):
    sizes = ("--steps", "4", "--eval-every", "2", "--seeds", "2")
    axes = ("--sweep", "depth=1,2", "--sweep", "width=2", "--sweep", "learning_rate=0.1")
    report = report_of("depth_width", *sizes, *axes, "--out", str(tmp_path))
    assert [(row["depth"], row["width"], row["n"]) for row in report["rows"]] == [
        (1, 2, 2),
        (2, 2, 2),
    ]
    for row in report["rows"]:
        assert row["steps_to_97"]["never_reached"] == 1
        assert 0 <= row["test_accuracy"]["median"] <= 0.95
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["depth_width.png"]
