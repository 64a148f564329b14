"""A study travels as a pickle, and its blocks to the workers of an executor: the bytes of a plain
run, whatever becomes of the workers.

Processes are spawned here; threads stand for workers where nothing hangs on a process. Dask,
submitit and killed processes are in tests/test_clusters.py.
"""

import concurrent.futures
import itertools
import multiprocessing
import os
import pathlib
import pickle
import re
import signal
import subprocess
import sys
import threading
import time

import cloudpickle
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import linen

from jaxdl import Narrow, Seeds, Study, load, losses, models, tasks
from jaxdl.running import engine, executors, jobs, store

sys.path.insert(0, os.path.dirname(__file__))
import kill_study

# Workers cannot import the modules of tests, so what is defined here goes to them by its code.
cloudpickle.register_pickle_by_value(sys.modules[__name__])
MACHINES = pathlib.Path(__file__).parent.parent / "docs" / "machines.md"
ONE = jnp.ones(())  # an array that travels with functions


def small(**changes):
    declared = {
        "task": tasks.moons(60, 0.1, valid_fraction=0.2),
        "model": models.mlp(2, (4,), 2),
        "optimizer": lambda hp: optax.sgd(hp.rate * ONE),
        "sweep": {"rate": [0.1, 0.2]},
        "seeds": 20,
        "steps": 6,
        "eval_every": 3,
        "batch_size": 8,
        "lane_size": 1,  # so a block has 16 lanes, and the study three blocks
    }
    return Study(**{**declared, **changes})


def bytes_of(run: pathlib.Path) -> dict[str, bytes]:
    """All that a run consists of: its manifest, and its blocks."""
    return {"manifest": (run / "manifest.json").read_bytes(), **kill_study.blocks(run)}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A run without an executor."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    result = small().run(folder)
    return result, bytes_of(folder)


@pytest.fixture(scope="module")
def processes():
    with _pool() as pool:
        # Both begin now, in this folder: a run is found by its path from everywhere.
        for nap in [pool.submit(time.sleep, 0.5) for _ in range(2)]:
            nap.result()
        yield pool


def _pool(workers=2):
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(workers, mp_context=context)


@pytest.fixture
def thread():
    """A pool of a single worker, a thread."""
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        yield pool


# --- pickles -----------------------------------------------------------------------------------

FRESH = """
import pathlib, pickle, sys
study = pickle.loads(pathlib.Path(sys.argv[1]).read_bytes())
study.run(sys.argv[2])
import jax
print(len(jax.local_devices()))
print(study.plan())
"""


@pytest.mark.parametrize("has_run", [False, True], ids=["before", "after"])
def test_a_study_is_the_same_in_another_process(has_run, plain, tmp_path):
    study = small()
    if has_run:
        study.run(tmp_path / "here")
    (tmp_path / "study").write_bytes(cloudpickle.dumps(study))
    words = [sys.executable, "-c", FRESH, tmp_path / "study", tmp_path / "there"]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    devices, _, plan = done.stdout.partition("\n")
    assert plan.strip() == str(small().plan()).strip()
    assert bytes_of(tmp_path / "there") == plain[1]
    assert int(devices) >= 2  # chosen before the array that came with the study


def task_of(hp):
    return tasks.moons(60, hp.noise)


def model_of(hp):
    return models.mlp(2, (4,), 2)


def optimizer_of(hp):
    return optax.sgd(0.1)


def test_pickle_takes_a_study_of_functions_that_it_can_name(monkeypatch):
    study = Study(task_of, model_of, optimizer_of, sweep={"noise": [0.1, 0.2]}, steps=2)
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    again = pickle.loads(pickle.dumps(study))
    assert repr(again.plan()) == repr(study.plan())
    result = again.run()
    assert len(pickle.loads(pickle.dumps(result))) == 2


class Tiny(linen.Module):
    @linen.compact
    def __call__(self, x):
        return linen.Dense(2)(x)


ACTIVATIONS = {"relu": jax.nn.relu, "softsign": lambda x: x / (1 + jnp.abs(x))}
STUDIES = {
    "swept functions": lambda: small(
        model=lambda hp: models.mlp(2, (3,), 2, activation=hp.activation),
        optimizer=optax.adam(0.1),
        sweep={"activation": ACTIVATIONS},
    ),
    "arrays": lambda: small(
        task=tasks.from_arrays(np.eye(12, 2), np.arange(12) % 2, class_weight="balanced"),
        batch_size=4,
    ),
    "images": lambda: small(
        task=tasks.images("digits"), model=models.cnn((4,), 10, inputs=(1, 8, 8), norm="batch")
    ),
    "sequences": lambda: small(task=tasks.palindromes(4), model=models.rnn(1, 4, 10, cell="lstm")),
    "flax": lambda: small(model=models.from_flax(Tiny(), np.zeros((1, 2), np.float32))),
    "seeds of streams": lambda: small(seeds=Seeds(init=range(2), data=range(2))),
    "settings": lambda: small(
        batch_size=lambda hp: int(80 * hp.rate),
        record={"loss": lambda info: info.loss},
        eval_params=lambda params, opt_state: params,
    ),
}


@pytest.mark.parametrize("name", STUDIES)
def test_studies_of_all_kinds_train_the_same_after_a_pickle(name):
    study = STUDIES[name]()
    again = cloudpickle.loads(cloudpickle.dumps(study))
    for program in study.plan().programs:
        assert again._identity(program) == study._identity(program)


# --- runs --------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["processes", "thread"])
def test_workers_store_the_bytes_of_a_plain_run(kind, plain, tmp_path, request, monkeypatch):
    executor = request.getfixturevalue(kind)  # whose processes stand in another folder
    monkeypatch.chdir(tmp_path)
    result = small().run("run", executor=executor)
    expected, stored = plain
    assert bytes_of(tmp_path / "run") == stored
    assert result.lanes == expected.lanes
    assert result.metrics == expected.metrics
    for name, curves in expected.history.items():
        np.testing.assert_array_equal(result[name], curves)
    assert not list((tmp_path / "run" / "checkpoints").glob("*"))
    (command,) = {session["command"] for session in store.read_sessions(tmp_path / "run")}
    assert "multiprocessing" not in str(command)


def test_a_run_goes_on_with_workers_and_without(plain, thread, tmp_path):
    for folder, first, second in (("a", None, thread), ("b", thread, None)):
        small(seeds=10).run(tmp_path / folder, executor=first)
        grown = small().run(tmp_path / folder, executor=second)
        assert grown.complete
        assert grown.lanes == plain[0].lanes
    assert bytes_of(tmp_path / "a") == bytes_of(tmp_path / "b")


def test_what_is_stored_is_not_trained_again(thread, tmp_path):
    small().run(tmp_path / "run", executor=thread)
    before = {path.name: path.stat() for path in (tmp_path / "run" / "blocks").iterdir()}
    again = small().run(tmp_path / "run", executor=thread)
    assert again.complete
    after = {path.name: path.stat() for path in (tmp_path / "run" / "blocks").iterdir()}
    assert after == before


def test_blocks_are_told_as_in_a_plain_run(thread, tmp_path):
    told = {}
    for name, executor in (("plain", None), ("workers", thread)):
        told[name] = []
        small().run(tmp_path / name, executor=executor, on_event=told[name].append)
    for mine, theirs in zip(told["workers"], told["plain"], strict=True):
        assert mine["event"] == theirs["event"]
        assert mine.get("block") == theirs.get("block")
        assert repr(mine.get("lanes")) == repr(theirs.get("lanes"))


def test_seeds_are_added_until_an_interval_is_narrow(thread, tmp_path):
    until = Narrow("test_accuracy", width=0.5, most=60)
    plain = small(seeds=4).run(tmp_path / "plain", until=until)
    result = small(seeds=4).run(tmp_path / "workers", until=until, executor=thread)
    assert result.narrowed == plain.narrowed
    assert bytes_of(tmp_path / "workers") == bytes_of(tmp_path / "plain")


def test_two_executors_may_work_on_one_folder(processes, plain, tmp_path):
    with concurrent.futures.ThreadPoolExecutor(2) as callers:
        runs = [callers.submit(small().run, tmp_path / "run", executor=processes) for _ in range(2)]
        assert all(run.result().complete for run in runs)
    assert bytes_of(tmp_path / "run") == plain[1]


def test_many_blocks_are_bundled_by_program():
    todo = {number: (number % 2, []) for number in range(1000)}
    bundles = jobs.bundled(todo)
    assert sorted(itertools.chain(*bundles)) == list(range(1000))
    assert all(len({todo[number][0] for number in bundle}) == 1 for bundle in bundles)
    assert len(bundles) <= jobs.MOST_JOBS + 2
    assert jobs.bundled(dict(list(todo.items())[:9])) == [
        [n] for n in (*range(0, 9, 2), *range(1, 9, 2))
    ]


def test_a_job_of_several_blocks_stores_them_all(thread, plain, tmp_path, monkeypatch):
    monkeypatch.setattr(jobs.bundled, "__defaults__", (1,))
    small().run(tmp_path / "run", executor=thread)
    assert bytes_of(tmp_path / "run") == plain[1]


def test_progress_counts_jobs(thread, tmp_path, capsys):
    small().run(tmp_path / "run", executor=thread, progress=True)
    assert "training 3 blocks in 3 jobs" in capsys.readouterr().err


def test_the_process_that_asks_starts_no_backend(tmp_path):
    """It may have no GPU, and takes no memory of one. The recipe of docs/machines.md."""
    before = """
import optax
from jaxdl import Study, models, tasks
study = Study(tasks.moons(20), models.mlp(2), optax.sgd(0.1), steps=2)
"""
    (recipe,) = re.findall(r"```python processes\n(.*?)```", MACHINES.read_text(), re.DOTALL)
    after = """
    from jax._src import xla_bridge
    assert result.complete
    assert not xla_bridge.backends_are_initialized()
"""
    (tmp_path / "script.py").write_text(before + recipe + after)
    subprocess.run([sys.executable, "script.py"], cwd=tmp_path, check=True)
    assert (tmp_path / "runs" / "with_processes" / "manifest.json").exists()


# --- workers that are lost, and errors ---------------------------------------------------------


class Forgetful(concurrent.futures.ThreadPoolExecutor):
    """A cluster that loses the workers of its first calls."""

    def __init__(self, losses):
        super().__init__(1)
        self.losses = losses

    def submit(self, function, *arguments):
        self.losses -= 1
        if self.losses < 0:
            return super().submit(function, *arguments)
        return super().submit(_lose)


def _lose():
    raise OSError("the node is down")


def test_the_job_of_a_lost_worker_is_sent_again_twice(plain, tmp_path):
    with Forgetful(2) as executor:
        small().run(tmp_path / "run", executor=executor)
    assert bytes_of(tmp_path / "run") == plain[1]
    with Forgetful(3) as executor, pytest.raises(concurrent.futures.BrokenExecutor) as caught:
        small().run(tmp_path / "other", executor=executor)
    assert str(caught.value) == (
        "the workers of a job were lost 3 times (OSError: the node is down): the blocks that are "
        f"stored are kept, and the same call continues {tmp_path / 'other'}"
    )


class Mistake(Exception):
    pass


def mistaken(called: pathlib.Path):
    """A model that fails where it is traced, and writes down that it was."""

    def model(hp):
        called.write_text(called.read_text() + "called\n")
        raise Mistake(f"no layer of width {hp.width}")

    return model


def test_an_error_of_the_user_is_raised_as_in_a_plain_run(processes, tmp_path):
    caught = {}
    calls = {}
    for name, executor in (("plain", None), ("workers", processes)):
        called = tmp_path / name
        called.write_text("")
        study = small(model=mistaken(called), sweep={"width": [3, 4]}, optimizer=optax.sgd(0.1))
        with pytest.raises(Mistake) as caught[name]:
            study.run(tmp_path / "run", executor=executor)
        calls[name] = called.read_text()
    assert str(caught["workers"].value) == str(caught["plain"].value)
    assert calls["workers"] == calls["plain"]  # not tried again
    *notes, last = caught["workers"].value.__notes__
    assert notes == getattr(caught["plain"].value, "__notes__", [])
    assert "raised in process" in last
    assert "in model" in last  # where it was


class Particular(Exception):
    """It cannot be made of what it keeps, as pickle would have it."""

    def __init__(self, first, second):
        super().__init__(f"{first} and {second}")


def test_errors_come_back_as_they_are_or_in_words(thread, tmp_path):
    def particular(hp):
        raise Particular("this", "that")

    def locked(hp):
        error = ValueError("too wide")
        error.lock = threading.Lock()
        raise error

    with pytest.raises(Particular) as caught:
        small(model=particular).run(tmp_path / "run", executor=thread)
    assert str(caught.value) == "this and that"
    with pytest.raises(RuntimeError) as caught:
        small(model=locked).run(tmp_path / "run", executor=thread)
    assert str(caught.value) == "ValueError: too wide"
    assert "in locked" in caught.value.__notes__[-1]


class Wide(Exception):
    """Pickle would make it of its message, and so say it twice."""

    def __init__(self, width):
        super().__init__(f"no layer of width {width}")


@pytest.mark.parametrize("error", [Wide(3), FileNotFoundError(2, "not there", "data.csv")])
def test_errors_keep_their_message(error):
    error.add_note("where")
    again = pickle.loads(executors._pickled(error))
    assert (type(again), str(again)) == (type(error), str(error))
    assert again.__notes__ == ["where"]


def test_errors_of_jax_come_back():
    with pytest.raises(jax.errors.TracerBoolConversionError) as caught:
        jax.jit(bool)(1)
    caught.value.add_note("where")
    again = pickle.loads(executors._pickled(caught.value))
    assert type(again) is type(caught.value)
    assert str(again) == str(caught.value)
    assert again.__notes__ == caught.value.__notes__


def test_ctrl_c_cancels_what_has_not_begun(thread, plain, tmp_path, monkeypatch):
    interrupted = threading.Event()
    train, begun = engine.run_block, []

    # the second block is under way, and so the third has not begun, when Ctrl-C comes
    def train_or_wait(*arguments):
        begun.append(1)
        if len(begun) == 2:
            interrupted.wait()
        return train(*arguments)

    monkeypatch.setattr(engine, "run_block", train_or_wait)

    def stop(event):
        if event["event"] == "block":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(
        KeyboardInterrupt, match=r"^interrupted: the blocks that are stored are kept"
    ):
        small(seeds=60).run(tmp_path / "run", executor=thread, on_event=stop)
    interrupted.set()
    thread.shutdown()
    partial = load(tmp_path / "run")
    assert len(partial) == 2 * 16
    result = small(seeds=60).run(tmp_path / "run")
    assert result.complete


# --- refusals ----------------------------------------------------------------------------------


def test_what_does_not_go_with_an_executor_is_refused(thread, tmp_path):
    study = small()
    with pytest.raises(ValueError, match=r"^path must be a run folder that the workers"):
        study.run(executor=thread)
    with pytest.raises(ValueError, match=r"^shard must not be given with executor.*'0/2'"):
        study.run(tmp_path / "run", executor=thread, shard="0/2")
    for wrong in (concurrent.futures.ThreadPoolExecutor, 4, "dask"):
        with pytest.raises(ValueError, match=r"^executor must have a method submit"):
            study.run(tmp_path / "run", executor=wrong)
    assert not (tmp_path / "run").exists()


def test_processes_that_fork_are_refused(tmp_path):
    context = multiprocessing.get_context("fork")
    with (
        concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool,
        pytest.raises(ValueError, match=r"^executor must spawn its processes.*'spawn'"),
    ):
        small().run(tmp_path / "run", executor=pool)
    assert not (tmp_path / "run").exists()


def test_cloudpickle_is_asked_for(thread, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "cloudpickle", None)
    with pytest.raises(ImportError, match=r"^executor needs cloudpickle.*pip install cloudpickle$"):
        small().run(tmp_path / "run", executor=thread)


def test_an_executor_that_is_shut_down_takes_no_job(tmp_path):
    pool = concurrent.futures.ThreadPoolExecutor(1)
    pool.shutdown()
    with pytest.raises(concurrent.futures.BrokenExecutor, match=r"^executor takes no job any more"):
        small().run(tmp_path / "run", executor=pool)


# --- workers that would make it lie ------------------------------------------------------------


def test_a_worker_with_another_jax_or_other_settings_is_refused(tmp_path):
    changes = {
        "jax.config.update('jax_default_matmul_precision', 'float32')": (
            "jax_default_matmul_precision is float32 there and None here"
        ),
        "jax.config.update('jax_default_matmul_precision', None); jax.__version__ = '0.9'": (
            f"jax is 0.9 there and {jax.__version__} here"
        ),
    }
    with _pool(1) as pool:
        for change, words in changes.items():
            pool.submit(exec, f"import jax; {change}").result()
            with pytest.raises(ValueError, match=r"^workers must have the versions") as caught:
                small().run(tmp_path / "run", executor=pool)
            assert str(caught.value).endswith(f"where they differ: {words}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["jax", "python", "jaxdl's source"])
def test_every_version_counts(name):
    wanted = {**executors.conditions(), name: "another"}
    call = executors.Call(b"never unpickled", "crew", None, wanted, "call")
    outcome = executors.perform(call)
    error = pickle.loads(outcome.error)
    assert isinstance(error, ValueError)
    assert f"{name} is {executors.conditions()[name]} there and another here" in str(error)


class Elsewhere(concurrent.futures.ThreadPoolExecutor):
    """Workers whose machines have folders of their own under the path of the run."""

    def __init__(self, folders):
        super().__init__(1)
        self.folders = iter(folders)

    def submit(self, function, call):
        job = call.argument._replace(path=next(self.folders))
        return super().submit(function, call._replace(argument=job))


def test_a_worker_that_sees_no_run_is_refused(tmp_path):
    folders = [tmp_path / "first", *[tmp_path / "second"] * 3]
    with (
        Elsewhere(folders) as executor,
        pytest.raises(
            ValueError, match=r"^path must be a folder that all workers share.*sees no run"
        ),
    ):
        small().run(tmp_path / "run", executor=executor)
    assert not (tmp_path / "second").exists()


def test_blocks_that_do_not_show_here_are_missed(tmp_path, monkeypatch):
    monkeypatch.setattr(jobs, "LATE_SECONDS", 0.1)
    with (
        Elsewhere([tmp_path / "theirs"] * 9) as executor,
        pytest.raises(
            ValueError, match=r"^path must be a folder that this process shares"
        ) as caught,
    ):
        small().run(tmp_path / "mine", executor=executor)
    assert "3 blocks that were trained do not show here, by process" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_blocks_that_show_late_are_waited_for(plain, tmp_path, monkeypatch):
    """As on a network drive."""
    monkeypatch.setattr(jobs, "LOOK_SECONDS", 0.01)
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"

    def show():
        while len(store.finished_blocks(theirs)) < 3:
            time.sleep(0.01)
        time.sleep(0.5)
        theirs.rename(mine)

    late = threading.Thread(target=show)
    late.start()
    with Elsewhere([theirs] * 5) as executor:
        result = small().run(mine, executor=executor)
    late.join()
    assert result.complete
    assert bytes_of(mine) == plain[1]


def by_machine(hp):
    """A task whose data differ from machine to machine."""
    shift = float(os.environ.get("MACHINE", "0"))
    return tasks.from_arrays(np.eye(12, 2) + shift, np.arange(12) % 2)


def test_data_that_differ_by_machine_are_refused(thread, tmp_path, monkeypatch):
    monkeypatch.setenv("MACHINE", "1")
    study = small(task=by_machine, batch_size=4)
    study.run(tmp_path / "run", executor=thread)
    monkeypatch.setenv("MACHINE", "2")
    # A worker does not take the data that it has read for an earlier run.
    fresh = study.run(tmp_path / "fresh", executor=thread)
    alone = small(task=by_machine, batch_size=4).run()
    np.testing.assert_array_equal(fresh["test_loss"], alone["test_loss"])
    with pytest.raises(ValueError, match=r"holds another study.*has other data"):
        small(task=by_machine, batch_size=4, seeds=30).run(tmp_path / "run", executor=thread)


def changed_loss(outputs, targets):
    return 2 * losses.cross_entropy(outputs, targets)


def test_another_study_in_the_folder_is_refused(plain, thread, tmp_path):
    small().run(tmp_path / "run")
    other = tasks.moons(60, 0.1, valid_fraction=0.2)._replace(loss=changed_loss)
    with pytest.raises(ValueError, match=r"holds another study.*trains otherwise"):
        small(task=other).run(tmp_path / "run", executor=thread)
    assert bytes_of(tmp_path / "run") == plain[1]
