"""The experiments on images: their options, their rows, and what they refuse."""

import types

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from commands import check_refused, command, report_of
from flax import linen

from experiments import cifar_cnn, cifar_fast, cifar_mlp, frame, image_training, images, options
from experiments.references import R5
from jaxdl import Study, layers, models, tasks

pytestmark = pytest.mark.full  # what users run


def request_of(experiment, *arguments):
    """What an experiment is asked for by a command line."""
    return frame.request_of(experiment, options.parser().parse_args(arguments))


@pytest.mark.parametrize("name", ["cifar_mlp", "cifar_cnn"])
def test_rows_say_which_images_they_are_of(name, tmp_path):
    run = tmp_path / "run"
    sweep = ("--sweep", "scale=0.02", "--sweep", "batch_size=719")
    report = report_of(name, "--quick", "--epochs", "1", "--seeds", "2", *sweep, "--out", str(run))
    (row,) = report["rows"]
    assert (row["dataset"], row["epochs"]) == ("digits", 1)
    assert (row["train_images"], row["test_images"]) == (1438, 359)
    # Of other images, and of one epoch, the report says nothing.
    assert row["test_accuracy"]["published"] is None
    assert set(row["gap"]) == {"mean", "sd", "mean_interval"}
    drawn = {path.name for path in (run / "figures").iterdir()}
    assert drawn >= {"accuracy.png", "confusion.png", "confusion_images.png", "recall.png"}


def test_a_folder_of_data_means_cifar10(tmp_path):
    asked = request_of(cifar_cnn.EXPERIMENT, "cifar_cnn", "--data-dir", str(tmp_path))
    assert (asked.defaults["dataset"], asked.data_dir) == ("cifar10", tmp_path)
    assert asked.defaults["epochs"] == R5.cnn_epochs == 150
    assert request_of(cifar_cnn.EXPERIMENT, "cifar_cnn").defaults["dataset"] == "digits"


def test_epochs_of_the_command_line_win_over_those_of_a_size():
    arguments = ("cifar_mlp", "--dataset", "cifar10", "--quick", "--epochs", "7")
    assert request_of(cifar_mlp.EXPERIMENT, *arguments).defaults["epochs"] == 7


def test_runs_of_other_images_or_epochs_do_not_meet_in_a_folder():
    folders = set()
    for extra in ((), ("--dataset", "cifar10"), ("--epochs", "3"), ("--quick",)):
        asked = options.parser().parse_args(["cifar_mlp", *extra])
        folders.add(images_folder(asked))
    assert len(folders) == 4


def images_folder(asked):
    """Where a run goes that the command line gives no folder for."""
    from experiments.request import run_folder

    return run_folder(asked, cifar_mlp.EXPERIMENT.sweep, cifar_mlp.EXPERIMENT.sweep)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("batch_size", "--epochs", "3"), "--epochs must be given to an experiment on images only"),
        (("batch_size", "--dataset", "digits"), "--dataset must be given to an experiment on"),
        (("batch_size", "--data-dir", "."), "--data-dir must be given to an experiment on images"),
        (("cifar_mlp", "--sweep", "epochs=3"), "epochs must be given as --epochs"),
        (("cifar_mlp", "--sweep", "variant=fasst"), "did you mean 'fast'"),
        (("cifar_mlp", "--dataset", "digits", "--data-dir", "."), "data_dir must not be given"),
    ],
)
def test_refusals_are_one_line(arguments, message, tmp_path):
    check_refused(arguments, message, tmp_path / "run")


def test_missing_images_end_with_exit_code_3(tmp_path):
    run = tmp_path / "run"
    done = command("cifar_mlp", "--data-dir", str(tmp_path / "none"), "--out", str(run))
    assert (done.returncode, done.stdout) == (3, "")
    assert len(done.stderr.strip().splitlines()) == 1
    assert not run.exists()


def test_a_swept_value_counts_in_every_variant():
    asked = request_of(cifar_mlp.EXPERIMENT, "cifar_mlp", "--sweep", "learning_rate=0.01,0.1")
    variants = images.unswept(cifar_mlp.VARIANTS, asked)
    assert "learning_rate" not in variants["fast"]
    assert variants["fast"]["schedule"] == "triangular"


@pytest.mark.parametrize(
    ("schedule", "epochs", "factors"),
    [
        ("constant", 4, [1, 1, 1, 1, 1]),
        # 0.5 (1 + cos(pi e / 4)) at the beginning of epoch e, and until its end.
        ("cosine", 4, [1, 0.853553, 0.5, 0.146447, 0]),
        ("triangular", 5, [0, 1, 0.75, 0.5, 0.25, 0]),
    ],
)
def test_rates_over_a_run(schedule, epochs, factors):
    chosen = types.SimpleNamespace(schedule=schedule, learning_rate=0.2, warmup=0.0)
    rate = image_training.schedule_of(chosen, 10, epochs)
    values = [float(rate(jnp.int32(10 * epoch))) for epoch in range(epochs + 1)]
    np.testing.assert_allclose(values, 0.2 * np.array(factors), atol=1e-6)
    if schedule == "cosine":
        assert float(rate(jnp.int32(19))) == pytest.approx(0.2 * 0.853553, rel=1e-5)


def test_a_warm_up_rises_over_its_share_of_the_run():
    chosen = types.SimpleNamespace(schedule="constant", learning_rate=1.0, warmup=0.5)
    rate = image_training.schedule_of(chosen, 10, 4)
    values = [float(rate(jnp.int32(step))) for step in (0, 10, 20, 40)]
    np.testing.assert_allclose(values, [0, 0.5, 1, 1])


def test_the_networks_are_the_reports():
    """3072 - 1024 - 1024 - 1024 - 10; and six convolutions that leave 512 units for ten classes."""

    def sizes(model):
        params, _ = jax.eval_shape(model.init, jax.random.key(0))
        return sum(leaf.size for leaf in jax.tree.leaves(params))

    chosen = types.SimpleNamespace(scale=1.0, dropout=0.5, norm=None, residual=False, init="torch")
    mlp = cifar_mlp.network(chosen, (3, 32, 32))
    assert sizes(mlp) == 3073 * 1024 + 2 * 1025 * 1024 + 1025 * 10
    cnn = cifar_cnn.network(chosen, (3, 32, 32))
    pairs = zip((3, 64, 128, 256, 256, 512), (64, 128, 256, 256, 512, 512), strict=True)
    assert sizes(cnn) == sum((9 * into + 1) * out for into, out in pairs) + 513 * 10


def test_recall_is_the_share_of_each_class_that_is_recognised():
    outputs = jnp.eye(10)[:, jnp.array([0, 1, 1, 2])]
    targets = jnp.array([0, 1, 2, 2])
    right = [float(images.right_in_class(index)(outputs, targets).sum()) for index in range(4)]
    assert right == [1, 1, 1, 0]


def test_patches_are_whitened():
    """Patches at other places of other images are nearly uncorrelated, of variance 1."""
    task = tasks.images("digits")
    kernel = cifar_fast.whitening(task, 2)
    assert kernel.shape == (8, 1, 2, 2)
    np.testing.assert_array_equal(kernel[4:], -kernel[:4])
    params = layers.Conv2d(jnp.asarray(kernel[:4]), None)
    responses = layers.conv2d(params, task.prepare(jnp.asarray(task.data.test_x)))
    flat = np.asarray(responses).reshape(4, -1)
    np.testing.assert_allclose(flat @ flat.T / flat.shape[1], np.eye(4), atol=0.05)


def fast_network(**changes):
    """The fast network for digits, narrow."""
    defaults = {**cifar_fast.EXPERIMENT.defaults, "scale": 0.05, **changes}
    kernel = cifar_fast.whitening(tasks.images("digits"), 3)
    return cifar_fast.network(types.SimpleNamespace(**defaults), (1, 8, 8), kernel)


def test_an_image_and_its_mirror_image_are_averaged_in_evaluation_alone():
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 5))
    plain, both = fast_network(), fast_network(mirrored=True)
    params, state = plain.init(jax.random.key(0))

    def outputs_of(model, x, train=False):
        return np.asarray(model.apply(params, state, x, train=train)[0])

    mean = (outputs_of(plain, x) + outputs_of(plain, x[:, :, ::-1])) / 2
    np.testing.assert_allclose(outputs_of(both, x), mean, atol=1e-5)
    np.testing.assert_array_equal(outputs_of(both, x, True), outputs_of(plain, x, True))


def test_the_whitening_kernel_is_not_trained():
    model = fast_network()
    params, state = model.init(jax.random.key(0))
    x = jax.random.normal(jax.random.key(1), (1, 8, 8, 5))
    _, moved = model.apply(params, state, x, train=True)
    np.testing.assert_array_equal(moved.kernel, state.kernel)
    assert float(jnp.abs(moved.running[0].mean - state.running[0].mean).max()) > 0


def test_the_speed_counts_every_batch_of_every_lane(capsys):
    result = types.SimpleNamespace(configs=[{"batch_size": 4}, {"batch_size": 2}])
    result.rows = lambda config: np.array([0, 1, 2])
    result.steps = np.array([0, 5, 10])
    frame.say_speed({"": result}, {}, 2.0)
    said = capsys.readouterr().err
    # 3 lanes of 10 steps: of 4 images each, and of 2.
    assert said.startswith("180 images in 2 s: 90 images a second")


def test_a_flax_resnet_trains_on_digits():
    """A residual network of Linen, through `from_flax`; no convolution is left as it is."""

    def study(**changes):
        return Study(
            tasks.images("digits"),
            models.from_flax(ResNet(), jnp.zeros((1, 8, 8, 1)), channels_last=True),
            optax.sgd(0.05, momentum=0.9),
            steps=6,
            eval_every=2,
            batch_size=32,
            eval_train_rows=64,
            **changes,
        )

    # The plan says so where they stay.
    assert "convolutions are not rewritten" in str(study(rewrite_convolutions=False).plan())
    rewritten = study()
    assert "not rewritten" not in str(rewritten.plan())
    losses = rewritten.run().history["batch_loss_mean"][0]
    assert losses[-1] < losses[1]


class ResNet(linen.Module):
    """Two residual blocks over pictures (batch, height, width, channels)."""

    @linen.compact
    def __call__(self, x):
        x = linen.Conv(8, (3, 3), use_bias=False)(x)
        for stride in (1, 2):
            y = linen.relu(linen.GroupNorm(4)(x))
            y = linen.Conv(8, (3, 3), strides=stride, use_bias=False)(y)
            x = y + linen.Conv(8, (1, 1), strides=stride, use_bias=False)(x)
        return linen.Dense(10)(linen.relu(x).mean(axis=(1, 2)))
