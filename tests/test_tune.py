"""lane_size by measurement: the search, what it remembers, and what a run makes of it."""

import jax
import numpy as np
import optax
import pytest

from jaxdl import Study, models, tasks
from jaxdl.planning import axes as planning
from jaxdl.running import compiler, engine, store, tune


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "jaxdl" / "lane_size"


def study(**changes):
    declared = {
        "sweep": {"learning_rate": [0.1, 0.2]},
        "seeds": 5,
        "steps": 6,
        "batch_size": 8,
        "lane_size": "measure",
    }
    return Study(
        tasks.moons(40, 0.1),
        models.mlp(2, (4,), 2),
        lambda hp: optax.sgd(hp.learning_rate),
        **{**declared, **changes},
    )


@pytest.mark.parametrize(
    ("times", "start", "best", "tried"),
    [
        ({2: 4.0, 4: 3.0, 8: 2.0, 16: 2.5}, 2, 8, [2, 4, 8, 16]),
        ({16: 2.0, 32: 2.5, 8: 1.0, 4: 1.5}, 16, 8, [16, 32, 8, 4]),
        ({4: 2.0, 8: 1.95, 2: 1.95}, 4, 4, [4, 8, 2]),  # a gain below 5 % is noise
        ({1: 2.0, 2: np.inf}, 1, 1, [1, 2]),  # what does not fit; nothing is below 1
        ({64: np.inf, 128: np.inf, 32: np.inf, 16: 1.0, 8: 1.0}, 64, 16, [64, 128, 32, 16, 8]),
        (
            {tune.LARGEST: 1.0, tune.LARGEST // 2: 2.0},
            tune.LARGEST // 2,
            tune.LARGEST,
            [tune.LARGEST // 2, tune.LARGEST],
        ),
    ],
)
def test_the_search_goes_on_as_long_as_it_gains(times, start, best, tried):
    seen = []
    assert tune.climb(lambda size: seen.append(size) or times[size], start) == best
    assert seen == tried


def test_the_search_ends_where_a_chunk_would_hold_copies():
    seen = []
    assert tune.climb(lambda size: seen.append(size) or 1 / size, 256, most=1024) == 1024
    assert seen == [256, 512, 1024]


def test_studies_of_many_lanes_have_a_search_of_their_own(folder, monkeypatch):
    monkeypatch.setattr(tune, "ENOUGH", 4)
    monkeypatch.setattr(tune, "climb", lambda seconds, start, most: most)
    devices = len(jax.local_devices())
    sizes = [study(seeds=seeds * devices).plan().programs[0].lane_size for seeds in (1, 2, 3, 100)]
    assert sizes == [4, 4, 8, 256]  # two rates a seed


def test_a_measured_size_is_remembered_and_stands_in_the_manifest(tmp_path, folder, monkeypatch):
    monkeypatch.setattr(
        tune, "climb", lambda seconds, start, most: (seconds(1), 2)[1]
    )  # measures for real, once
    bursts, original = [], engine.calibrate
    monkeypatch.setattr(
        engine, "calibrate", lambda *arguments: bursts.append(1) or original(*arguments)
    )
    assert [program.lane_size for program in study().plan().programs] == [2]
    assert len(bursts) == 2
    assert [program.lane_size for program in study(seeds=9).plan().programs] == [
        2
    ]  # so few more seeds have no say
    assert len(bursts) == 2
    assert len(list(folder.iterdir())) == 1
    study().run(tmp_path / "run")
    assert [
        program["lane_size"] for program in store.read_manifest(tmp_path / "run")["programs"]
    ] == [2]
    for lane_size in (None, "measure", 2):
        assert len(study(lane_size=lane_size).run(tmp_path / "run").lanes) == 10
    with pytest.raises(ValueError, match="lane_size is"):
        study(lane_size=4).run(tmp_path / "run")


def test_without_being_asked_nothing_is_measured_on_a_cpu(folder):
    assert study(lane_size=None).plan().programs[0].lane_size > 2
    assert not folder.exists()


def test_what_does_not_fit_takes_for_ever(monkeypatch):
    made = study(lane_size=1)
    (program,) = made.plan().programs
    assert 0 < tune.lane_seconds(made.spec, program, 1) < 10

    def full(*arguments):
        raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")

    monkeypatch.setattr(engine, "calibrate", full)
    assert tune.lane_seconds(made.spec, program, 1) == np.inf


class Executable:
    """A compiled function whose backend answers a question on its memory in some way."""

    def __init__(self, answer):
        self.answer = answer

    def memory_analysis(self):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_only_a_backend_without_an_analysis_leaves_the_memory_unknown():
    for unknown in (
        None,
        NotImplementedError("memory analysis unsupported on current XLA backend"),
    ):
        assert compiler.needed_bytes(Executable(unknown)) is None
    for failure in (
        jax.errors.JaxRuntimeError("INTERNAL: lost"),
        AttributeError("argument_size_in_bytes"),
        ValueError("x"),
    ):
        with pytest.raises(type(failure), match=str(failure)):
            compiler.needed_bytes(Executable(failure))
    known = jax.jit(lambda x: x + 1).lower(np.zeros(1000, np.float32)).compile()
    assert compiler.needed_bytes(known) >= 8000


def test_memory_that_is_not_known_is_not_small(monkeypatch):
    monkeypatch.setattr(compiler, "needed_bytes", lambda compiled: None)
    made = study(lane_size=1)
    plan = made.plan(measure=True)
    assert (plan.measured[0].bytes, plan.bytes) == (None, None)
    row = str(plan).splitlines()[4]
    assert row.split()[-1] == "-", row
    assert planning.largest([1, None]) is None
    assert planning.largest([1, 3, 2]) == 3
    assert planning.largest([]) is None
    (program,) = plan.programs
    assert (
        0 < tune.lane_seconds(made.spec, program, 1) < 10
    )  # a limit says nothing: running out of memory does


def test_an_unknown_word_is_named():
    with pytest.raises(ValueError, match="lane_size must be a positive integer, got 'fast'"):
        study(lane_size="fast")
