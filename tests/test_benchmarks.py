"""Benchmarks compare like with like, say what they ran on, and notice what has become slower."""

import copy
import functools
import importlib
import itertools
import json
import os
import pathlib
import subprocess
import sys
import time

import jax
import jsonschema
import numpy as np
import pytest
import scipy.stats

from benchmarks import (
    command,
    comparison,
    harness,
    lanes,
    moons_mlp,
    record,
    report,
    running,
    timing,
)
from benchmarks.harness import Benchmark, Contestant, Quick, Setting, Work
from jaxdl.running import engine

NAMES = list(command.benchmarks())
SCHEMA = json.loads((command.FOLDER / "schema.json").read_text())
RECORDS = sorted(command.FOLDER.glob("results/*.json"))
SETTING = Setting(seconds=0.002, quick=True)


def validate(written):
    validator = jsonschema.Draft202012Validator
    validator.check_schema(SCHEMA)
    validator(SCHEMA).validate(written)


def counting(case, setting):
    """Adds numbers up: a contestant that costs nothing to set up."""
    return timing.repeated(lambda: sum(range(100)), setting.seconds)


def ending_at(loss, case, setting):
    return Work(lambda: 1.0, loss=loss)


def small(**changes) -> Benchmark:
    contestants = {
        "ours": Contestant(counting, ours=True),
        "theirs": Contestant(counting),
        "absent": Contestant(counting, needs=("no_such_module",)),
    }
    usual = Benchmark("Who adds faster?\n", "sum", [{"size": 1}, {"size": 2}], contestants)
    return usual._replace(quick=Quick(seconds=SETTING.seconds), **changes)


def run(benchmark, tmp_path, *words):
    path = tmp_path / "run.json"
    options = command.parser().parse_args(["small", "--quick", "--json", str(path), *words])
    return running.run(benchmark, options), path


@pytest.mark.parametrize("batch_size", [1, 32, 800])
def test_the_usual_layout_trains_the_same_network_on_the_same_batches(batch_size):
    found = moons_mlp.study(batch_size, 2, *lanes.batch_first(), steps=5).run().history
    expected = moons_mlp.study(batch_size, 2, steps=5).run().history
    for name in ("train_loss", "test_loss", "batch_loss_mean"):
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-5)


def test_a_burst_counts_the_lane_steps_of_segments_of_the_engine(monkeypatch):
    seen, original = [], engine.segments

    def watched(*arguments, **settings):
        for segment in original(*arguments, **settings):
            seen.append(segment.step)
            yield segment

    monkeypatch.setattr(engine, "segments", watched)
    burst = timing.engine_burst(moons_mlp.study(32, 4), 0.01)
    begin = seen[-1]
    done = [burst(), burst()]
    lanes_of_chunk = sum(done) / (seen[-1] - begin)
    assert lanes_of_chunk == 4 * len(timing.compiler.prepare_devices())


def test_a_repeated_call_counts_its_units():
    calls = []
    burst = timing.repeated(lambda: calls.append(time.sleep(0.001)), 0.02, units=5.0)
    before = len(calls)
    assert burst() == 5.0 * (len(calls) - before)


@pytest.mark.parametrize("make", [lanes.products, lanes.sums], ids=["products", "sums"])
def test_the_arrays_of_a_peak_lie_on_their_devices(make, monkeypatch):
    monkeypatch.setattr(lanes, "SIDE", 64)
    monkeypatch.setattr(lanes, "LENGTH", 2**14)
    # a transfer in a burst would be timed as if it were arithmetic
    burst = make(0.001)
    with jax.transfer_guard_device_to_device("disallow"):
        assert burst() > 0


def test_contestants_take_turns_and_each_begins_a_round_in_turn():
    order = []
    bursts = {name: lambda name=name: order.append(name) or 1.0 for name in "abc"}
    rates = timing.interleave(bursts, rounds=2)
    assert "".join(order) == "abc" + "bca" + "cab"
    assert {name: len(each) for name, each in rates.items()} == {"a": 2, "b": 2, "c": 2}


def test_a_run_is_written_as_the_schema_says_with_a_figure_beside_it(tmp_path):
    reported, path = run(small(), tmp_path)
    written = json.loads(path.read_text())
    validate(written)
    assert path.with_suffix(".png").stat().st_size > 1000
    assert written["rounds"] == 7
    (first, _) = written["cases"]
    by_name = {entry["name"]: entry for entry in first["contestants"]}
    assert list(by_name) == ["ours", "twin", "theirs", "absent"]
    assert len(by_name["theirs"]["rates"]) == len(first["yardstick"]) == 7
    ratio = np.divide(by_name["ours"]["rates"], by_name["theirs"]["rates"])
    assert by_name["theirs"]["ratio"]["median"] == pytest.approx(np.median(ratio))
    assert "left out: absent: not installed (no_such_module not installed)" in reported.text
    assert "ours / theirs" in reported.headline


@pytest.mark.parametrize("broken", [("device", None), ("rounds", 0), ("date", "yesterday")])
def test_a_record_that_lies_about_itself_is_no_record(broken, tmp_path):
    reported, _ = run(small(cases=[{}]), tmp_path)
    name, value = broken
    with pytest.raises(jsonschema.ValidationError):
        validate({**reported.record, name: value})


def test_a_contestant_that_ends_elsewhere_is_void_and_has_no_rate(tmp_path):
    losses = {"ours": 0.5, "same": 0.5004, "other": 0.51, "lost": float("nan"), "silent": None}
    contestants = {
        name: Contestant(functools.partial(ending_at, loss), ours=name == "ours")
        for name, loss in losses.items()
    }
    benchmark = small(contestants=contestants, cases=[{}], agreement=1e-3)
    reported, _ = run(benchmark, tmp_path)
    validate(reported.record)
    (case,) = reported.record["cases"]
    status = {entry["name"]: entry["status"] for entry in case["contestants"]}
    assert status == {
        "ours": "timed",
        "twin": "timed",
        "same": "timed",
        "other": "void",
        "lost": "void",
        "silent": "void",
    }
    assert not [e for e in case["contestants"] if e["status"] == "void" and "rates" in e]
    assert "final loss 0.51, the reference's is 0.5" in " ".join(reported.text.split())


def test_a_reference_without_a_finite_loss_leaves_nobody_to_compare(tmp_path):
    contestants = {
        name: Contestant(functools.partial(ending_at, float("nan"))) for name in ("a", "b")
    }
    reported, _ = run(small(contestants=contestants, cases=[{}], agreement=1.0), tmp_path)
    validate(reported.record)
    assert {e["status"] for e in reported.record["cases"][0]["contestants"]} == {"void"}
    assert "nobody to compare with" in reported.headline


def test_who_does_not_fit_into_memory_is_named(tmp_path):
    def fails(case, setting):
        raise MemoryError

    contestants = {"ours": Contestant(counting), "large": Contestant(fails)}
    reported, _ = run(small(contestants=contestants, cases=[{}]), tmp_path)
    validate(reported.record)
    assert "large: out of memory" in reported.text


def test_cases_and_contestants_are_chosen_and_typing_errors_refused(tmp_path):
    reported, _ = run(small(), tmp_path, "--only", "size=2", "--without", "theirs")
    (case,) = reported.record["cases"]
    assert case["case"] == {"size": 2}
    assert "theirs" not in [entry["name"] for entry in case["contestants"]]
    for words in (["--only", "sise=2"], ["--only", "size=3"], ["--without", "ours"]):
        with pytest.raises(ValueError):
            run(small(), tmp_path, *words)


@pytest.mark.parametrize(
    "words",
    [
        ["no_such_benchmark"],
        ["lane_rate", "--rounds", "0"],
        ["lane_rate", "--json", "run.csv"],
        ["lane_rate", "--device", "tpu"],
        ["lane_rate", "extra"],
        ["compare", "one.json"],
    ],
)
def test_bad_input_ends_with_2_and_one_line(words, capsys):
    try:
        code = command.main(words)
    except SystemExit as stop:  # argparse
        code = stop.code
    assert code == 2
    assert capsys.readouterr().err.strip().count("\n") == 0


def fake_record(benchmark: Benchmark, name: str) -> dict:
    """Makes a record of a whole run without running it, with numbers as long as they get."""
    generator = np.random.default_rng(0)
    cases = []
    for case in benchmark.cases:
        entries, reference = [], benchmark.scale[1] * generator.uniform(0.01, 10, 7)
        for contestant in harness.with_twin(benchmark, case):
            rates = benchmark.scale[1] * generator.uniform(0.01, 10, 7)
            figures = harness.timings(rates, reference)
            described = {"status": "timed", "reason": None, "loss": None, "facts": {}}
            twin_of = benchmark.reference(case) if contestant == "twin" else None
            named = {"name": contestant, "twin_of": twin_of, "ours": True, "setup_seconds": 123.4}
            entries.append({**named, **described, **figures})
        named = {"case": dict(case), "reference": benchmark.reference(case)}
        cases.append({**named, "contestants": entries, "yardstick": [1.0] * 7})
    return {
        "benchmark": name,
        "rounds": 7,
        "date": record.now(),
        "seconds": 1.0,
        "load": {"before": record.load(), "after": record.load()},
        **record.environment(),
        "cases": cases,
        "findings": {},
    }


@pytest.mark.parametrize("name", NAMES)
def test_every_table_fits_100_columns(name):
    benchmark = importlib.import_module(f"benchmarks.{name}").BENCHMARK
    text = report.text(benchmark, fake_record(benchmark, name))
    assert max(map(len, text.splitlines())) <= 100
    # every case has the same names, and the headline's case is one of them
    assert len({tuple(case) for case in benchmark.cases}) == 1
    if benchmark.headline:
        case, rival = benchmark.headline
        assert rival in benchmark.contestants
        assert [each for each in benchmark.cases if {**each, **case} == dict(each)]


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_committed_records_are_as_the_schema_says_and_can_be_written_and_drawn(path):
    written = json.loads(path.read_text())
    validate(written)
    benchmark = importlib.import_module(f"benchmarks.{written['benchmark']}").BENCHMARK
    assert max(map(len, report.text(benchmark, written).splitlines())) <= 100
    draw = benchmark.figure or functools.partial(report.time_figure, benchmark)
    assert draw(written).get_axes()[0].get_title()


# --- compare ---------------------------------------------------------------------------------


def test_the_orders_of_two_samples_are_counted():
    counts = np.zeros(13)
    for ranks in itertools.combinations(range(7), 3):
        counts[sum(ranks) - 3] += 1
    np.testing.assert_array_equal(comparison.orders(3, 4), counts)


@pytest.mark.parametrize(("first", "second"), [(5, 5), (7, 7), (6, 9)])
def test_the_interval_of_a_shift_is_that_of_mann_and_whitneys_test(first, second):
    generator = np.random.default_rng(first)
    old, new = generator.normal(size=first), generator.normal(1.0, 1.0, second)
    _, ends = comparison.shift(old, new)
    # a shift within is not rejected, one beyond is
    for end, outwards in zip(ends, (-1e-9, 1e-9), strict=True):
        inside, beyond = (
            scipy.stats.mannwhitneyu(new - end + way, old, method="exact").pvalue
            for way in (outwards, -outwards)
        )
        assert inside > 0.01 >= beyond


def test_too_few_rounds_are_not_judged():
    assert comparison.shift(np.zeros(3), np.ones(3))[1] == (-np.inf, np.inf)


@pytest.fixture(scope="module")
def engine_benchmark():
    def ours(case, setting):
        return timing.engine_burst(moons_mlp.study(32, 2), setting.seconds)

    contestants = {"jaxdl": Contestant(ours, ours=True)}
    return small(contestants=contestants, cases=[{"batch_size": 32}])


@pytest.fixture(scope="module")
def usual_run(engine_benchmark, tmp_path_factory):
    return run(engine_benchmark, tmp_path_factory.mktemp("usual"), "--rounds", "14")[0].record


def every_second(written, first):
    """Takes every second round: two such halves are runs of the same, whatever the machine does."""
    half = copy.deepcopy(written)
    for case in half["cases"]:
        case["yardstick"] = case["yardstick"][first::2]
        for entry in case["contestants"]:
            entry["rates"] = entry["rates"][first::2]
    return half


def saved(folder: pathlib.Path, **records):
    paths = []
    for name, written in records.items():
        path = folder / f"{name}.json"
        path.write_text(json.dumps(written))
        paths.append(str(path))
    return paths


def test_two_runs_of_the_same_are_no_regression(usual_run, tmp_path, capsys):
    paths = saved(tmp_path, old=every_second(usual_run, 0), new=every_second(usual_run, 1))
    assert command.main(["compare", *paths]) == 0
    assert "0 of 1 have become slower beyond noise" in capsys.readouterr().out


def test_an_engine_that_sleeps_in_every_segment_is_flagged(
    engine_benchmark, usual_run, tmp_path, monkeypatch, capsys
):
    original = engine.segments

    def slow(*arguments, **settings):
        for segment in original(*arguments, **settings):
            time.sleep(20 * SETTING.seconds)
            yield segment

    monkeypatch.setattr(engine, "segments", slow)
    slowed = run(engine_benchmark, tmp_path)[0].record
    paths = saved(tmp_path, old=usual_run, new=slowed)
    assert command.main(["compare", *paths]) == 1
    assert "SLOWER" in capsys.readouterr().out
    # the other way round it has become faster
    assert command.main(["compare", *reversed(paths)]) == 0
    assert "faster" in capsys.readouterr().out


def test_who_is_not_timed_any_more_is_flagged(usual_run, tmp_path, capsys):
    new = copy.deepcopy(usual_run)
    for entry in new["cases"][0]["contestants"]:
        entry |= {"status": "void", "reason": "final loss 2, the reference's is 1"}
    assert command.main(["compare", *saved(tmp_path, old=usual_run, new=new)]) == 1
    assert "LOST" in capsys.readouterr().out


def test_a_slower_machine_is_no_regression(usual_run):
    new = copy.deepcopy(usual_run)
    for case in new["cases"]:
        case["yardstick"] = [rate / 3 for rate in case["yardstick"]]
        for entry in case["contestants"]:
            entry["rates"] = [rate / 3 for rate in entry["rates"]]
    (change,) = comparison.changes(usual_run, new)
    assert change.rate == pytest.approx(1.0)
    assert change.verdict == "same"


def test_records_that_have_nothing_in_common_are_refused(usual_run, tmp_path):
    for name, value in (("benchmark", "conv"), ("quick", False), ("cases", [])):
        other = {**usual_run, name: value}
        assert command.main(["compare", *saved(tmp_path, old=usual_run, new=other)]) == 2


@pytest.mark.parametrize("content", [None, "{", "[]", '{"device": "2 x cpu"}'])
def test_a_missing_or_damaged_file_ends_with_3(content, tmp_path, capsys):
    path = tmp_path / "old.json"
    if content is not None:
        path.write_text(content)
    assert command.main(["compare", str(path), str(path)]) == 3
    assert capsys.readouterr().err.startswith("error: ")


@pytest.mark.skipif(not pathlib.Path("/proc/stat").exists(), reason="told by Linux alone")
def test_others_at_work_are_counted_and_named():
    spin = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        others = record.busy_cores(0.5)
    finally:
        spin.kill()
        spin.wait()
    assert 0.3 < others <= os.cpu_count()
    benchmark = importlib.import_module("benchmarks.lane_rate").BENCHMARK
    written = fake_record(benchmark, "lane_rate")
    for count, is_busy in ((0.0, False), (written["machine"]["cores"], True)):
        # the load of the last minute is that of a benchmark that ran before
        written["load"] = {"before": [9.0] * 3, "others": count, "after": [9.0] * 3}
        assert ("A BUSY MACHINE" in report.text(benchmark, written)) == is_busy
