"""The recipes of docs/machines.md against the packages that they are for: Dask's scheduler with two
workers, submitit's processes; workers are killed as they train."""

import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import optax
import pytest

from jaxdl import Study, models, tasks

sys.path.insert(0, os.path.dirname(__file__))
import kill_study

pytestmark = [pytest.mark.outside, pytest.mark.filterwarnings("default")]
ROOT = pathlib.Path(__file__).parent.parent
SMALL = {"samples=1000": "samples=60", "seeds=1000": "seeds=20", "steps=1500": "steps=6"}


def recipe(name, package=None):
    """The code of a recipe; skips the test where its package is not there."""
    if package:
        pytest.importorskip(package, reason="pip install -e '.[outside]'")
    text = (ROOT / "docs" / "machines.md").read_text()
    (code,) = re.findall(rf"```python {name}\n(.*?)```", text, re.DOTALL)
    return code


def slow():
    """A study of three blocks, which take long enough to be killed in one."""
    rate = 0.1
    return Study(
        tasks.moons(60, 0.1),
        models.mlp(2, (64, 64), 2),
        lambda hp: optax.sgd(rate),
        seeds=40,
        steps=3000,
        eval_every=1000,
        batch_size=32,
        lane_size=1,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The blocks of `slow` in a plain run."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    slow().run(folder)
    return kill_study.blocks(folder)


def killer_of(run: pathlib.Path) -> tuple[threading.Thread, list[int]]:
    """Starts a thread that kills the first process which trains a run."""
    killed: list[int] = []

    def kill():
        while not (sessions := list(run.glob("sessions-*.jsonl"))):
            time.sleep(0.01)
        time.sleep(0.3)
        killed.append(int(sessions[0].stem.split("-")[-1]))
        os.kill(killed[0], signal.SIGKILL)

    thread = threading.Thread(target=kill)
    thread.start()
    return thread, killed


def test_dask_on_two_workers(tmp_path):
    code = recipe("dask", "distributed")
    (tmp_path / "plain.py").write_text(made_small(re.sub(r" with Local.*\n  ", "", code), "plain"))
    (tmp_path / "dask.py.txt").write_text(made_small(code))
    tables = []
    for name in ("plain.py", "dask.py.txt"):
        words = [sys.executable, name]
        done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        tables.append(done.stdout)
    assert tables[0] == tables[1]
    runs = tmp_path / "runs"
    assert kill_study.blocks(runs / "with_dask") == kill_study.blocks(runs / "plain")
    assert kill_study.blocks(runs / "plain")


def made_small(code, plain=None):
    """A recipe with less to do; without an executor where it is `plain`."""
    for was, small in SMALL.items():
        assert code.count(was) == 1, was
        code = code.replace(was, small)
    if plain:
        code = re.sub(r'"runs/.*?", executor=.*\)\n', '"runs/plain")\n', code)
        assert "executor" not in code
    return code


def test_a_killed_worker_of_dask_is_made_up_for_by_another(tmp_path, undisturbed):
    distributed = pytest.importorskip("distributed", reason="pip install -e '.[outside]'")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        killer, killed = killer_of(tmp_path / "run")
        result = slow().run(tmp_path / "run", executor=client.get_executor())
        killer.join()
    assert result.complete
    assert kill_study.blocks(tmp_path / "run") == undisturbed
    others = {path.stem.split("-")[-1] for path in (tmp_path / "run").glob("events-*.jsonl")}
    assert others - {str(killed[0])}


def test_submitit(tmp_path, monkeypatch):
    code = recipe("submitit", "submitit")
    monkeypatch.chdir(tmp_path)
    study = Study(tasks.moons(60), models.mlp(2), optax.sgd(0.1), steps=3, batch_size=8)
    names = {"study": study}
    exec(compile(code.replace('logs")', 'logs", cluster="local")'), "submitit", "exec"), names)
    assert names["result"].complete
    study.run("runs/plain")
    runs = tmp_path / "runs"
    assert kill_study.blocks(runs / "with_submitit") == kill_study.blocks(runs / "plain")


def test_a_killed_job_of_submitit_is_made_up_for_by_another(tmp_path, undisturbed):
    submitit = pytest.importorskip("submitit", reason="pip install -e '.[outside]'")
    executor = submitit.LocalExecutor(tmp_path / "logs")
    executor.update_parameters(timeout_min=30)
    killer, _ = killer_of(tmp_path / "run")
    result = slow().run(tmp_path / "run", executor=executor)
    killer.join()
    assert result.complete
    assert kill_study.blocks(tmp_path / "run") == undisturbed
