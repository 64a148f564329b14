"""What a user has set in jax stays as it is, works, or is refused in one line: debugging flags,
precision, caches."""

import os

import jax
import numpy as np
import optax
import pytest

from experiments.__main__ import main as command
from jaxdl import Study, make_train, models, tasks
from jaxdl.planning import memo
from jaxdl.running import compiler

CACHE = "jax_compilation_cache_dir"
SETTINGS = (
    CACHE,
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


def study(**changes):
    declared = dict(
        sweep={"learning_rate": [0.1, 1e30]}, seeds=2, steps=4, batch_size=8, eval_every=2
    )
    record = {"square": lambda info: info.loss**2}
    optimizer = lambda hp: optax.sgd(hp.learning_rate)
    return Study(
        tasks.moons(40), models.mlp(2, (3,)), optimizer, record=record, **{**declared, **changes}
    )


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
    bare = lambda: jax.jit(make_train(tasks.moons(40), models.mlp(2), optax.sgd(0.1), steps=3))(
        jax.random.key(0)
    )[2]
    usual_bare = bare()
    flag("jax_debug_nans", True)
    made = study()
    found = made.run(tmp_path / "run")
    assert {"finished", "diverged"} == {lane["status"] for lane in found.lanes}
    for name, values in usual.history.items():
        np.testing.assert_array_equal(
            found.history[name], values
        )  # NaN where there was no step, as ever
    assert np.isnan(found.history["square_mean"][:, 0]).all()
    row = [lane["seed"] == 1 and lane["learning_rate"] == 0.1 for lane in found.lanes].index(True)
    for name, values in made.replay({"learning_rate": 0.1}, 1)[2].items():
        np.testing.assert_array_equal(values, usual.history[name][row])
    for name, values in bare().items():
        np.testing.assert_array_equal(
            values, np.where(np.isnan(usual_bare[name]), np.inf, usual_bare[name])
        )


def test_jax_debug_nans_finds_a_nan_of_the_users(flag):
    flag("jax_debug_nans", True)
    task = tasks.moons(40)
    broken = task._replace(loss=lambda outputs, targets: task.loss(outputs, targets) * np.nan)
    for sweep in (None, {"rate": [0.1, 0.2]}):  # in a run, and in the check of a plan
        made = Study(
            broken,
            models.mlp(2),
            lambda hp: optax.sgd(hp.rate),
            defaults={"rate": 1},
            sweep=sweep,
            steps=2,
        )
        with pytest.raises(FloatingPointError, match=r"^jax_debug_nans is on and .* NaN"):
            made.run()


def test_jax_enable_x64_is_refused_in_one_line_and_can_be_off_for_a_study(flag, tmp_path, capsys):
    rates = {"learning_rate": [0.1, 0.2]}
    expected = study(sweep=rates).run()
    flag("jax_enable_x64", True)
    line = "jax_enable_x64 must be off, as jaxdl trains in float32: `with jax.enable_x64(False):`, got True"
    made = study(sweep=rates)
    train = make_train(tasks.moons(40), models.mlp(2), optax.sgd(0.1), steps=3)
    calls = (
        made.plan,
        made.run,
        lambda: made.replay({"learning_rate": 0.1}, 0),
        lambda: train(jax.random.key(0)),
    )
    for refused in calls:
        with pytest.raises(ValueError) as caught:
            refused()
        assert str(caught.value) == line
    assert command(["batch_size", "--quick", "--out", str(tmp_path / "run")]) == 2
    assert capsys.readouterr() == ("", f"error: {line}\n")
    assert not (tmp_path / "run").exists()
    with jax.enable_x64(False):
        found = made.run()
    for (
        name,
        values,
    ) in (
        expected.history.items()
    ):  # the bits of the usual study: its threads compile under its settings
        assert (found.history[name].dtype, found.history[name].tobytes()) == (
            np.float32,
            values.tobytes(),
        )


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
    return sorted(folder.rglob("*-cache"))


def compile_something(factor):
    jax.jit(lambda x: x * factor + 1)(np.float32(1)).block_until_ready()


def test_the_cache_is_ours_while_a_study_runs_and_jaxs_settings_are_left_alone(home, monkeypatch):
    before = settings()
    old = ["older", "oldest", "old"]
    for age, name in ((2, "older"), (3, "oldest"), (1, "old")):
        path = home / "xla" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bytes(10**6))
        os.utime(path, (10**9 - age, 10**9 - age))
    monkeypatch.setattr(memo, "MOST_BYTES", 2 * 10**6)
    study().run()
    assert settings() == before
    kept = programs(home / "xla")
    assert len(kept) >= 2
    assert [name for name in old if (home / "xla" / name).exists()] == [
        "old"
    ]  # what was not used for longest has gone
    assert sum(path.stat().st_size for path in home.rglob("*") if path.is_file()) <= 2 * 10**6
    compile_something(7)  # the user's own programs are not kept
    assert programs(home / "xla") == kept


def test_a_cache_that_the_user_configured_is_used_as_it_is(home, flag, tmp_path):
    with compiler.cache():
        compile_something(3)
    assert len(programs(home)) == 1
    flag(CACHE, str(tmp_path / "mine"))  # after a study of ours
    flag(SETTINGS[1], 0.0)
    before = settings()
    compile_something(4)
    with compiler.cache():
        assert settings() == before
        compile_something(5)
    assert settings() == before
    assert (len(programs(tmp_path / "mine")), len(programs(home))) == (2, 1)


@pytest.mark.parametrize(
    ("name", "value"),
    [("jax_enable_compilation_cache", False), ("jax_compilation_cache_max_size", 0)],
)
def test_a_cache_that_the_user_turned_off_stays_off(name, value, home, flag):
    flag(name, value)
    before = settings()
    with compiler.cache():
        assert settings() == before
        compile_something(6)
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
    study().plan(measure=True)
    assert memo.recall("kind", "key", lambda: 2) == 2
    assert sorted(home.rglob("*")) == before
    monkeypatch.setenv("JAXDL_CACHE", "0")
    with pytest.raises(
        ValueError, match=r"^JAXDL_CACHE must be 'on' \(the default\) or 'off', got '0'$"
    ):
        study().run()


def test_a_home_that_cannot_be_written_is_done_without(home, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with compiler.cache():
        compile_something(8)
        assert settings()[0] is None
    memo.prune()
