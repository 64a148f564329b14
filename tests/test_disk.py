"""A run folder serves the lanes of its own study only, whole or said to be partial, whatever
happens to it."""

import functools
import json
import os
import random
import re
import shutil
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Metric, Study, cli, load, losses, models, tasks
from jaxdl.planning import identity
from jaxdl.planning.program import Program
from jaxdl.running import blocks as running
from jaxdl.running import files, store
from jaxdl.running import manifest as manifests
from jaxdl.study import _trains
from jaxdl.train import Schedule

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(40, 2)).astype(np.float32), RNG.integers(0, 2, 40)


def activation(scale):
    return lambda x: jnp.tanh(scale * x)


def network(hp):
    """The second label alone reads the width."""
    hidden = (3,) if hp.activation is FIRST else (hp.width(3),)
    return models.mlp(2, hidden, 2, activation=hp.activation)


FIRST = activation(1.0)


def study(**changes):
    """Two programs, one a label, over a data set that lanes share; nothing of it is a plain value
    but the rates."""
    declared = {
        "task": tasks.from_arrays(X, Y),
        "model": network,
        "defaults": {"width": lambda size: size},
        "optimizer": lambda hp: optax.sgd(hp.rate),
        "sweep": {"activation": {"a": FIRST, "b": activation(2.0)}, "rate": [0.1, 0.3]},
        "seeds": 2,
        "steps": 6,
        "eval_every": lambda hp: 3,
        "batch_size": lambda hp: 8,
        "lane_size": 2,
    }
    return Study(**{**declared, **changes})


@functools.cache
def tiny(*rates, seeds=2):
    """One program, the same for all rates; compiled once in the life of a study, so studies are
    kept."""
    return Study(
        tasks.moons(40),
        models.mlp(2, (2,), 2),
        lambda hp: optax.sgd(hp.rate),
        sweep={"rate": rates or [0.1]},
        seeds=seeds,
        steps=4,
        eval_every=2,
        batch_size=8,
        lane_size=2,
    )


def curves(result, metric="train_loss"):
    """(rate, seed) -> the bytes of a lane's curve."""
    return {
        (lane["rate"], lane["seed"]): values.tobytes()
        for lane, values in zip(result.lanes, result.history[metric], strict=True)
    }


def content(run):
    """The bytes of every file of a run."""
    return {
        str(path.relative_to(run)): path.read_bytes()
        for path in sorted(run.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def truth():
    """(rate, seed) -> curve, of a run in memory: blocks and folders have no part in it."""
    return curves(tiny(0.1, 0.5, 0.01, seeds=4).run())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    return study().run(folder), folder


def renamed_metric():
    task = tasks.from_arrays(X, Y)
    return task._replace(metrics={"share": task.metrics["accuracy"]})


def other_metric():
    task = tasks.from_arrays(X, Y)
    wrong = Metric(
        lambda outputs, targets: 1.0 - losses.accuracy(outputs, targets), higher_is_better=True
    )
    return task._replace(metrics={"accuracy": wrong})


def other_direction():
    return tasks.from_arrays(
        X, Y, metrics={"accuracy": Metric(losses.accuracy, higher_is_better=False)}
    )


def with_constant(values):
    """A task whose loss closes over an array: its text shows the shape, maybe not the values."""
    task = tasks.from_arrays(X, Y)
    return task._replace(
        loss=lambda outputs, targets: losses.cross_entropy(
            outputs * jnp.asarray(values)[:, None], targets
        )
    )


CHANGED = {
    "steps, a function": ({"steps": lambda hp: 7}, "steps is"),
    "steps of one label": ({"steps": lambda hp: 7 if hp.rate > 0.2 else 6}, "steps is"),
    "batch size, a function": (
        {"batch_size": lambda hp: 9},
        "batch_size is 8 there and 9 here at activation='a', rate=0.1",
    ),
    "evaluations, a function": ({"eval_every": lambda hp: 2}, "eval_every is 3 there and 2 here"),
    "reduction": ({"reduction": lambda hp: "sum"}, "reduction is 'mean' there and 'function' here"),
    "the first label": (
        {"sweep": {"activation": {"a": activation(1.5), "b": activation(2.0)}, "rate": [0.1, 0.3]}},
        "program 0 .activation='a', rate=0.1. trains otherwise",
    ),
    "the second label": (
        {"sweep": {"activation": {"a": FIRST, "b": activation(2.5)}, "rate": [0.1, 0.3]}},
        "program 1 .activation='b', rate=0.1. trains otherwise",
    ),
    "a label and more values": (
        {"sweep": {"activation": {"a": FIRST, "b": activation(2.5)}, "rate": [0.7]}},
        "program 1 .* trains otherwise",
    ),
    "the optimizer": (
        {"optimizer": lambda hp: optax.sgd(hp.rate, momentum=0.5)},
        "program 0 .* trains otherwise",
    ),
    "a new record": ({"record": {"loss_again": lambda info: info.loss}}, "metrics and records is"),
    "a metric's name": ({"task": renamed_metric()}, "metrics and records is .*test_share"),
    "a metric's direction": (
        {"task": other_direction()},
        "higher_is_better of metrics is .*True.* there and .*False.* here",
    ),
    "a metric's function": ({"task": other_metric()}, "program 0 .* trains otherwise"),
    "one number of the data": (
        {"task": tasks.from_arrays(X + np.eye(40, 2, dtype=np.float32) * 1e-3, Y)},
        "has other data",
    ),
    "one label of the data": (
        {"task": tasks.from_arrays(X, np.r_[1 - Y[:1], Y[1:]])},
        "has other data",
    ),
    "a default that the second label reads": (
        {"defaults": {"width": lambda size: size + 1}},
        "program 1 .* trains otherwise",
    ),
    "a constant": ({"task": with_constant(np.float32([1, 2]))}, "trains otherwise"),
}


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_study_is_refused_in_a_line_that_says_what_differs(name, whole):
    _, folder = whole
    changes, message = CHANGED[name]
    before = content(folder)
    with pytest.raises(ValueError, match=message) as caught:
        study(**changes).run(folder)
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"{folder} holds another study: ")
    assert content(folder) == before


def test_the_same_study_declared_anew_trains_nothing_and_traces_each_program_once(
    whole, monkeypatch
):
    result, folder = whole
    before, traced, original = content(folder), [], identity.identity_of
    monkeypatch.setattr(
        "jaxdl.study.identity_of", lambda *args: (traced.append(1), original(*args))[1]
    )
    again = study().run(folder)
    assert len(traced) == 2
    assert content(folder) == before
    assert again.lanes == result.lanes
    assert all(
        again.history[name].tobytes() == values.tobytes() for name, values in result.history.items()
    )


def test_a_study_of_some_labels_sees_its_own_lanes_and_others_join(whole, tmp_path):
    result, folder = whole
    run = tmp_path / "run"
    shutil.copytree(folder, run)
    before = content(run)
    some = study(sweep={"activation": {"b": activation(2.0)}, "rate": [0.3]}).run(run)
    assert [(lane["activation"], lane["rate"]) for lane in some.lanes] == [("b", 0.3)] * 2
    for lane, values in zip(some.lanes, some.history["train_loss"], strict=True):
        assert values.tobytes() == result.history["train_loss"][result.lanes.index(lane)].tobytes()
    with pytest.raises(
        ValueError, match=r"program 0 .activation='a', rate=0.1. does not trace here"
    ):
        study(sweep={"activation": {"c": activation(3.0)}, "rate": [0.3]}).run(
            run
        )  # nothing in common
    assert content(run) == before
    more = study(sweep={"activation": {"a": FIRST, "c": activation(2.0)}, "rate": [0.3]}).run(run)
    same = [
        result.history["train_loss"][row] for row in result.rows({"activation": "b", "rate": 0.3})
    ]
    np.testing.assert_allclose(
        more.history["train_loss"][more.rows({"activation": "c"})], same, rtol=1e-5
    )
    assert len(load(run).lanes) == 10


@pytest.mark.parametrize("hoisted", [False, True])
def test_constants_are_in_the_digest_however_jax_holds_them(hoisted):
    before = jax.config.jax_use_simplified_jaxpr_constants
    jax.config.update("jax_use_simplified_jaxpr_constants", hoisted)
    try:
        texts = []
        for value in (1, 1, 2):
            made = study(task=with_constant(np.full(2, value, np.float32)))
            program = Program(made.spec.configs[:1], {}, Schedule(6, 3), 1)
            texts.append(identity.identity_of(made.spec, program)["text"])
    finally:
        jax.config.update("jax_use_simplified_jaxpr_constants", before)
    assert texts[0] == texts[1] != texts[2]


def test_infinite_values_are_kept_in_plain_json(tmp_path):
    manifest = {
        "study": {"limit": float("inf"), "low": [-float("inf"), 1.0], "other": {"not finite": "x"}}
    }
    store.write_manifest(tmp_path, manifest)
    json.loads(
        (tmp_path / "manifest.json").read_text(),
        parse_constant=lambda word: pytest.fail(f"{word} is no JSON"),
    )
    assert store.read_manifest(tmp_path) == manifest


# --- processes that grow one folder at once ------------------------------------------------------


def growths():
    return [tiny(0.1, 0.5), tiny(0.1, 0.01), tiny(0.1, seeds=4)]


@pytest.mark.parametrize("order", [(0, 1), (1, 0), (0, 2), (2, 0)])
def test_a_growth_between_plan_and_write_loses_nothing(order, tmp_path, monkeypatch, truth):
    """The other process does all its work after this one has planned and before it writes."""
    tiny().run(tmp_path)
    late, early = (growths()[number] for number in order)
    original = store.swap_manifest

    def after_the_other(*args):
        monkeypatch.setattr(store, "swap_manifest", original)
        assert early.run(tmp_path).complete
        return original(*args)

    monkeypatch.setattr(store, "swap_manifest", after_the_other)
    found = late.run(tmp_path)
    assert found.complete
    everything = curves(load(tmp_path))
    assert len(everything) == {(0, 1): 6, (1, 0): 6, (0, 2): 6, (2, 0): 6}[order]
    assert everything == {lane: truth[lane] for lane in everything}
    assert curves(found) == {lane: truth[lane] for lane in curves(found)}


@pytest.mark.parametrize("fresh", [False, True])
def test_a_growth_while_another_trains_loses_nothing(fresh, tmp_path, monkeypatch, truth):
    """The other process grows the folder, and stores its blocks, while this one trains its first
    block."""
    run = tmp_path / "run"
    if not fresh:
        tiny().run(run)
    slow, fast = growths()[:2]
    original, inside = running.engine.run_block, []

    def interrupted(*args):
        if not inside:
            inside.append(1)
            assert fast.run(run).complete
        return original(*args)

    monkeypatch.setattr(running.engine, "run_block", interrupted)
    result = slow.run(run)
    assert result.complete
    everything = curves(load(run))
    assert set(everything) == {(rate, seed) for rate in (0.1, 0.5, 0.01) for seed in (0, 1)}
    for lane, values in everything.items():  # rates that share a program have other last bits
        np.testing.assert_allclose(
            np.frombuffer(values, np.float32), np.frombuffer(truth[lane], np.float32), rtol=1e-5
        )


def test_a_run_that_another_begins_while_this_one_looks_is_grown(tmp_path, monkeypatch):
    """The other process begins the run between any two looks of this one at the folder."""
    for look in ("read_manifest", "is_new"):
        run, original = tmp_path / look, getattr(store, look)

        def before_the_other(folder, run=run, look=look, original=original):
            answer = original(folder)
            monkeypatch.setattr(store, look, original)
            assert tiny(0.1).run(run).complete
            return answer

        monkeypatch.setattr(store, look, before_the_other)
        assert tiny(0.5).run(run).complete
        assert {rate for rate, _ in curves(load(run))} == {0.1, 0.5}


def test_many_that_grow_one_folder_at_once_lose_nothing(tmp_path, truth):
    run, made = (
        tmp_path / "run",
        [tiny(0.1, 0.5), tiny(0.1, 0.01), tiny(0.1, seeds=4), tiny(0.01, seeds=4)],
    )
    for each in made:
        each.plan()
    results, barrier = {}, threading.Barrier(len(made))

    def work(number):
        barrier.wait()
        results[number] = made[number].run(run)

    threads = [threading.Thread(target=work, args=[number]) for number in range(len(made))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [results[number].complete for number in range(len(made))] == [True] * len(made)
    everything = load(run)
    assert everything.complete
    for number, each in results.items():
        assert curves(each).items() <= curves(everything).items(), number
    for lane, values in curves(everything).items():
        np.testing.assert_allclose(
            np.frombuffer(values, np.float32), np.frombuffer(truth[lane], np.float32), rtol=1e-5
        )
    assert not list(run.rglob(".*"))


def test_without_locks_a_manifest_that_another_process_overwrites_is_grown_anew(
    tmp_path, monkeypatch, truth
):
    run = tmp_path / "run"
    tiny().run(run)
    original, inside = running.engine.run_block, []

    def interrupted(*args):
        found = original(*args)
        if (
            not inside
        ):  # what this process wrote is lost: the other one had read the manifest before
            inside.append(1)
            os.replace(tmp_path / "old", run / "manifest.json")
            assert tiny(0.1, 0.01).run(run).complete
        return found

    monkeypatch.setattr(files, "fcntl", None)
    monkeypatch.setattr(running.engine, "run_block", interrupted)
    shutil.copy(run / "manifest.json", tmp_path / "old")
    assert tiny(0.1, 0.5).run(run).complete
    assert load(run).complete
    assert curves(load(run)) == {lane: truth[lane] for lane in curves(load(run))}
    assert {rate for rate, _ in curves(load(run))} == {0.1, 0.5, 0.01}
    assert sorted(path.name for path in (run / "blocks").iterdir()) == [
        "0000.npz",
        "0001.npz",
        "100001.npz",
    ]


def test_blocks_of_an_older_manifest_stay_the_first_ones_as_it_grows(monkeypatch):
    monkeypatch.setattr(manifests, "CHUNKS", 2)
    manifest, seen = None, []
    for made in (
        tiny(seeds=7),
        tiny(0.5, 0.1, seeds=9),
        tiny(0.01, seeds=3),
        tiny(0.1, 0.01, 0.3, seeds=5),
    ):
        manifest = manifests.grow(
            manifest or manifests.empty(made.spec),
            made.spec,
            made._planned,
            lambda program: {"of": repr(program.configs)},
        )
        blocks = manifests.blocks_of(manifest)
        assert blocks[: len(seen)] == seen
        lanes = [lane for _, lanes in blocks for lane in lanes]
        assert len(set(lanes)) == len(lanes)
        seen = blocks
    assert len(lanes) == 9 + 9 + 5 + 5


OTHERS = {
    "another rate": lambda said: {**said, "configs": [{"rate": 0.5}]},
    "an unknown rate": lambda said: {**said, "configs": [{"rate": 0.7}]},
    "a rate of another type": lambda said: {**said, "configs": [{"rate": "0.1"}]},
    "another program": lambda said: {**said, "program": "0123456789abcdef"},
    "nothing": lambda said: {},
}


@pytest.mark.parametrize("other", [*OTHERS, "other seeds"])
def test_a_block_of_others_under_a_wanted_number_is_neither_served_nor_overwritten(
    other, tmp_path, truth, capfd
):
    run = tmp_path / "run"
    tiny().run(run)
    block = store.read_block(run, 0)
    for path in (store.block_path(run, 0), run / "events.jsonl"):
        path.unlink()
    changed = {name: values + 1 for name, values in block.items() if name.startswith("history/")}
    if other == "other seeds":
        changed["seed"] = np.array([7, 8], np.uint32)
    else:
        said = OTHERS[other](json.loads(block["about"].tobytes()))
        changed["about"] = np.frombuffer(json.dumps(said).encode(), np.uint8)
    store.write_block(run, 0, {**block, **changed}, {})
    theirs = store.block_path(run, 0).read_bytes()
    assert (load(run).missing, len(load(run).lanes)) == (2, 0)
    assert "holds 0 of 2 lanes" in capfd.readouterr().err
    assert tiny().run(run).complete
    assert store.block_path(run, 0).read_bytes() == theirs
    assert curves(load(run)) == {lane: truth[lane] for lane in [(0.1, 0), (0.1, 1)]}
    before = content(run)
    assert tiny().run(run).complete  # found again under its own number
    assert content(run) == before


def test_blocks_are_read_by_their_values_whatever_their_number(tmp_path, truth, monkeypatch):
    monkeypatch.setattr(manifests, "CHUNKS", 1)
    tiny(0.1, 0.5).run(tmp_path)
    before = curves(load(tmp_path))
    number = {0: 1, 1: 0}
    for place in number:
        os.rename(store.block_path(tmp_path, place), tmp_path / f"{place}")
    for place, new in number.items():
        os.rename(tmp_path / f"{place}", store.block_path(tmp_path, new))
    events = [{**event, "block": number[event["block"]]} for event in store.read_events(tmp_path)]
    (tmp_path / "events.jsonl").write_text("\n".join(map(json.dumps, events)))
    assert curves(load(tmp_path)) == before


def test_where_memory_runs_out_another_process_may_have_stored_a_block_or_halved(
    tmp_path, monkeypatch
):
    original, state = running.engine.run_block, {"calls": 0}

    def scarce(spec, program, *args):
        state["calls"] += 1
        if state["calls"] == 1:  # the other process trains all of it meanwhile
            tiny().run(tmp_path / "stored")
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 1 byte")
        return original(spec, program, *args)

    monkeypatch.setattr(running.engine, "run_block", scarce)
    with pytest.raises(MemoryError, match="cannot be halved: blocks are stored"):
        tiny().run(tmp_path / "stored")
    assert load(tmp_path / "stored").complete

    def halved_meanwhile(spec, program, *args):
        if program.lane_size == 2:  # what the other process does when its memory runs out
            manifest = store.read_manifest(tmp_path / "halved")
            programs = [manifests.with_lane_size(each, 1) for each in manifest["programs"]]
            store.write_manifest(tmp_path / "halved", {**manifest, "programs": programs})
        return original(spec, program, *args)

    monkeypatch.setattr(running.engine, "run_block", halved_meanwhile)
    result = tiny().run(tmp_path / "halved")  # its first block is of the lane_size that is gone
    assert result.complete
    assert store.read_manifest(tmp_path / "halved")["programs"][0]["lane_size"] == 1
    assert load(tmp_path / "halved").complete
    assert sorted(path.name for path in (tmp_path / "halved" / "blocks").iterdir()) == [
        "0000.npz",
        "100000.npz",
    ]


# --- what is broken ------------------------------------------------------------------------------


@pytest.fixture
def made(tmp_path):
    """A finished run of two blocks, its study and its result."""
    before, manifests.CHUNKS = manifests.CHUNKS, 1
    each = tiny(0.1, 0.5)
    result = each.run(tmp_path / "run")
    yield tmp_path / "run", each, result
    manifests.CHUNKS = before


def judge(run, result, capsys):
    """What a load of a damaged run is: the truth, partial and said to be, or refused in a line;
    nothing else."""
    try:
        found = load(run)
    except ValueError as error:
        return (
            "refused"
            if type(error) is ValueError and re.fullmatch(f"{run}[^\n]*", str(error))
            else repr(error)
        )
    err = capsys.readouterr().err
    assert curves(found).items() <= curves(result).items()
    assert found.steps.tolist() == (result.steps.tolist() if found.lanes else [])
    if len(found.lanes) == len(result.lanes):
        assert (found.complete, err) == (True, "")
        return "true"
    assert found.missing == len(result.lanes) - len(found.lanes)
    assert f"{len(found.lanes)} of {len(result.lanes)} lanes" in err
    assert err.count("\n") == 1
    return "partial"


def flips(size, count, seed=0):
    """Bits of a file, sampled: (byte, bit)."""
    places = random.Random(seed).sample(range(8 * size), min(count, 8 * size))
    return [divmod(place, 8) for place in places]


@pytest.mark.parametrize(
    ("name", "outcomes"),
    [
        ("manifest.json", {"refused", "true"}),
        ("blocks/0000.npz", {"partial"}),
        ("events.jsonl", {"partial", "true"}),
    ],
)
def test_a_flipped_bit_gives_the_truth_or_says_what_is_wrong(name, outcomes, made, capsys):
    run, _, result = made
    whole = (run / name).read_bytes()
    seen = set()
    for byte, bit in flips(len(whole), 800 if name == "manifest.json" else 150):
        (run / name).write_bytes(whole[:byte] + bytes([whole[byte] ^ 1 << bit]) + whole[byte + 1 :])
        seen.add(judge(run, result, capsys))
    assert seen <= outcomes
    assert min(outcomes) in seen
    (run / name).write_bytes(whole)
    assert judge(run, result, capsys) == "true"


MANIFESTS = {
    "a digit of a seed": lambda text: text.replace('"seeds": [\n    0,', '"seeds": [\n    3,'),
    "a value": lambda text: text.replace('"rate": 0.1', '"rate": 0.2'),
    "a list": lambda text: "[]",
    "a number": lambda text: "7",
    "nothing in it": lambda text: "{}",
    "empty": lambda text: "",
    "cut short": lambda text: text[:-20],
    "no text": lambda text: "\x00\x01",
    "deep": lambda text: "[" * 100_000,
    "no digest": lambda text: re.sub(r'"digest": "[0-9a-f]{32}"', '"other": 1', text),
    "an older format": lambda text: text.replace('"format": 2', '"format": 1'),
    "a newer format": lambda text: text.replace('"format": 2', '"format": 3'),
    "a word as format": lambda text: text.replace('"format": 2', '"format": "2"'),
}


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_that_was_changed_is_refused_in_a_line(name, made, capsys):
    run, each, _ = made
    path = run / "manifest.json"
    before = path.read_text()
    path.write_text(MANIFESTS[name](before))
    assert path.read_text() != before
    kind = "must be of format 2" if "format" in name or name == "nothing in it" else "manifest.json"
    for read in (lambda: load(run), lambda: each.run(run)):
        with pytest.raises(ValueError, match=kind) as caught:
            read()
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)
    assert cli.main(["show", str(run)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_reordered_configs_are_refused(made):
    run, _, _ = made
    raw = json.loads((run / "manifest.json").read_text())
    (run / "manifest.json").write_text(json.dumps({**raw, "configs": raw["configs"][::-1]}))
    with pytest.raises(
        ValueError,
        match=r"manifest.json was changed after it was written: its digest is [0-9a-f]{32}",
    ):
        load(run)
    (run / "manifest.json").write_text(json.dumps(raw))  # other spaces are the same manifest
    assert load(run).complete


@pytest.mark.parametrize("harm", ["missing", "kind", "numbers", "seeds"])
def test_a_manifest_of_another_shape_is_refused_in_a_line_though_its_digest_is_right(harm, made):
    run, each, _ = made
    manifest = store.read_manifest(run)
    (generation,) = manifest["generations"]
    broken = {
        "missing": {name: value for name, value in manifest.items() if name != "programs"},
        "kind": {**manifest, "configs": {}},
        "numbers": {**manifest, "generations": [{**generation, "configs": [0, 9]}]},
        "seeds": {**manifest, "generations": [{**generation, "seeds": ["0"]}]},
    }
    store.write_manifest(run, broken[harm])
    for read in (lambda: load(run), lambda: each.run(run)):
        with pytest.raises(ValueError, match="is not a run of jaxdl: ") as caught:
            read()
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "harm", ["no events", "empty events", "a block damaged", "a block gone", "no blocks"]
)
def test_a_partial_run_says_so_wherever_it_is_shown(harm, made, capsys, tmp_path):
    run, each, result = made
    block = store.block_path(run, 1)
    if harm == "no events":
        (run / "events.jsonl").unlink()
    elif harm == "empty events":
        (run / "events.jsonl").write_text("")
    elif harm == "a block damaged":
        block.write_bytes(block.read_bytes()[:-1])
    elif harm == "a block gone":
        block.unlink()
    else:
        for path in (run / "blocks").iterdir():
            path.unlink()
        (run / "blocks").rmdir()
    left = 2 if "a block" in harm else 0
    found = load(run)
    line = f"{left} of 4 lanes"
    assert (found.missing, found.complete, len(found.lanes)) == (4 - left, False, left)
    assert line in repr(found)
    assert capsys.readouterr().err.count(line) == 1
    if left:
        assert str(found.table("test_accuracy")).splitlines()[-1].strip() == line
        assert line in found.plot("test_accuracy").axes[0].get_title()
    for arguments in (["show", str(run)], ["export", str(run), "--out", str(tmp_path / "out")]):
        assert cli.main(arguments) == 0
        out, err = capsys.readouterr()
        assert [line in each for each in err.splitlines()] == [True]
        assert "export" in arguments or "of 4" in out
    again = each.run(run)
    assert (again.complete, again.missing) == (True, 0)
    assert curves(again) == curves(result)
    assert "of 4" not in repr(again) + str(again.table("test_accuracy")) + capsys.readouterr().err


def test_a_shard_says_what_is_missing(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(manifests, "CHUNKS", 1)
    part = tiny(0.1, 0.5).run(tmp_path, shard="0/2")
    assert (len(part.lanes), part.missing) == (2, 2)
    assert [
        f"{tmp_path} holds 2 of 4 lanes" in line for line in capsys.readouterr().err.splitlines()
    ] == [True]
    assert tiny(0.1, 0.5).run(tmp_path, shard="1/2").complete
    assert capsys.readouterr().err == ""
    assert tiny().run().complete


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A finished run, and the bytes of a checkpoint of its second block."""
    patch = pytest.MonkeyPatch()
    patch.setattr(manifests, "CHUNKS", 1)
    patch.setattr(running, "CHECKPOINT_SECONDS", 0.0)
    run, kept, original = tmp_path_factory.mktemp("stopped") / "run", {}, store.write_checkpoint

    def keep(path, number, arrays):
        original(path, number, arrays)
        kept[number] = store.checkpoint_path(path, number).read_bytes()

    patch.setattr(store, "write_checkpoint", keep)
    each = tiny(0.1, 0.5)
    each.run(run)
    yield run, each, kept
    patch.undo()


def unfinished(run, checkpoint: bytes):
    """Takes the second block's event back and leaves a checkpoint of it."""
    lines = (run / "events.jsonl").read_text().splitlines()
    (run / "events.jsonl").write_text(
        "\n".join(line for line in lines if json.loads(line)["block"] != 1) + "\n"
    )
    (run / "checkpoints").mkdir(exist_ok=True)
    store.checkpoint_path(run, 1).write_bytes(checkpoint)


def test_a_flipped_bit_of_a_checkpoint_is_seen(stopped, tmp_path):
    _, _, kept = stopped
    path = store.checkpoint_path(tmp_path, 0)
    path.parent.mkdir()
    for byte, bit in flips(len(kept[1]), 400):
        path.write_bytes(kept[1][:byte] + bytes([kept[1][byte] ^ 1 << bit]) + kept[1][byte + 1 :])
        assert store.read_checkpoint(tmp_path, 0) is None
    path.write_bytes(kept[1])
    assert store.read_checkpoint(tmp_path, 0) is not None


def rewritten(content: bytes, tmp_path, change) -> bytes:
    """A checkpoint with changed arrays and the digest that fits them."""
    path = store.checkpoint_path(tmp_path, 7)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    store.write_checkpoint(tmp_path, 7, change(store.read_checkpoint(tmp_path, 7)))
    return path.read_bytes()


CHECKPOINTS = {
    "whole": lambda kept, box: kept[1],
    "empty": lambda kept, box: b"",
    "cut short": lambda kept, box: kept[1][:-30],
    "no archive": lambda kept, box: b"PK\x03\x04" + bytes(100),
    "of another block": lambda kept, box: kept[0],
    "of a damaged number": lambda kept, box: (
        kept[1][:-200] + bytes([kept[1][-200] ^ 4]) + kept[1][-199:]
    ),
    "of other arrays": lambda kept, box: rewritten(
        kept[1], box, lambda arrays: {"step": np.array(1)}
    ),
    "of another program": lambda kept, box: rewritten(
        kept[1],
        box,
        lambda arrays: {**arrays, "about": np.frombuffer(b'{"program": "0"}', np.uint8)},
    ),
    "of another shape": lambda kept, box: rewritten(
        kept[1], box, lambda arrays: {**arrays, "lane/0": np.zeros(3)}
    ),
    "without a leaf": lambda kept, box: rewritten(
        kept[1],
        box,
        lambda arrays: {name: values for name, values in arrays.items() if name != "lane/1"},
    ),
    "without a number of steps": lambda kept, box: rewritten(
        kept[1],
        box,
        lambda arrays: {name: values for name, values in arrays.items() if name != "step"},
    ),
    "of more steps": lambda kept, box: rewritten(
        kept[1], box, lambda arrays: {**arrays, "step": np.array(99)}
    ),
    "of steps in words": lambda kept, box: rewritten(
        kept[1], box, lambda arrays: {**arrays, "step": np.array("3")}
    ),
    "without results": lambda kept, box: rewritten(
        kept[1],
        box,
        lambda arrays: {
            name: values for name, values in arrays.items() if not name.startswith("done/")
        },
    ),
    "with other results": lambda kept, box: rewritten(
        kept[1],
        box,
        lambda arrays: {**arrays, "done/history/other": arrays["done/history/train_loss"]},
    ),
    "with results of other shape": lambda kept, box: rewritten(
        kept[1],
        box,
        lambda arrays: {**arrays, "done/history/train_loss": np.zeros((0, 9), np.float32)},
    ),
    "with a leaf more": lambda kept, box: rewritten(
        kept[1], box, lambda arrays: {**arrays, "lane/999": np.zeros(3)}
    ),
}


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_whatever_lies_there_as_a_checkpoint_the_run_ends_with_the_same_bytes(
    name, stopped, tmp_path
):
    run, each, kept = stopped
    before = {path: path.read_bytes() for path in (run / "blocks").iterdir()}
    unfinished(run, CHECKPOINTS[name](kept, tmp_path))
    assert each.run(run).complete
    assert {path: path.read_bytes() for path in (run / "blocks").iterdir()} == before
    assert not list((run / "checkpoints").iterdir())


def test_leftovers_of_killed_writers_are_dropped_and_those_of_living_ones_kept(made):
    run, each, _ = made
    (run / "checkpoints").mkdir(exist_ok=True)
    host, dead = files.host(), 2**22 + 1  # beyond the largest process number of Linux
    gone = [
        run / f".manifest.json.{host}-{dead}-0a1b2c3d",
        run / "blocks" / f".0001.npz.{dead}-0a1b2c3d",
        run / "checkpoints" / f".0001.npz.{host}-{dead}-0a1b2c3d",
        run / "blocks" / ".0002.npz.elsewhere-1-0a1b2c3d",
    ]
    kept = [
        run / "blocks" / f".0003.npz.{host}-{os.getpid()}-0a1b2c3d",
        run / "blocks" / ".0004.npz.elsewhere-1-0a1b2c3d",
        run / ".gitignore",
    ]
    for path in (*gone, *kept):
        path.touch()
    os.utime(gone[-1], (time.time() - 3600,) * 2)
    each.run(run)
    assert not [path for path in gone if path.exists()]
    assert [path for path in kept if not path.exists()] == []


def test_events_that_are_no_events_are_passed_over(made):
    run, _, result = made
    lines = [
        "7",
        "[]",
        "{}",
        '{"block": "0", "sha256": "x"}',
        '{"block": -1, "sha256": "x"}',
        '{"block": 1.5}',
        "[" * 9999,
    ]
    lines += [
        '{"block": 0, "sha256": 7}',
        '{"block": true, "sha256": "x"}',
        '{"block": 0, "sha256": "other"}',
        "\x00",
    ]
    with open(run / "events.jsonl", "a") as file:
        file.write("\n".join(lines))
    assert curves(load(run)) == curves(result)


def test_replay_takes_the_program_of_the_value_as_it_was_given(tmp_path):
    """1 and 1.0 may stand in different programs; found equal, one lane would be replayed as the
    other."""
    programs = [Program(({"n": value},), {}, Schedule(1, 1), 1) for value in (True, 1, 1.0)]
    assert [[_trains(program, {"n": value}) for program in programs] for value in (1, 1.0)] == [
        [False, True, False],
        [False, False, True],
    ]


def test_growth_does_not_turn_the_direction_of_a_stored_metric(tmp_path):
    """The later call has a stored label, which agrees, and a new one, which does not."""

    def labelled(factor, higher):
        def loss(outputs, targets):
            return factor * losses.cross_entropy(outputs, targets)

        return tasks.moons(40)._replace(
            loss=loss, metrics={"score": Metric(losses.accuracy, higher_is_better=higher)}
        )

    def called(**labels):
        return Study(
            lambda hp: hp.task,
            models.mlp(2, (2,), 2),
            optax.sgd(0.1),
            sweep={"task": labels},
            steps=2,
            batch_size=8,
        )

    first, second = labelled(1.0, True), labelled(2.0, True)
    called(a=first, b=second).run(tmp_path / "run")
    with pytest.raises(
        ValueError,
        match=r"metric 'score' must have one direction in all configs of a run, got .*=False here",
    ):
        called(b=second, c=labelled(3.0, False)).run(tmp_path / "run")
    assert load(tmp_path / "run").metrics == {"loss": False, "score": True}
