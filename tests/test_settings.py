"""What a user has set in jax stays as it is, works, or is refused in one line: debugging flags, precision, caches."""

import os
import pathlib
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

from jaxdl import Study, compiler, make_train, memo, models, tasks

ROOT = pathlib.Path(__file__).parent.parent
CACHE = "jax_compilation_cache_dir"
SETTINGS = (CACHE, "jax_persistent_cache_min_compile_time_secs", "jax_persistent_cache_min_entry_size_bytes")


def study(**changes):
    declared = dict(sweep={"learning_rate": [0.1, 1e30]}, seeds=2, steps=4, batch_size=8, eval_every=2)
    record = {"norm": lambda info: optax.global_norm(info.grads)}
    optimizer = lambda hp: optax.sgd(hp.learning_rate)
    return Study(tasks.moons(40), models.mlp(2, (3,)), optimizer, record=record, **{**declared, **changes})


@pytest.fixture
def flag(request):
    """Sets flags of jax for one test."""
    before = {}

    def update(name, value):
        before.setdefault(name, getattr(jax.config, name))
        jax.config.update(name, value)

    yield update
    for name, value in before.items():
        jax.config.update(name, value)
    compiler.compilation_cache.reset_cache()


def test_jax_debug_nans_finds_no_nan_of_ours(flag, tmp_path, monkeypatch):
    monkeypatch.setenv("JAXDL_CACHE", "off")  # the plan's check runs too
    usual = study().run()
    _, _, alone = study().replay({"learning_rate": 0.1}, 1)
    train = make_train(tasks.moons(40), models.mlp(2), optax.sgd(0.1), steps=3, record={"step": lambda info: info.step})
    _, _, bare = jax.jit(train)(jax.random.key(0))
    flag("jax_debug_nans", True)
    found = study().run(tmp_path / "run")
    assert {"finished", "diverged"} == {lane["status"] for lane in found.lanes}
    for name, values in usual.history.items():
        np.testing.assert_array_equal(found.history[name], values)  # NaN where there was no step, as ever
    assert np.isnan(found.history["norm_mean"][:, 0]).all()
    _, _, again = study().replay({"learning_rate": 0.1}, 1)
    assert {name: values.tobytes() for name, values in again.items()} == {n: v.tobytes() for n, v in alone.items()}
    _, _, bare_again = jax.jit(lambda key: train(key))(jax.random.key(0))
    for name, values in bare.items():
        np.testing.assert_array_equal(bare_again[name], np.where(np.isnan(values), np.inf, values))


def test_jax_debug_nans_finds_a_nan_of_the_users(flag):
    flag("jax_debug_nans", True)
    task = tasks.moons(40)
    broken = task._replace(loss=lambda outputs, targets: task.loss(outputs, targets) * np.nan)
    with pytest.raises(FloatingPointError):
        Study(broken, models.mlp(2), optax.sgd(0.1), steps=2, batch_size=8).run()


X64 = """
import jax, optax
from jaxdl import Study, make_train, models, tasks
study = Study(tasks.moons(40), models.mlp(2, (3,)), lambda hp: optax.sgd(hp.learning_rate), sweep={"learning_rate": [0.1, 0.2]},
              steps=4, batch_size=8, eval_every=2)
train = make_train(tasks.moons(40), models.mlp(2), optax.sgd(0.1), steps=3)
for refused in (study.plan, study.run, lambda: study.replay({"learning_rate": 0.1}, 0), lambda: train(jax.random.key(0))):
    try:
        refused()
    except ValueError as error:
        print(error)
with jax.enable_x64(False):
    result = study.run()
    print(result.final("test_loss").tolist(), result.history["test_loss"].dtype)
"""


def test_jax_enable_x64_is_refused_in_one_line_and_can_be_off_for_a_study():
    environment = {**os.environ, "JAX_ENABLE_X64": "1", "JAX_NUM_CPU_DEVICES": "2"}
    done = subprocess.run([sys.executable, "-c", X64], capture_output=True, text=True, cwd=ROOT, env=environment)
    assert done.returncode == 0, done.stderr
    *refusals, found = done.stdout.splitlines()
    line = "jax_enable_x64 must be off, as jaxdl trains in float32: `with jax.enable_x64(False):`, got True"
    assert refusals == [line] * 4
    expected = study(sweep={"learning_rate": [0.1, 0.2]}, seeds=1).run().final("test_loss")
    values, dtype = found.rsplit(" ", 1)
    assert dtype == "float32"
    np.testing.assert_allclose(eval(values), expected, rtol=1e-5)
    arguments = [sys.executable, "-m", "experiments", "batch_size", "--quick", "--out", "/nonexistent/run"]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT, env=environment)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {line}\n")


@pytest.fixture
def home(flag, tmp_path, monkeypatch):
    """An empty folder for caches, and a jax that has been told of none."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith("JAX_") and "CACHE" in name]:
        monkeypatch.delenv(name)
    for name, value in zip(SETTINGS, (None, 1.0, 0), strict=True):
        flag(name, value)
    compiler.compilation_cache.reset_cache()
    return tmp_path / "home" / "jaxdl"


def settings():
    return tuple(getattr(jax.config, name) for name in SETTINGS)


def programs(folder):
    return [path for path in folder.rglob("*-cache")] if folder.exists() else []


def test_the_cache_is_ours_while_a_study_compiles_and_jaxs_settings_are_left_alone(home):
    before = settings()
    study().run()
    assert len(programs(home / "xla")) >= 2
    assert settings() == before
    count = len(programs(home))
    jax.jit(lambda x: x * 7 + 1)(np.float32(1)).block_until_ready()  # the user's own programs are not kept
    assert len(programs(home)) == count


def test_a_cache_that_the_user_configured_is_used_as_it_is(home, flag, tmp_path):
    flag(CACHE, str(tmp_path / "mine"))
    flag(SETTINGS[1], 0.0)
    before = settings()
    study().run()
    assert settings() == before
    assert programs(tmp_path / "mine")
    assert not programs(home)


def test_a_cache_that_is_configured_after_a_study_is_used_from_then_on(home, flag, tmp_path):
    study().run()
    flag(CACHE, str(tmp_path / "mine"))
    flag(SETTINGS[1], 0.0)
    jax.jit(lambda x: x * 3 + 2)(np.float32(1)).block_until_ready()
    assert programs(tmp_path / "mine")


@pytest.mark.parametrize(("name", "value"), [("jax_enable_compilation_cache", False), ("jax_compilation_cache_max_size", 0)])
def test_a_cache_that_the_user_turned_off_stays_off(name, value, home, flag):
    flag(name, value)
    study().run()
    assert not programs(home)


def test_what_the_user_said_about_entries_is_kept(home, flag, monkeypatch):
    flag(SETTINGS[1], 5.0)
    monkeypatch.setenv(SETTINGS[2].upper(), "0")
    with compiler.cache():
        assert settings() == (str(home / "xla"), 5.0, 0)
    assert settings() == (None, 5.0, 0)


def test_jaxdl_cache_off_reads_and_writes_nothing(home, monkeypatch):
    memo.recall("kind", "key", lambda: 1)
    before = sorted(home.rglob("*"))
    monkeypatch.setenv("JAXDL_CACHE", "off")
    study().run()
    assert memo.recall("kind", "key", lambda: 2) == 2
    assert sorted(home.rglob("*")) == before
    monkeypatch.setenv("JAXDL_CACHE", "0")
    with pytest.raises(ValueError, match=r"^JAXDL_CACHE must be 'on' \(the default\) or 'off', got '0'$"):
        study().run()


def test_the_caches_are_bounded_and_what_was_used_last_is_kept(home, monkeypatch):
    study().run()
    kept = {path.name for path in programs(home)}
    for age, name in enumerate(("old", "older", "oldest")):
        path = home / "xla" / name
        path.write_bytes(bytes(10**6))
        os.utime(path, (10**9 - age, 10**9 - age))
    monkeypatch.setattr(memo, "MOST_BYTES", 2 * 10**6)
    study().run()
    left = {path.name for path in (home / "xla").iterdir()}
    assert kept | {"old"} <= left
    assert not {"older", "oldest"} & left
    assert sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) <= 2 * 10**6


def test_a_home_that_cannot_be_written_is_done_without(home, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert len(study().run().lanes) == 4
