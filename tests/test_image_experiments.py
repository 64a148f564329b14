"""The experiments on images: their options, their rows, and what they refuse."""

import types

import jax.numpy as jnp
import numpy as np
import pytest
from commands import check_refused, command, report_of

from experiments import cifar_cnn, cifar_mlp, frame, image_training, images, options
from experiments.references import R5

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
    import jax

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
