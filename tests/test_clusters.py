"""The recipes of docs/machines.md against the packages that they are for: Dask's scheduler with two
workers, submitit's processes; workers are killed as they train."""

import concurrent.futures
import multiprocessing
import os
import pathlib
import re
import subprocess
import sys

import optax
import pytest

from jaxdl import Study, load, models, tasks

sys.path.insert(0, os.path.dirname(__file__))
import cloudpickle
import kill_study
import kill_worker

# Workers cannot import the modules of tests.
cloudpickle.register_pickle_by_value(kill_worker)

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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """The blocks of `kill_worker.study` in a plain run."""
    folder = tmp_path_factory.mktemp("plain") / "run"
    kill_worker.study().run(folder)
    return kill_study.blocks(folder)


def test_dask_on_two_workers(tmp_path, monkeypatch, capsys):
    code = recipe("dask", "distributed")
    for was, small in SMALL.items():
        assert code.count(was) == 1, was
        code = code.replace(was, small)
    (tmp_path / "script.py").write_text(code)
    words = [sys.executable, "script.py"]
    done = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "20" in done.stdout
    # the same without Dask
    plain, found = re.subn(
        r"    with Local(.|\n)*executor\(\)\)", '    result = study.run("plain")', code
    )
    assert found == 1
    monkeypatch.chdir(tmp_path)
    exec(compile(plain, "docs/machines.md, dask", "exec"), {"__name__": "__main__"})
    assert capsys.readouterr().out == done.stdout
    stored = kill_study.blocks(tmp_path / "runs" / "with_dask")
    assert stored == kill_study.blocks(tmp_path / "plain")
    assert stored


def test_a_killed_worker_of_dask_is_made_up_for_by_another(tmp_path, undisturbed):
    distributed = pytest.importorskip("distributed", reason="pip install -e '.[outside]'")
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=":0"
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        killer = kill_worker.of(tmp_path / "run")
        result = kill_worker.study(kill_worker.optimizer).run(
            tmp_path / "run", executor=client.get_executor()
        )
        killer.join()
    assert result.complete
    assert kill_study.blocks(tmp_path / "run") == undisturbed


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
    killer = kill_worker.of(tmp_path / "run")
    result = kill_worker.study(kill_worker.optimizer).run(tmp_path / "run", executor=executor)
    killer.join()
    assert result.complete
    assert kill_study.blocks(tmp_path / "run") == undisturbed


def pool():
    context = multiprocessing.get_context("spawn")
    return concurrent.futures.ProcessPoolExecutor(2, mp_context=context)


def test_a_pool_with_a_killed_process_ends_in_one_line_and_another_goes_on(tmp_path, undisturbed):
    killer = kill_worker.of(tmp_path / "run")
    with pool() as workers, pytest.raises(concurrent.futures.BrokenExecutor) as caught:
        kill_worker.study(kill_worker.optimizer).run(tmp_path / "run", executor=workers)
    killer.join()
    assert "\n" not in str(caught.value)
    assert "the blocks that are stored are kept, and the same call continues" in str(caught.value)
    assert not load(tmp_path / "run").complete
    with pool() as workers:
        assert kill_worker.study().run(tmp_path / "run", executor=workers).complete
    assert kill_study.blocks(tmp_path / "run") == undisturbed
