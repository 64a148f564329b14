"""Nothing is lost: kills, Ctrl-C, broken files, full memory, shards."""

import functools
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import time

import jax
import numpy as np
import optax
import pytest

from experiments.__main__ import main as command
from jaxdl import Study, load, models, tasks
from jaxdl.running import blocks as running
from jaxdl.running import engine, shards, store

sys.path.insert(0, os.path.dirname(__file__))
import kill_study


def small(**changes):
    declared = {
        "task": tasks.moons(60, 0.1),
        "model": models.mlp(2, (8,), 2),
        "optimizer": optax.adam(0.01),
        "sweep": {"batch_size": [5, 40]},
        "seeds": 40,
        "steps": 30,
        "eval_every": 10,
        "lane_size": 1,
        "shapes": "bucket",
    }
    return Study(**{**declared, **changes})


@functools.cache
def same():
    """`small()`, planned and compiled once: what is tested is what the runs leave on disk."""
    return small()


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    same().run(folder)
    return kill_study.blocks(folder)


def test_kills_at_random_moments_change_no_byte(capfd):
    """Three here; ``python tests/kill_study.py`` kills twenty times."""
    assert kill_study.main(kills=3, seeds=20) == 0
    assert "bytes equal" in capfd.readouterr().out


def test_ctrl_c_saves_and_the_same_call_continues(tmp_path, whole, monkeypatch):
    monkeypatch.setattr(engine, "next_length", lambda *args: 3)
    blocks, original = [], engine.run_block
    before = signal.getsignal(signal.SIGINT)  # that of a process begun in the background ignores it

    def interrupted(*args):
        blocks.append(1)
        if len(blocks) == 3:
            os.kill(os.getpid(), signal.SIGINT)
        return original(*args)

    monkeypatch.setattr(engine, "run_block", interrupted)
    with pytest.raises(KeyboardInterrupt, match="interrupted: saved, the same call continues"):
        same().run(tmp_path / "run")
    assert signal.getsignal(signal.SIGINT) is before
    assert len(store.finished_blocks(tmp_path / "run")) == 2
    saved = store.read_checkpoint(tmp_path / "run", 2)
    assert 0 < int(saved["step"]) < 30
    steps = []
    monkeypatch.setattr(engine, "run_block", original)
    monkeypatch.setattr(
        running, "_advance", lambda shown, weight, lane_steps: steps.append(lane_steps)
    )
    small().run(tmp_path / "run")
    assert kill_study.blocks(tmp_path / "run") == whole
    assert sum(steps) == (80 - 2 * 16) * 30 - int(saved["step"]) * len(jax.local_devices())
    assert not list((tmp_path / "run" / "checkpoints").iterdir())


def test_every_checkpoint_of_a_block_leads_to_its_end(monkeypatch):
    study = same()
    program = study.plan().programs[0]
    compiled = study._compiled({0: program})[0].result()
    lanes, kept = [(program.configs[0], seed) for seed in range(3)], []
    monkeypatch.setattr(engine, "next_length", lambda *args: 14)
    whole = engine.run_block(
        study.spec, program, compiled, lanes, engine.Hooks(due=lambda: True, save=kept.append)
    )
    # two chunks of two, the second from the length that the first has found; 31 is past the last
    # step
    assert [int(saved["step"]) for saved in kept] == [1, 15, 29, 31, 14, 28, 31]
    for saved in kept:
        found = engine.run_block(study.spec, program, compiled, lanes, engine.Hooks(), saved)
        assert {name: values.tobytes() for name, values in found.items()} == {
            n: v.tobytes() for n, v in whole.items()
        }


def test_in_a_notebook_ctrl_c_returns_what_there_is(tmp_path, monkeypatch):
    original = engine.run_block
    monkeypatch.setattr("jaxdl.study.in_notebook", lambda: True)
    monkeypatch.setattr(
        engine, "run_block", lambda *args: (original(*args), os.kill(os.getpid(), signal.SIGINT))[0]
    )
    partial = same().run(tmp_path / "run")
    assert 0 < len(partial.lanes) < 80


def test_beside_a_notebook_s_library_ctrl_c_is_raised(tmp_path, monkeypatch):
    """That ipykernel is imported says nothing of where the code runs."""
    original = engine.run_block
    monkeypatch.setitem(sys.modules, "ipykernel", sys)
    monkeypatch.setattr(
        engine, "run_block", lambda *args: (original(*args), os.kill(os.getpid(), signal.SIGINT))[0]
    )
    with pytest.raises(KeyboardInterrupt):
        same().run(tmp_path / "run")


def test_a_command_that_is_interrupted_exits_130(tmp_path):
    arguments = [
        sys.executable,
        "-m",
        "experiments",
        "batch_size",
        "--steps",
        "200000",
        "--seeds",
        "4",
        "--out",
        str(tmp_path / "run"),
    ]
    process = subprocess.Popen(
        [
            *arguments,
            "--sweep",
            "batch_size=50",
            "--sweep",
            "learning_rate=0.1",
            "--sweep",
            "reduction=mean",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=os.path.dirname(os.path.dirname(__file__)),
    )
    while not (tmp_path / "run" / "manifest.json").exists():
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(3)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert out == ""
    assert "interrupted" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("harm", ["truncated", "missing", "corrupt event", "checkpoint"])
def test_only_what_is_broken_is_computed_again(harm, tmp_path, whole):
    run = tmp_path / "run"
    same().run(run)
    block, events = store.block_path(run, 3), run / store.EVENTS
    before = {path.name: path.stat().st_mtime_ns for path in (run / "blocks").iterdir()}
    if harm == "truncated":
        block.write_bytes(block.read_bytes()[:-100])
    elif harm == "missing":
        block.unlink()
    else:
        lines = events.read_text().splitlines()
        kept = [line for line in lines if json.loads(line)["block"] != 3]
        (line,) = [line for line in lines if json.loads(line)["block"] == 3]
        events.write_text("\n".join([*kept, line[:40]]))
        if harm == "checkpoint":
            store.write_checkpoint(run, 3, {"step": np.array(1)})
            path = store.checkpoint_path(run, 3)
            path.write_bytes(path.read_bytes()[:-30])
    assert len(load(run).lanes) < 80
    same().run(run)
    assert kill_study.blocks(run) == whole
    changed = [
        path.name
        for path in (run / "blocks").iterdir()
        if path.stat().st_mtime_ns != before[path.name]
    ]
    assert changed == ["0003.npz"]
    assert len(load(run).lanes) == 80


def test_running_out_of_memory_halves_the_lane_size_until_a_block_is_stored(
    tmp_path, monkeypatch, capsys
):
    original, limit = engine.run_block, [2]

    def scarce(spec, program, *args):
        if program.lane_size > limit[0]:
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")
        return original(spec, program, *args)

    monkeypatch.setattr(engine, "run_block", scarce)
    result = small(lane_size=4).run(tmp_path / "run", progress=True)
    assert len(result.lanes) == 80
    assert "out of memory: lane_size [4, 4] becomes [2, 2]" in capsys.readouterr().err
    assert [
        program["lane_size"] for program in store.read_manifest(tmp_path / "run")["programs"]
    ] == [2, 2]
    limit[0] = 1
    with pytest.raises(MemoryError, match="cannot be halved: blocks are stored"):
        small(lane_size=None, seeds=50).run(tmp_path / "run")


def test_a_command_that_runs_out_of_memory_ends_with_one_line(tmp_path, monkeypatch, capsys):
    def none_left(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")

    monkeypatch.setattr(engine, "run_block", none_left)
    arguments = [
        "batch_size",
        "--quick",
        "--lane-size",
        "2",
        "--sweep",
        "batch_size=8",
        "--sweep",
        "learning_rate=0.1",
        "--sweep",
        "reduction=mean",
        "--out",
        str(tmp_path / "run"),
    ]
    assert command(arguments) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "becomes [1]" in err
    assert (
        err.splitlines()[-1]
        == "error: out of memory with lane_size [1], which cannot be halved: it is 1 already"
    )


def test_a_folder_that_cannot_be_written_is_named():
    with pytest.raises(OSError, match="/proc/jaxdl"):
        same().run("/proc/jaxdl/run")


@pytest.mark.parametrize(
    ("writer", "file"), [("write_atomically", "0003.npz"), ("append_event", "events.jsonl")]
)
def test_a_full_disk_is_named_and_what_is_stored_is_kept(
    writer, file, tmp_path, whole, monkeypatch
):
    run, write, free = (
        tmp_path / "run",
        getattr(store, writer),
        resource.getrlimit(resource.RLIMIT_FSIZE),
    )

    def write_until_full(path, *arguments):
        if len(store.read_events(run)) == 3:
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (0, free[1])
            )  # the system itself refuses to write more
        write(path, *arguments)

    monkeypatch.setattr(store, writer, write_until_full)
    try:
        with pytest.raises(OSError, match=file):
            same().run(run)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, free)
    assert set(store.finished_blocks(run)) == {0, 1, 2}
    assert not list(run.rglob(".*"))
    monkeypatch.undo()
    same().run(run)
    assert kill_study.blocks(run) == whole


def shard_process(folder, shard, environment=()):
    code = "import sys; sys.path.insert(0, sys.argv[1]); import test_resume; test_resume.small().run(sys.argv[2], shard=sys.argv[3] or None)"
    arguments = [sys.executable, "-c", code, os.path.dirname(__file__), str(folder), shard]
    return subprocess.Popen(
        arguments, env={**os.environ, "JAX_NUM_CPU_DEVICES": "2", **dict(environment)}
    )


def test_two_processes_give_the_bytes_of_one_and_a_lost_one_is_made_up_for(tmp_path, whole):
    both = [
        shard_process(tmp_path / "both", "0/2"),
        shard_process(tmp_path / "both", "auto", {"SLURM_PROCID": "1", "SLURM_NTASKS": "2"}),
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert kill_study.blocks(tmp_path / "both") == whole
    assert sorted(path.name for path in (tmp_path / "both").glob("events*")) == [
        "events-0-of-2.jsonl",
        "events-1-of-2.jsonl",
    ]
    first, lost = shard_process(tmp_path / "lost", "0/2"), shard_process(tmp_path / "lost", "1/2")
    while not (tmp_path / "lost" / "manifest.json").exists():
        time.sleep(0.01)
    lost.kill()
    lost.wait()
    assert first.wait(timeout=300) == 0
    assert {1, 3, 5} > set(store.finished_blocks(tmp_path / "lost")) - {0, 2, 4}
    assert shard_process(tmp_path / "lost", "1/2").wait(timeout=300) == 0
    assert kill_study.blocks(tmp_path / "lost") == whole


def test_processes_of_jax_distributed_give_the_bytes_of_one(tmp_path, whole):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    code = f"import jax, sys; jax.distributed.initialize('127.0.0.1:{port}', 2, int(sys.argv[2])); sys.path.insert(0, sys.argv[1])\n"
    code += "import test_resume; test_resume.small().run(sys.argv[3], shard='auto')"
    arguments = [sys.executable, "-c", code, os.path.dirname(__file__)]
    environment = {**os.environ, "JAX_NUM_CPU_DEVICES": "2"}
    both = [
        subprocess.Popen([*arguments, str(number), str(tmp_path / "run")], env=environment)
        for number in range(2)
    ]
    assert [process.wait(timeout=300) for process in both] == [0, 0]
    assert kill_study.blocks(tmp_path / "run") == whole
    assert sorted(path.name for path in (tmp_path / "run").glob("events*")) == [
        "events-0-of-2.jsonl",
        "events-1-of-2.jsonl",
    ]


def test_only_the_first_process_makes_the_manifest(tmp_path):
    run = tmp_path / "run"
    assert store.is_new(run)
    (run / store.BLOCKS).mkdir(parents=True)  # what another process has begun
    (run / f".{store.MANIFEST}.1-ab").touch()
    assert store.is_new(run)
    assert store.create_manifest(run, {"by": 1})
    assert not store.create_manifest(run, {"by": 2})
    assert store.read_manifest(run) == {"by": 1}
    assert not store.is_new(run)
    assert sorted(path.name for path in run.iterdir()) == [
        f".{store.MANIFEST}.1-ab",
        store.BLOCKS,
        store.MANIFEST,
    ]
    store.write_manifest(run, {"by": 3})
    assert store.read_manifest(run) == {"by": 3}


TASKS = {"SLURM_PROCID": "3", "SLURM_NTASKS": "4"}
ARRAY = {
    "SLURM_ARRAY_TASK_ID": "7",
    "SLURM_ARRAY_TASK_COUNT": "4",
    "SLURM_ARRAY_TASK_MIN": "5",
    "SLURM_ARRAY_TASK_MAX": "8",
}
STEPS = {
    "SLURM_ARRAY_TASK_ID": "8",
    "SLURM_ARRAY_TASK_COUNT": "4",
    "SLURM_ARRAY_TASK_MIN": "0",
    "SLURM_ARRAY_TASK_STEP": "4",
}
IN_STEP = {**TASKS, "SLURM_STEP_NUM_TASKS": "4"}
ENVIRONMENTS = [  # what schedulers set -> the shard that "auto" takes
    ({}, (0, 1)),
    (TASKS, (3, 4)),
    ({**TASKS, "SLURM_NTASKS": "8", "SLURM_STEP_NUM_TASKS": "4"}, (3, 4)),
    ({"SLURM_NTASKS": "4"}, (0, 1)),  # an interactive allocation
    ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (0, 1)),
    (ARRAY, (2, 4)),
    (STEPS, (2, 4)),
    ({**ARRAY, "SLURM_PROCID": "0", "SLURM_NTASKS": "1"}, (2, 4)),
    (
        {**ARRAY, "SLURM_PROCID": "0", "SLURM_NTASKS": "4"},
        (2, 4),
    ),  # a batch script that starts Python once
    ({**ARRAY, **IN_STEP}, (2 * 4 + 3, 16)),
    ({"SLURM_ARRAY_TASK_ID": "3", "SLURM_ARRAY_TASK_COUNT": "1"}, (0, 1)),
    ({"OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_SIZE": "2"}, (1, 2)),
]


@pytest.mark.parametrize(("environment", "expected"), ENVIRONMENTS)
def test_a_shard_is_taken_from_the_environment_where_that_is_asked_for(environment, expected):
    assert shards.find("auto", environment) == expected
    assert shards.find(None, environment) == (0, 1)
    assert shards.find("2/3", environment) == shards.find((2, 3), environment) == (2, 3)


def test_the_processes_of_an_array_of_jobs_take_all_blocks_once():
    places = [
        {**IN_STEP, "SLURM_PROCID": str(p), "SLURM_ARRAY_TASK_ID": str(j)}
        for j in range(5, 9)
        for p in range(4)
    ]
    mine = [shards.find("auto", {**ARRAY, **place}) for place in places]
    assert [sum(shard.takes(block) for shard in mine) for block in range(50)] == [1] * 50


@pytest.mark.parametrize(
    ("given", "environment", "message"),
    [
        ("4/4", {}, "^shard index must be from 0 to 3 of 4, got 4$"),
        ("-1/2", {}, "^shard index must be from 0 to 1 of 2, got -1$"),
        ((3, 2), {}, "^shard index must be from 0 to 1 of 2, got 3$"),
        ("0/0", {}, "^shard index must be from 0 to 0 of 0, got 0$"),
        *(
            (wrong, {}, "^shard must look like i/n, got ")
            for wrong in ("first", "", "1", "1/2/3", 3, 0.5, (1,), (0.5, 2), True, "Auto")
        ),
        (
            "auto",
            {**TASKS, "SLURM_PROCID": "x"},
            "^SLURM_PROCID must be an integer for shard 'auto', got 'x'$",
        ),
        (
            "auto",
            {**TASKS, "SLURM_NTASKS": ""},
            "^SLURM_NTASKS must be an integer for shard 'auto', got ''$",
        ),
        ("auto", {**TASKS, "SLURM_PROCID": "4"}, "^SLURM_PROCID must be from 0 to 3 of 4, got 4$"),
        ("auto", {**TASKS, "SLURM_NTASKS": "0"}, "^SLURM_PROCID must be from 0 to 0 of 0, got 3$"),
        (
            "auto",
            {**ARRAY, "SLURM_ARRAY_TASK_COUNT": "four"},
            "^SLURM_ARRAY_TASK_COUNT must be an integer",
        ),
        (
            "auto",
            {**ARRAY, "SLURM_ARRAY_TASK_MAX": "9"},
            "^shard 'auto' needs a SLURM array without gaps, such as 0-3, got 4 of 5-9$",
        ),
        (
            "auto",
            {**STEPS, "SLURM_ARRAY_TASK_ID": "9"},
            "^shard 'auto' needs a SLURM array without gaps",
        ),
        (
            "auto",
            {**ARRAY, "SLURM_ARRAY_TASK_ID": "4"},
            "^SLURM_ARRAY_TASK_ID's place must be from 0 to 3 of 4, got -1$",
        ),
    ],
)
def test_what_is_no_shard_is_named(given, environment, message):
    with pytest.raises(ValueError, match=message) as caught:
        shards.find(given, environment)
    assert "\n" not in str(caught.value)


def test_a_study_is_whole_unless_a_shard_is_asked_for(tmp_path, monkeypatch, capsys):
    for name, value in TASKS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        running, "_train", lambda run, manifest, missing: asked.append(sorted(missing)) or []
    )
    asked = []
    same().run(tmp_path / "run")
    same().run(tmp_path / "run", shard="auto")
    same().run(tmp_path / "run", shard="1/2")
    assert asked == [[0, 1, 2, 3, 4, 5], [3], [1, 3, 5]]
    partial = capsys.readouterr().err.splitlines()  # nothing is trained here, and each run says so
    assert len(partial) == 3
    assert all("holds 0 of" in line for line in partial)
    with pytest.raises(ValueError, match="path must be a run folder"):
        same().run(shard="auto")
    monkeypatch.delenv("SLURM_PROCID")
    same().run(tmp_path / "run", shard="auto")
    assert asked[3:] == [[0, 1, 2, 3, 4, 5]]
    line, rest = capsys.readouterr().err.splitlines()
    assert "holds 0 of" in rest
    assert (
        line
        == "jaxdl: shard 'auto' found no other process in the environment: all blocks are trained here"
    )


def test_replay_says_whether_it_is_the_stored_lane(tmp_path, capsys, monkeypatch):
    made = same()
    made.run(tmp_path / "run")
    made.replay({"batch_size": 5}, 2, progress=True)
    assert "bit-equal to the stored lane" in capsys.readouterr().err
    made._last[1].history["test_loss"][:] += 0.25
    with pytest.warns(UserWarning, match=r"differs by up to 0.\d in test_loss"):
        made.replay({"batch_size": 5}, 2)
