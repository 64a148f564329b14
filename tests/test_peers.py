"""Peers train the same as the engine, or are void; who fails is named; their processes end."""

import functools
import importlib.util
import json
import os

import jax
import jsonschema
import numpy as np
import pytest

from benchmarks import command, harness, peer_problems, peer_worker, peers, report, running, whole
from benchmarks.harness import Setting, Unusable

SETTING = Setting(seconds=0.01, quick=True)
SCHEMA = json.loads((command.FOLDER / "schema.json").read_text())
SHARED = [
    ("mlp", "numpy"),
    ("mlp", "scikit-learn"),
    ("mlp", "pytorch"),
    ("mlp", "torch.func"),
    ("mlp", "flax"),
    ("cnn", "pytorch"),
    ("cnn", "torch.func"),
    ("cnn", "flax"),
    ("rnn", "numpy"),
    ("rnn", "pytorch"),
    ("rnn", "torch.func"),
    ("rnn", "flax"),
]


@functools.cache
def problem(network):
    return peer_problems.problem_of(network, 32 if network != "rnn" else 128)


@functools.cache
def reference(network):
    """Trains in Flax: the tests of the engine compare it with others; a study takes longer here."""
    return peer_worker.make("flax", problem(network), 1).replay()


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(("network", "peer"), SHARED)
def test_a_peer_ends_at_the_same_loss_and_then_goes_on(network, peer, monkeypatch):
    module = peer_worker.PEERS[peer][0]
    if module == "benchmarks.peers_torch" and importlib.util.find_spec("torch") is None:
        pytest.skip("torch is not installed")
    monkeypatch.setitem(peer_worker.LANES, network, 3)
    trainer = peer_worker.make(peer, problem(network), 1)
    assert trainer.replay() == pytest.approx(reference(network), rel=1e-5)
    assert peer_worker.work(trainer, 0.0) == trainer.units  # one step, at least


def test_the_engine_ends_where_its_peers_do():
    assert peer_problems.engine_loss("mlp", 32) == pytest.approx(reference("mlp"), rel=1e-5)


def test_a_problem_is_read_as_it_was_written(tmp_path):
    peer_worker.save(problem("cnn"), tmp_path)
    found = peer_worker.load(tmp_path)
    for name, expected in problem("cnn")._asdict().items():
        for a, b in zip(found._asdict()[name], expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("steps", [3, 4])
def test_numpys_palindromes_are_palindromes_without_their_last_digit(steps):
    from benchmarks.peers_numpy import palindromes

    x, targets = palindromes(np.random.default_rng(0), 20, steps)
    whole = np.concatenate([x[..., 0], targets[:, None]], axis=1)
    np.testing.assert_array_equal(whole, whole[:, ::-1])


def test_every_arrangement_gives_all_cores_out_once():
    for parts in peers.arrangements("cpu").values():
        cores = [core for part in parts for core in part]
        assert sorted(cores) == sorted(os.sched_getaffinity(0))


def test_who_fails_is_named_with_the_reason_and_the_others_are_timed(tmp_path, monkeypatch):
    # a real process that cannot find its library
    monkeypatch.setitem(peer_worker.PEERS, "broken", ("no_such_module", "make"))
    broken = harness.Contestant(functools.partial(peers.peer, "broken"))
    benchmark = peers.BENCHMARK._replace(
        contestants={"numpy": peers.contestants()["numpy"], "broken": broken},
        quick=harness.Quick([peers.case_of("mlp", 32, ["numpy"])], SETTING.seconds),
    )
    path = tmp_path / "run.json"
    options = command.parser().parse_args(
        ["peers", "--quick", "--json", str(path), "--rounds", "2"]
    )
    written = running.run(benchmark, options).record
    jsonschema.Draft202012Validator(SCHEMA).validate(written)
    entries = {entry["name"]: entry for entry in written["cases"][0]["contestants"]}
    assert entries["numpy"]["status"] == entries["twin"]["status"] == "timed"
    assert entries["numpy"]["loss"] == pytest.approx(reference("mlp"), rel=1e-5)
    assert entries["broken"]["status"] == "unusable"
    assert "broken" in entries["broken"]["reason"]
    assert "broken: unusable" in report.text(benchmark, written)


def test_the_processes_of_a_peer_end_with_its_burst(monkeypatch):
    started = []
    original = peers.start

    def watched(*arguments):
        started.append(original(*arguments))
        return started[-1]

    monkeypatch.setattr(peers, "start", watched)
    work = peers.peer("numpy", peers.case_of("mlp", 32), SETTING)
    assert work.burst() > 0
    del work
    assert all(each.poll() == 0 for group in started for each in group.processes)


def test_a_loss_that_is_no_number_counts_as_the_farthest():
    assert np.isnan(peers.farthest([1.0, float("nan"), 2.0], 1.0))
    assert peers.farthest([1.0, 1.5, 0.9], 1.0) == 1.5


def test_a_process_that_ends_is_unusable(tmp_path):
    peer_worker.save(problem("mlp"), tmp_path)
    group = peers.start("no such peer", [[0]], tmp_path, "cpu")
    try:
        with pytest.raises(Unusable, match="no such peer"):
            group.losses()
    finally:
        group.close()


# --- a device in one command -----------------------------------------------------------------


def test_a_device_is_measured_in_one_command_into_one_file(tmp_path, capsys):
    path = tmp_path / "whole.json"
    words = ["gpu", "--quick", "--device", "cpu", "--rounds", "1", "--json", str(path)]
    assert command.main([*words, "--only", "part=layouts,batch_size"]) == 0
    written = json.loads(path.read_text())
    assert written["device"]["platform"] == "cpu"
    assert list(written["parts"]) == ["layouts", "batch_size"]
    assert {part["status"] for part in written["parts"].values()} == {"done"}
    layouts = written["parts"]["layouts"]["result"]
    jsonschema.Draft202012Validator(SCHEMA).validate(layouts)
    statuses = [each["status"] for case in layouts["cases"] for each in case["contestants"]]
    assert set(statuses) == {"timed"}  # all four train the same, or they would be void
    assert "layouts" in capsys.readouterr().out


@pytest.mark.parametrize("device", ["gpu", "tpu"])
def test_a_device_that_is_not_here_ends_with_2_and_one_line(device, tmp_path, capsys):
    if jax.default_backend() != "cpu":
        pytest.skip("there is a device")
    path = tmp_path / "whole.json"
    assert command.main([device, "--json", str(path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: {device} must be a device that is here")
    assert error.strip().count("\n") == 0
    assert not path.exists()


def test_a_part_without_time_or_that_fails_is_named():
    options = command.parser().parse_args(["gpu", "--quick"])
    late = whole.run_part("layouts", "cpu", options, 0.0)
    assert (late["status"], late["result"]) == ("left out", None)
    cut = whole.run_part("layouts", "cpu", options, 0.1)
    assert (cut["status"], cut["reason"]) == ("left out", "time was up while it ran")
    failed = whole.run_part("layouts", "nowhere", options, 60.0)
    assert failed["status"] == "failed"
    assert "nowhere" in failed["reason"]


@pytest.mark.parametrize("words", [["part=nothing"], ["case=layouts"]])
def test_a_part_that_there_is_not_is_refused(words, capsys):
    assert command.main(["gpu", "--device", "cpu", "--only", *words]) == 2
    assert capsys.readouterr().err.strip().count("\n") == 0


def test_every_part_is_there():
    from experiments import options

    for name, part in whole.PARTS.items():
        known = command.benchmarks() if part.kind == "benchmarks" else options.experiments()
        assert name in known
