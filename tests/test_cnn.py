"""Networks of pictures: whole trainings against PyTorch, padded channels, pools and dropout."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Study, losses, models, tasks
from jaxdl.layers import Conv2d, Dense, Norm, Running
from jaxdl.models.cnn import Block
from jaxdl.testing import check_model
from jaxdl.types import Padded

GOLDEN = pathlib.Path(__file__).parent / "golden" / "pictures.npz"
PICTURES = jnp.asarray(np.random.default_rng(0).normal(size=(1, 4, 4, 6)), jnp.float32)


def case(name: str) -> dict:
    with np.load(GOLDEN) as file:
        return {
            key.split("/")[1]: jnp.asarray(file[key]) for key in file if key.startswith(f"{name}/")
        }


def losses_and_outputs(golden: dict, model, params, state, optimizer):
    """The loss of every step on the stored batches, and the outputs of an evaluation at the end."""
    x, targets = jnp.moveaxis(golden["x"], 0, -1), golden["targets"].astype(jnp.int32)

    def step(carry, rows):
        params, state, opt_state = carry

        def loss(params):
            outputs, moved = model.apply(params, state, x[..., rows], train=True)
            return jnp.mean(losses.cross_entropy(outputs, targets[rows])), moved

        (value, state), grads = jax.value_and_grad(loss, has_aux=True)(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        return (optax.apply_updates(params, updates), state, opt_state), value

    @jax.jit
    def run(params, state):
        start = params, state, optimizer.init(params)
        (params, state, _), values = jax.lax.scan(step, start, golden["rows"].astype(jnp.int32))
        return values, model.apply(params, state, x)[0]

    return run(params, state)


def check(golden, *arguments):
    values, outputs = losses_and_outputs(golden, *arguments)
    np.testing.assert_allclose(values, golden["loss"], rtol=2e-4)
    np.testing.assert_allclose(outputs.T, golden["evaluated"], rtol=1e-3, atol=1e-3)
    assert values[-3:].mean() < 0.9 * values[:3].mean()  # a run that learns


SIZES = {"outputs": 3, "inputs": (2, 8, 8), "strides": (2, 1), "pools": (True, False)}


def test_a_convolutional_network_trains_as_in_pytorch():
    golden = case("cnn")
    convs = [Conv2d(golden[f"convs.{i}.weight"], golden[f"convs.{i}.bias"]) for i in (0, 1)]
    params = tuple(map(Block, convs)), Dense(golden["head.weight"], golden["head.bias"])
    check(golden, models.cnn((4, 5), **SIZES), params, (), optax.adam(0.01))


def test_one_with_batch_norm_and_a_shortcut_trains_as_in_pytorch():
    golden = case("batch_normed")
    blocks, state = [], []
    for i in (0, 1):
        conv = Conv2d(golden[f"convs.{i}.weight"], golden[f"convs.{i}.bias"])
        norm = Norm(golden[f"norms.{i}.weight"], golden[f"norms.{i}.bias"])
        blocks.append(Block(conv, norm, Conv2d(golden["shortcut.weight"], None) if i else None))
        state.append(Running(golden[f"norms.{i}.running_mean"], golden[f"norms.{i}.running_var"]))
    params = tuple(blocks), Dense(golden["head.weight"], golden["head.bias"])
    model = models.cnn((4, 5), norm="batch", residual=True, **SIZES)
    check(golden, model, params, tuple(state), optax.sgd(0.1, momentum=0.9))


def test_an_mlp_of_pictures_trains_as_in_pytorch():
    golden = case("mlp")
    params = tuple(Dense(golden[f"{i}.weight"], golden[f"{i}.bias"]) for i in (1, 3, 5))
    optimizer = optax.chain(optax.add_decayed_weights(5e-4), optax.sgd(0.1, momentum=0.9))
    check(golden, models.mlp(128, (7, 6), 3), params, (), optimizer)


def small(channels, **changes):
    return models.cnn(channels, 2, **{"inputs": (1, 4, 4), "pools": (True, False), **changes})


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"norm": "batch", "residual": True, "method": "xla"},
        {
            "norm": "layer",
            "activation": "sigmoid",
            "dropout_rate": 0.5,
            "global_average": True,
            "method": "xla",
        },
        {"norm": "group", "groups": 1, "pool": "avg", "init": "torch", "method": "xla"},
    ],
    ids=str,
)
def test_networks_of_padded_channels_pass(changes):
    check_model(lambda size: small((size, size), **changes), PICTURES, padded=(2, 3))


@pytest.mark.parametrize("norm", [None, "batch", "group"])
def test_residual_networks_pass(norm):
    check_model(
        models.resnet((2, 4), 1, 3, inputs=(1, 4, 4), norm=norm, groups=2, method="xla"), PICTURES
    )


def test_padded_stages_of_a_residual_network_pass():
    def model_of(size):
        return models.resnet((size,), 1, 3, inputs=(1, 4, 4), norm="batch", method="xla")

    check_model(model_of, PICTURES, padded=(2, 3))


def test_a_study_pads_channels_and_traces_the_rate_of_dropout():
    rng = np.random.default_rng(1)
    task = tasks.from_arrays(rng.normal(size=(24, 16)), rng.integers(0, 2, 24))
    task = task._replace(prepare=lambda x: x.reshape(1, 4, 4, -1))
    study = Study(
        task,
        lambda hp: small((hp.width, 3), dropout_rate=hp.rate),
        optax.sgd(0.1),
        sweep={"width": [2, 3], "rate": [0.0, 0.4]},
        steps=2,
        batch_size=8,
    )
    (program,) = study.plan().programs
    assert {name: axis.kind for name, axis in program.axes.items()} == {
        "width": "padded",
        "rate": "traced",
    }


@pytest.mark.parametrize("activation", ["relu", "sigmoid"])
def test_a_pool_before_bias_and_activation_is_one_behind_them(activation):
    named, own = (
        small((3, 2), activation=given, residual=True, norm=None)
        for given in (activation, getattr(jax.nn, activation))
    )

    @jax.jit
    def run(key):
        params, state = named.init(key)
        params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # biases too
        pulled = lambda model: (
            lambda params: jnp.sum(jnp.sin(model.apply(params, state, PICTURES)[0]))
        )
        return [jax.value_and_grad(pulled(model))(params) for model in (named, own)]

    early, late = run(jax.random.key(0))
    for ours, theirs in zip(*map(jax.tree.leaves, (early, late)), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_both_methods_are_one_network():
    by_taps, by_xla = (small((3, 2), norm="layer", method=m) for m in ("taps", "xla"))

    @jax.jit
    def run(key):
        params, state = by_taps.init(key)
        return [model.apply(params, state, PICTURES)[0] for model in (by_taps, by_xla)]

    with jax.enable_x64(True):
        ours, theirs = run(jax.random.key(0))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def shapes(model, x):
    """Shapes of the weights, of the state and of the outputs."""
    params, state = jax.eval_shape(model.init, jax.random.key(0))
    outputs, _ = jax.eval_shape(model.apply, params, state, x)
    return params, state, outputs.shape


def test_the_networks_of_the_reports_have_their_shapes():
    (blocks, head), state, outputs = shapes(
        models.cnn(
            (64, 128, 256, 256, 512, 512),
            strides=(2, 1, 1, 1, 1, 1),
            pools=(True, True, False, True, False, True),
        ),
        jnp.zeros((3, 32, 32, 5)),
    )
    assert [block.conv.weight.shape[:2] for block in blocks] == [
        (64, 3),
        (128, 64),
        (256, 128),
        (256, 256),
        (512, 256),
        (512, 512),
    ]
    assert (head.weight.shape, state, outputs) == ((10, 512), (), (10, 5))
    (stem, blocks, head), state, outputs = shapes(models.resnet(), jnp.zeros((3, 28, 30, 5)))
    assert (len(blocks), len(state), head.weight.shape, outputs) == (9, 19, (10, 64), (10, 5))
    assert stem.conv.bias is None
    assert [block.shortcut is None for block in blocks] == [True] * 3 + [False, True, True] * 2


def test_pictures_of_one_place_go_through():
    _, _, outputs = shapes(models.cnn((2, 2), inputs=(1, 1, 1)), jnp.zeros((1, 1, 1, 3)))
    assert outputs == (10, 3)
    _, _, outputs = shapes(models.mlp(6, (2,)), jnp.zeros((1, 2, 3, 1)))
    assert outputs == (2, 1)


def test_dropout_of_a_picture_draws_for_every_place_and_a_wider_one_the_same():
    from jaxdl.layers import dropout

    wide, narrow = jax.jit(
        lambda: [
            dropout(jnp.ones(s), jax.random.key(1), 0.5) for s in ((5, 4, 3, 20), (3, 2, 3, 7))
        ]
    )()
    np.testing.assert_array_equal(narrow, wide[:3, :2, :, :7])
    patterns = np.asarray(wide > 0).reshape(-1, 20)
    assert len(np.unique(patterns, axis=0)) == len(patterns)
    assert 0.4 < patterns.mean() < 0.6


def test_dropout_acts_on_what_the_affine_map_reads_in_training_only():
    model = small((3, 2), dropout_rate=0.5)

    @jax.jit
    def run(key, other):
        params, state = model.init(key)
        params = params[0], Dense(jnp.ones((2, 8)), jnp.zeros(2))
        apply = lambda **how: model.apply(params, state, PICTURES, **how)[0]
        return apply(), apply(key=other, train=True), apply(key=other, train=False)

    plain, dropped, evaluated = run(jax.random.key(0), jax.random.key(1))
    np.testing.assert_array_equal(plain, evaluated)
    assert not np.allclose(plain, dropped)
    np.testing.assert_array_equal(dropped[0], dropped[1])  # both outputs read the same units


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: models.cnn(8), "^channels must be a sequence of at least one"),
        (lambda: models.cnn(()), "^channels must be a sequence of at least one"),
        (lambda: models.cnn((8, 0)), "^channels must be a positive integer, got 0$"),
        (
            lambda: models.cnn((8, Padded(9, 4))),
            "^channels must be an integer from 1 to its padded",
        ),
        (
            lambda: models.cnn((8, 8), strides=(1,)),
            "^strides must be one value or one for each of 2",
        ),
        (lambda: models.cnn((8, 8), pools=(1, "no")), "^pools must be True or False, got 'no'$"),
        (lambda: models.cnn((8,), norm="bacth"), "^norm must be one of .*did you mean 'batch'"),
        (lambda: models.cnn((8,), pool="mean"), "^pool must be one of 'max', 'avg', got 'mean'"),
        (lambda: models.cnn((8,), dropout_rate=1.0), "^dropout_rate must be a number from 0 up"),
        (
            lambda: models.cnn((8,), inputs=784),
            "^inputs must be .channels, height, width., got 784",
        ),
        (lambda: models.cnn((8,), kernel=0), "^kernel must be a positive integer, got 0$"),
        (lambda: models.cnn((8,), activation="rleu"), "^activation must be .*did you mean 'relu'"),
        (lambda: models.cnn((8,), pool_padding=2), "^padding must be at most half the window"),
        (
            lambda: models.cnn((8,), method="cuda"),
            "^method must be one of 'taps', 'winograd', 'xla', got 'cuda'",
        ),
        (
            lambda: models.resnet(16),
            "^channels must be a sequence of one number of channels a stage",
        ),
        (lambda: models.resnet(blocks=0), "^blocks must be a positive integer, got 0$"),
        (
            lambda: shapes(models.cnn((8,)), jnp.zeros((1, 32, 32, 5))),
            "^model takes 3 channels, got data with 1",
        ),
        (
            lambda: shapes(models.cnn((8,)), jnp.zeros((3, 28, 28, 5))),
            r"^model takes pictures of 32 x 32, got x of shape \(3, 28, 28, 5\)",
        ),
        (
            lambda: shapes(models.cnn((8,)), jnp.zeros((3, 32, 5))),
            r"^x must be \(channels, height, width, batch\) for this model, got an array of shape",
        ),
        (
            lambda: shapes(models.mlp(3072), jnp.zeros((3, 28, 28, 5))),
            r"^model takes 3072 features, got data with 2352",
        ),
        (
            lambda: models.cnn((8, 6), norm="group"),
            "^groups must divide the 6 channels, got 8$",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line(call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call()
    assert "\n" not in str(caught.value)
