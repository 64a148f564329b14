"""What was found out before: kept, found again, told apart, and never needed."""

import pathlib
import shutil
import stat
import sys

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Study, models, tasks
from jaxdl.planning import memo
from jaxdl.planning import trial as abstract


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "jaxdl"


def test_a_value_is_found_once(folder):
    calls = []
    find = lambda: calls.append(1) or [1.5, float("inf")]
    assert (
        memo.recall("kind", "key", find) == memo.recall("kind", "key", find) == [1.5, float("inf")]
    )
    assert memo.recall("other", "key", lambda: 2) == 2
    assert calls == [1]
    assert [path.name for path in (folder / "kind").iterdir()] == ["key.json"]
    assert stat.S_IMODE((folder / "kind").stat().st_mode) == 0o700


BROKEN = [
    "",
    "{",
    "1",
    "NaN",
    '"abc"',
    "[]",
    "{}",
    "null",
    "[1e999",
    '{"value": 2}',
    '{"value": NaN, "digest": ""}',
    "\0\0",
]


@pytest.mark.parametrize(
    "text", [*BROKEN, '{"digest": "0"}', '{"value": [], "digest": []}', "[" * 100_000]
)
def test_a_broken_entry_is_found_anew_and_mended(text, folder):
    memo.recall("kind", "key", lambda: 1)
    (folder / "kind" / "key.json").write_text(text)
    assert memo.recall("kind", "key", lambda: 3) == 3
    assert memo.recall("kind", "key", lambda: 4) == 3


def test_no_flipped_bit_and_no_other_key_passes_for_an_entry(folder):
    memo.recall("kind", "key", lambda: 16)
    place = folder / "kind" / "key.json"
    whole = place.read_bytes()
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        place.write_bytes(flipped)
        assert memo.recall("kind", "key", lambda: 16) == 16
    (folder / "kind" / "other.json").write_bytes(whole)
    assert memo.recall("kind", "other", lambda: 3) == 3
    place.unlink()
    place.mkdir()
    assert memo.recall("kind", "key", lambda: 5) == 5


def test_other_source_of_the_library_finds_anew(monkeypatch, tmp_path):
    before = memo.machine()
    assert memo.machine() == before
    library = pathlib.Path(memo.__file__).parents[1]
    copy = shutil.copytree(library, tmp_path / "copy", ignore=shutil.ignore_patterns("__pycache__"))
    memo.library.cache_clear()
    monkeypatch.setattr(memo, "__file__", str(copy / "planning" / "memo.py"))
    assert memo.machine() == before
    with open(copy / "planning" / "trial.py", "a") as file:
        file.write("PHASE_STEPS = 4\n")
    memo.library.cache_clear()
    assert memo.machine() != before
    memo.library.cache_clear()


def test_a_folder_that_cannot_be_made_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert memo.recall("kind", "key", lambda: 1) == 1


def test_the_folder_is_the_users(tmp_path, monkeypatch):
    assert memo.folder() == tmp_path / "jaxdl"
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    if sys.platform == "linux":
        assert memo.folder() == tmp_path / "home" / ".cache" / "jaxdl"


def no_home(*arguments, **named):
    raise RuntimeError("could not determine the home directory")


@pytest.mark.parametrize(
    "answer", [no_home, lambda *arguments, **named: pathlib.Path("~", ".cache", "jaxdl")]
)
def test_a_user_without_a_home_does_without(answer, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memo.platformdirs, "user_cache_path", answer)
    assert memo.folder() is None
    assert memo.recall("kind", "key", lambda: 2) == 2
    memo.prune()
    assert not list(tmp_path.iterdir())


def test_digests_tell_texts_arrays_and_constants_apart():
    scale = lambda values: jax.make_jaxpr(lambda x: x * np.float32(values))(jnp.zeros(2))
    inner = lambda values: jax.make_jaxpr(
        jax.jit(lambda x: jax.lax.fori_loop(0, 3, lambda i, y: y * np.float32(values), x))
    )(jnp.zeros(2))
    parts = [
        ("a",),
        ("a", "b"),
        ("ab",),
        (np.zeros(2),),
        (np.zeros(2, np.float32),),
        (np.zeros((2, 1)),),
        (jax.random.key(1),),
    ]
    parts += [(scale([1, 2]),), (scale([1, 3]),), (inner([1, 2]),), (inner([1, 3]),)]
    assert len({memo.digest(*part) for part in parts}) == len(parts)
    assert memo.digest(inner([1, 2])) == memo.digest(inner([1, 2]))


def test_functions_are_told_apart_by_what_they_compute_not_by_where_they_lie():
    traced = lambda: jax.make_jaxpr(jax.checkpoint(lambda y: jax.nn.relu(jnp.sin(y))))(1.0)
    assert memo.digest(traced()) == memo.digest(traced())


def test_the_check_of_a_plan_is_run_once_a_study(monkeypatch):
    def planned(width):
        return Study(
            tasks.moons(40, 0.1),
            models.mlp(2, (width,), 2),
            lambda hp: optax.sgd(hp.learning_rate),
            sweep={"learning_rate": [0.1, 0.2]},
            steps=4,
            batch_size=8,
        ).plan()

    first = planned(4)
    calls, original = [], abstract.largest_ratio
    monkeypatch.setattr(abstract, "largest_ratio", lambda *both: calls.append(1) or original(*both))
    assert planned(4).programs == first.programs
    assert not calls
    planned(5)
    assert calls
