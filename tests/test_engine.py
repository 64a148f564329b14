"""A lane's bits do not depend on what runs beside it, on segments, on devices or on a kill."""

import os
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

from jaxdl import Study, models, tasks, train
from jaxdl.running import engine

pytestmark = pytest.mark.full  # bits
WIDE = dict(  # wide enough for a change in vectorisation to show in the last bits
    task=tasks.moons(200, 0.1),
    model=models.mlp(2, (256, 256), 2),
    optimizer=lambda hp: optax.sgd(hp.learning_rate),
    batch_size=16,
    steps=7,
    eval_every=3,
)


def bits(result, seed, learning_rate):
    (row,) = [
        r
        for r, lane in enumerate(result.lanes)
        if lane["seed"] == seed and lane["learning_rate"] == learning_rate
    ]
    return {name: values[row].tobytes() for name, values in result.history.items()}


@pytest.fixture(scope="module")
def few():
    return Study(**WIDE, sweep={"learning_rate": [0.1]}, seeds=10).run()


def test_number_of_seeds_changes_no_bit(few):
    many = Study(**WIDE, sweep={"learning_rate": [0.1]}, seeds=1000).run()
    for seed in range(10):
        assert bits(few, seed, 0.1) == bits(many, seed, 0.1)


def test_a_diverged_neighbour_changes_no_bit(few):
    beside = Study(**WIDE, sweep={"learning_rate": [0.1, 1e30]}, seeds=10).run()
    lost = [lane for lane in beside.lanes if lane["learning_rate"] == 1e30]
    assert all(lane["status"] == "diverged" and lane["diverged_at"] == 0 for lane in lost)
    assert all(bits(few, seed, 0.1) == bits(beside, seed, 0.1) for seed in range(10))


@pytest.mark.parametrize("length", [1, 2, 5])
def test_segments_of_any_length_change_no_bit(few, length, monkeypatch):
    whole = engine.next_length
    monkeypatch.setattr(engine, "next_length", lambda *args: length)
    cut = Study(**WIDE, sweep={"learning_rate": [0.1]}, seeds=3).run()
    assert whole is not engine.next_length
    assert all(bits(few, seed, 0.1) == bits(cut, seed, 0.1) for seed in range(3))


class Clock:
    """A program whose steps take so many seconds, by a clock that only they move."""

    def __init__(self, monkeypatch, seconds):
        self.now, self.seconds, self.segments = 0.0, seconds, []
        monkeypatch.setattr(engine.time, "perf_counter", lambda: self.now)

    def compiled(self):
        def segment(lane, dataset, seeds, hp, start, stop):
            self.now += self.seconds * (stop - start)
            self.segments.append((int(start), int(stop)))
            return lane

        lane = engine.Lane(
            (),
            (),
            (),
            np.zeros(2, np.int32),
            {},
            {f"batch_loss_{kind}": np.zeros((2, 1)) for kind in KINDS},
        )
        return engine.Compiled(lambda *arguments: (lane, None), segment, None, lanes=2, bytes=None)

    def lengths(self):
        return [stop - start for start, stop in self.segments]


KINDS = ("min", "mean", "max")


def trained(clock, steps, chunks, **hooks):
    study = Study(**{**WIDE, "steps": steps, "eval_every": steps}, sweep={"learning_rate": [0.1]})
    schedule = engine.Program((), {}, train.Schedule(steps, steps), 1)
    lanes = [({"learning_rate": 0.1}, seed) for seed in range(2 * chunks)]
    engine.run_block(study.spec, schedule, clock.compiled(), lanes, engine.Hooks(**hooks))


def test_a_slow_program_is_heard_of_after_every_step(monkeypatch):
    clock = Clock(monkeypatch, seconds=7.0)
    trained(clock, steps=10_000, chunks=2)
    assert set(clock.lengths()) == {1}


@pytest.mark.parametrize("seconds", [1e-6, 1e-4, 3e-3, 0.04, 0.3])
def test_segments_grow_to_their_length_once_for_all_chunks_and_blocks(seconds, monkeypatch):
    clock, kept, steps, chunks = Clock(monkeypatch, seconds), [engine.FIRST_STEPS], 3000, 5
    for _ in range(3):
        trained(clock, steps, chunks, length=lambda: kept[-1], keep=kept.append)
    wanted = max(1, int(engine.SEGMENT_SECONDS / seconds))
    assert sum(clock.lengths()) == 3 * chunks * (steps + 1)
    assert max(clock.lengths()) <= wanted
    assert clock.lengths()[:3] == [1, min(4, wanted), min(16, wanted)]
    least = int(np.ceil((steps + 1) / wanted))  # segments that a chunk needs
    assert (
        len(clock.segments) <= 3 * chunks * (least + 1) * 1.05 + 7
    )  # not begun anew with every chunk


def test_a_program_that_becomes_slower_is_noticed_in_chunks_of_one_segment(monkeypatch):
    clock = Clock(monkeypatch, seconds=1e-4)
    trained(clock, steps=1000, chunks=3, keep=(kept := []).append)
    assert clock.lengths()[-1] == 1001
    clock.seconds, clock.segments = 0.1, []
    trained(clock, steps=1000, chunks=1, length=kept.pop, keep=kept.append)
    wanted = int(engine.SEGMENT_SECONDS / clock.seconds)
    assert kept[0] in (wanted - 1, wanted)


def test_replay_gives_the_bits_of_the_run_and_the_weights_behind_them(few):
    study = Study(**WIDE, sweep={"learning_rate": [0.1]}, seeds=10)
    params, state, history = study.replay({"learning_rate": 0.1}, seed=7)
    assert {name: values.tobytes() for name, values in history.items()} == bits(few, 7, 0.1)
    recipe = study.recipe({"learning_rate": 0.1})
    from jaxdl.sampling import seed_key

    data = recipe.task.data(seed_key(7))
    outputs, _ = recipe.model.apply(params, state, data.test_x)
    assert np.mean(outputs.argmax(axis=0) == data.test_targets) == pytest.approx(
        history["test_accuracy"][-1], abs=1e-6
    )


def test_replay_keeps_the_sign_of_zero():
    study = Study(
        **{**WIDE, "optimizer": optax.sgd(0.1)},
        seeds=2,
        lane_size=1,
        record={"zero": lambda info: -0.0 * info.loss},
    )
    result = study.run()
    _, _, history = study.replay({}, seed=1)
    assert np.signbit(result.history["zero_min"][:, 1:]).all()
    stored = {name: values[1].tobytes() for name, values in result.history.items()}
    assert {name: values.tobytes() for name, values in history.items()} == stored


def test_one_compile_a_program():
    compiled = []
    sweep = {"learning_rate": [0.1, 0.01], "batch_size": [8, 16]}
    study = Study(**{**WIDE, "batch_size": None}, sweep=sweep, seeds=40, shapes="bucket")
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, seconds, **kw: (
            compiled.append(kw.get("fun_name"))
            if event.endswith("backend_compile_duration")
            else None
        )
    )
    try:
        study.plan()
        study.run()
    finally:
        jax.monitoring.clear_event_listeners()
    assert len(study.plan().programs) == 2
    assert len([name for name in compiled if name is None or "segment" in str(name)]) >= 2
    assert len([name for name in compiled if "segment" in str(name)]) == 2
    assert len([name for name in compiled if "init" in str(name)]) == 1


SCRIPT = """
import sys, optax
from jaxdl import Study, models, tasks
Study(task=tasks.moons(200, 0.1), model=models.mlp(2, (64, 64), 2), optimizer=optax.sgd(0.1), sweep={"batch_size": [16, 160]},
      seeds=40, steps=int(sys.argv[2]), eval_every=2, lane_size=1, shapes="bucket").run(sys.argv[1])
"""


def start(folder, steps=6, devices=2):
    environment = {
        **os.environ,
        "JAX_NUM_CPU_DEVICES": str(devices),
        "XDG_CACHE_HOME": str(folder.parent / "cache"),
    }
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(folder), str(steps)], env=environment
    )


def blocks(folder):
    return {path.name: path.read_bytes() for path in sorted((folder / "blocks").glob("*.npz"))}


def test_two_devices_or_four_change_no_byte(tmp_path):
    for devices in (2, 4):
        assert start(tmp_path / str(devices), devices=devices).wait(timeout=300) == 0
    assert len(blocks(tmp_path / "2")) == 6
    assert blocks(tmp_path / "2") == blocks(tmp_path / "4")
