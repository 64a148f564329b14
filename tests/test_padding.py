"""A padded lane computes what the unpadded run computes."""

import jax
import numpy as np
import optax
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxdl import Study, make_train, models, tasks
from jaxdl.planning.program import Axis, Program, first_hp, lane_functions, whole
from jaxdl.sampling import seed_key
from jaxdl.train import Schedule, mark_unseen

OPTIMIZERS = {
    "sgd": lambda: optax.sgd(0.1),
    "momentum": lambda: optax.sgd(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: optax.adam(0.01),
    "adamw": lambda: optax.adamw(0.01, weight_decay=0.1),
    "clip": lambda: optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.2)),
}


@settings(max_examples=8)
@given(
    widths=st.lists(st.integers(1, 24), min_size=2, max_size=2, unique=True),
    depth=st.integers(1, 3),
    sizes=st.lists(st.integers(1, 48), min_size=2, max_size=2, unique=True),
    activation=st.sampled_from(["relu", "tanh", "sigmoid", "identity"]),
    optimizer=st.sampled_from(sorted(OPTIMIZERS)),
    sampling=st.sampled_from(["step", "epoch"]),
    init=st.sampled_from(["he_normal", "xavier_uniform", "torch"]),
)
def test_padded_lanes_equal_their_unpadded_runs(
    widths, depth, sizes, activation, optimizer, sampling, init
):
    def model(width):
        return models.mlp(2, (width,) * depth, 2, activation=activation, init=init)

    task = tasks.moons(60, 0.1)
    options = {"steps": 10, "eval_every": 1, "sampling": sampling}
    study = Study(
        task,
        lambda hp: model(hp.width),
        OPTIMIZERS[optimizer](),
        sweep={"width": widths, "batch_size": sizes},
        **options,
    )
    program = Program(
        study.spec.configs,
        dict.fromkeys(("width", "batch_size"), Axis("padded", "")),
        Schedule(10, 1),
    )
    config = {"width": min(widths), "batch_size": min(sizes)}
    (chosen,) = (each for each in study.spec.configs if each.values == config)
    train = make_train(
        task,
        model(config["width"]),
        OPTIMIZERS[optimizer](),
        batch_size=config["batch_size"],
        **options,
    )
    planned = whole(lane_functions(study.spec.parts, program), 11)
    both = jax.jit(lambda seed, hp: (planned(seed, hp, None), train(seed_key(seed))))
    lane, (params, _, history) = both(np.uint32(3), first_hp(program, chosen))
    seen = mark_unseen(lane.history, {})
    for name in ("train_loss", "test_loss", "batch_loss_mean"):
        np.testing.assert_allclose(seen[name], history[name], rtol=1e-5, atol=1e-6, err_msg=name)
    for ours, theirs in zip(jax.tree.leaves(lane.params), jax.tree.leaves(params), strict=True):
        alive = tuple(slice(size) for size in theirs.shape)
        np.testing.assert_allclose(ours[alive], theirs, rtol=1e-4, atol=1e-5)


def test_a_replayed_padded_lane_has_the_weights_of_its_own_sizes():
    task, options = tasks.moons(60, 0.1), {"steps": 10, "eval_every": 5}
    study = Study(
        task,
        lambda hp: models.mlp(2, (hp.width,), 2),
        optax.sgd(0.1),
        sweep={"width": [3, 8], "batch_size": [7, 20]},
        seeds=[3],
        lane_size=1,
        shapes="pad",
        **options,
    )
    (program,) = study.plan().programs
    assert {axis.kind for axis in program.axes.values()} == {"padded"}
    weights, _, history = study.replay({"width": 3, "batch_size": 7}, 3)
    train = jax.jit(
        make_train(task, models.mlp(2, (3,), 2), optax.sgd(0.1), batch_size=7, **options)
    )
    params, _, expected = train(seed_key(3))
    np.testing.assert_allclose(history["test_loss"], expected["test_loss"], rtol=1e-5)
    assert jax.tree.map(np.shape, weights) == jax.tree.map(np.shape, params)
    jax.tree.map(
        lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5),
        weights,
        params,
    )


def test_padding_changes_no_distribution():
    def study(shapes):
        return Study(
            tasks.moons(100, 0.2),
            lambda hp: models.mlp(2, (hp.width,), 2),
            optax.adam(0.02),
            sweep={"width": [2, 16], "batch_size": [5, 20]},
            seeds=60,
            steps=60,
            shapes=shapes,
        )

    pad, bucket = (study(shapes).run() for shapes in ("pad", "bucket"))
    for config in pad.configs:
        ours, theirs = (result.final("test_loss")[result.rows(config)] for result in (pad, bucket))
        assert stats.ks_2samp(ours, theirs).pvalue > 0.01
        assert np.median(ours) == pytest.approx(np.median(theirs), rel=1e-3)


def test_dead_units_stay_exactly_zero():
    study = Study(
        tasks.moons(60),
        lambda hp: models.mlp(2, (hp.width, hp.width), 2, activation="sigmoid", init="torch"),
        optax.adam(0.05),
        sweep={"width": [3, 8]},
        steps=20,
        batch_size=10,
        shapes="pad",
    )
    (program,) = study.plan().programs
    functions = lane_functions(study.spec.parts, program)
    hp = first_hp(program, study.spec.configs[0])
    assert hp == {"width": 3}
    lane, dataset = functions.init(np.uint32(0), hp, None)
    lane = jax.jit(functions.segment)(lane, dataset, np.uint32(0), hp, 0, 21)
    first, second, last = lane.params
    assert not np.any(first.weight[3:])
    assert not np.any(first.bias[3:])
    assert not np.any(second.weight[3:])
    assert not np.any(second.weight[:, 3:])
    assert not np.any(last.weight[:, 3:])
    assert np.all(second.weight[:3, :3] != 0)
