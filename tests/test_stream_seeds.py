"""A seed of its own for each random stream of a lane."""

import itertools
import json

import jax
import kill_study
import numpy as np
import optax
import pytest

from jaxdl import Narrow, Seeds, Study, load, models, stats, tasks
from jaxdl.planning.seeds import seed_list
from jaxdl.planning.spec import STREAM_COLUMNS
from jaxdl.reporting import frames
from jaxdl.running import manifest as manifests
from jaxdl.running import store
from jaxdl.sampling import STREAMS

pytestmark = pytest.mark.full  # bits


def study(**changes):
    """Padded widths, traced rates; drawn data, batches and dropout: four streams that matter."""
    declared = {
        "task": tasks.moons(40, 0.2),
        "model": lambda hp: models.mlp(2, (hp.width,), 2, dropout_rate=0.2),
        "optimizer": lambda hp: optax.sgd(hp.rate),
        "sweep": {"width": [3, 5], "rate": [0.1, 0.5]},
        "shapes": "pad",
        "steps": 6,
        "eval_every": 3,
        "batch_size": 8,
        "lane_size": 4,
    }
    return Study(**{**declared, **changes})


CROSSED = Seeds(init=[3, 1], data=(0, 1), shuffle=range(2), dropout=1)


@pytest.fixture(scope="module")
def crossing():
    return study(seeds=CROSSED)


@pytest.fixture(scope="module")
def crossed(crossing, tmp_path_factory):
    return crossing.run(tmp_path_factory.mktemp("crossed") / "run")


@pytest.fixture(scope="module")
def plain():
    return study(seeds=2).run()


def row_of(result, config, **seeds):
    """The row of a lane by the seeds of its streams."""
    wanted = {**config, **{f"seed_{name}": seed for name, seed in seeds.items()}}
    rows = [row for row, lane in enumerate(result.lanes) if {**lane, **wanted} == lane]
    assert len(rows) == 1
    return rows[0]


def test_streams_are_the_fields_of_seeds_and_the_columns_of_lanes(crossed):
    assert Seeds._fields == STREAMS
    assert frames.SEEDS == STREAM_COLUMNS == tuple(f"seed_{name}" for name in STREAMS)
    product = itertools.product([3, 1], [0, 1], [0, 1], [1], [0])
    expected = [dict(zip(STREAM_COLUMNS, each, strict=True)) for each in product]
    for config in crossed.configs:
        lanes = [crossed.lanes[row] for row in crossed.rows(config)]
        assert [lane["seed"] for lane in lanes] == list(range(8))
        assert [{name: lane[name] for name in STREAM_COLUMNS} for lane in lanes] == expected
    assert len(crossed.lanes) == 4 * 8


def test_equal_seeds_of_all_streams_are_that_seed_of_an_ordinary_study(plain):
    """Bit for bit, traced and padded; a held stream may be an int or a list of one."""
    for seed in (0, 1):
        same = study(seeds=Seeds(seed, [seed], seed, np.int64(seed), (seed,))).run()
        assert [lane["status"] for lane in same.lanes] == ["finished"] * 4
        rows = [row for row, lane in enumerate(plain.lanes) if lane["seed"] == seed]
        for name, values in same.history.items():
            assert values.tobytes() == plain.history[name][rows].tobytes(), name


def test_each_stream_moves_what_belongs_to_it_alone(crossed):
    """Before the first step only weights and data count; later the order of batches too."""
    config = {"width": 3, "rate": 0.5}
    loss = crossed.history["test_loss"]

    def curve(**seeds):
        return loss[row_of(crossed, config, **seeds)]

    here = curve(init=3, data=0, shuffle=0)
    other_order = curve(init=3, data=0, shuffle=1)
    assert here[0] == other_order[0]
    assert here[-1] != other_order[-1]
    assert here[0] != curve(init=1, data=0, shuffle=0)[0]
    assert here[0] != curve(init=3, data=1, shuffle=0)[0]


def test_dropout_and_augment_have_streams_of_their_own():
    def shaken(key, x, targets):
        return x + 0.1 * jax.random.normal(key, x.shape), targets

    task = tasks.moons(40, 0.2)._replace(augment=shaken)
    seeds = Seeds(init=3, dropout=[0, 1], augment=[0, 1])
    result = study(task=task, sweep={"width": [3], "rate": [0.5]}, seeds=seeds).run()
    loss = result.history["test_loss"]
    assert len(set(loss[:, 0])) == 1
    assert len(set(loss[:, -1])) == 4


def test_lanes_agree_with_an_ordinary_lane_where_all_but_one_stream_do(crossed, plain):
    """init 1, data 1, shuffle 1, dropout 1: only augment differs, which the task has not."""
    for config in plain.configs:
        (mine,) = plain.where(seed=1).rows(config)
        theirs = row_of(crossed, config, init=1, data=1, shuffle=1)
        for name, values in plain.where(seed=1).history.items():
            assert values[mine].tobytes() == crossed.history[name][theirs].tobytes()


def test_a_crossed_run_reads_back_continues_and_grows(crossing, crossed, tmp_path, capsys):
    read = load(crossed.path)
    assert capsys.readouterr().err == ""
    assert read.lanes == crossed.lanes
    before = kill_study.blocks(crossed.path)
    again = crossing.run(crossed.path)
    assert again.lanes == crossed.lanes
    assert kill_study.blocks(crossed.path) == before
    grown = study(seeds=CROSSED._replace(init=[1, 2, 3])).run(tmp_path / "more")
    crossing.run(tmp_path / "grown")
    both = study(seeds=CROSSED._replace(init=[1, 2, 3])).run(tmp_path / "grown")
    assert both.lanes == grown.lanes
    for name, values in grown.history.items():
        assert values.tobytes() == both.history[name].tobytes()
    # a lane keeps its place in a run that is read back, however it was grown
    kept = load(tmp_path / "grown")
    for lane in crossed.lanes:
        assert lane in kept.lanes
    assert len(kept.lanes) == 4 * 12


def test_shards_and_missing_lanes_have_their_places(crossing, crossed, tmp_path, monkeypatch):
    monkeypatch.setattr("jaxdl.running.manifest.CHUNKS", 1)
    run = tmp_path / "run"
    part = crossing.run(run, shard="0/2")
    assert 0 < part.missing < 32
    read = load(run)
    there = {(lane["width"], lane["rate"], lane["seed"]) for lane in read.lanes}
    for config, lacking in read._untrained:
        for seed in lacking:
            assert 0 <= seed < 8
            assert (config["width"], config["rate"], seed) not in there
    assert sum(len(lacking) for _, lacking in read._untrained) == part.missing
    crossing.run(run, shard="1/2")
    assert load(run).lanes == crossed.lanes


def test_a_lane_is_replayed_by_its_place(crossing, crossed):
    config = {"width": 3, "rate": 0.5}
    crossing.run(crossed.path)
    _, _, history = crossing.replay(config, seed=6)
    row = crossed.rows(config)[6]
    assert crossed.lanes[row]["seed_init"] == 1
    for name, values in crossed.history.items():
        assert history[name].tobytes() == values[row].tobytes()
    with pytest.raises(ValueError, match="one of the 8 combinations of seeds, from 0 to 7, got 8"):
        crossing.replay(config, seed=8)


def test_ordinary_and_crossed_lanes_do_not_mix(crossing, crossed, tmp_path):
    run = tmp_path / "run"
    study(seeds=2).run(run)
    manifest = json.loads((run / store.MANIFEST).read_text())
    assert "seeds" not in manifest["study"]
    assert manifest["generations"][0]["seeds"] == [0, 1]
    with pytest.raises(ValueError, match="seeds is None there and 'by stream' here"):
        crossing.run(run)
    with pytest.raises(ValueError, match="seeds is 'by stream' there and None here"):
        study(seeds=2).run(crossed.path)


def test_a_damaged_list_of_seeds_is_named(crossed):
    path = crossed.path / store.MANIFEST
    for seed, words in (
        (5, "must be one a stream, got 5"),
        ([1, 2], "must be one a stream"),
        ([0, 0, 0, 0, -1], "must be integers from 0 to 4294967295"),
    ):
        manifest = json.loads(path.read_text())
        manifest["generations"][0]["seeds"][0] = seed
        with pytest.raises(ValueError, match=words):
            manifests.checked(manifest, crossed.path)


def test_crossed_lanes_have_no_intervals_and_say_why(crossed):
    config = crossed.configs[0]
    assert crossed.crossed == {"init": 2, "data": 2, "shuffle": 2}
    summary = crossed.summary("test_accuracy", config)
    for interval in (summary.iqm_interval, summary.mean_interval, summary.median_interval):
        assert np.isnan(interval).all()
    compared = crossed.compare("test_accuracy", crossed.configs[0], crossed.configs[1])
    assert compared.n == 8
    assert np.isnan([compared.difference_interval, compared.improvement_interval]).all()
    text = str(crossed.table("test_accuracy"))
    assert "lanes share seeds (2 init x 2 data x 2 shuffle): no interval takes them as" in text
    assert "n too small" not in text
    assert "[" not in text
    part = crossed.where(seed=[0, 4])  # init alone varies
    assert part.crossed == {}


def test_one_stream_that_varies_is_an_ordinary_sample(capsys):
    seeds = Seeds(init=range(4), augment=[0, 1])  # there is no augmentation
    run = study(sweep=[{"width": 3, "rate": 0.5}], seeds=seeds).run(progress=False)
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "seeds of augment change nothing here: lanes that differ in them alone are copies of each other"
    )
    found = run.where(seed=[0, 2, 4, 6])
    assert found.crossed == {}
    expected = stats.mean_interval(found.final("test_loss"))
    assert found.summary("test_loss", {}).mean_interval == pytest.approx(expected)


def test_shares_are_of_the_columns_of_lanes(crossed):
    rows = crossed.rows({"width": 5, "rate": 0.5})
    factors = {
        name: [crossed.lanes[row][f"seed_{name}"] for row in rows] for name in crossed.crossed
    }
    found = stats.variance_shares(crossed.final("test_loss")[rows], factors)
    assert found.levels == crossed.crossed
    assert sum(part.share for part in found.shares.values()) == pytest.approx(1)


def test_tables_have_a_column_a_stream(crossed, plain, tmp_path):
    columns = crossed.columns()
    assert columns["seed_init"] == [lane["seed_init"] for lane in crossed.lanes]
    assert list(columns)[3:9] == ["seed", *STREAM_COLUMNS]
    assert not set(STREAM_COLUMNS) & set(plain.columns())
    crossed.to_csv(tmp_path / "lanes.csv")
    assert ",seed_init," in (tmp_path / "lanes.csv").read_text()


REFUSED = {
    "nothing": (dict(seeds=Seeds(init=[])), "seeds of init must hold at least one seed, got []"),
    "a fraction": (dict(seeds=Seeds(data=0.5)), "seeds of data must be an integer, or a sequence"),
    "negative": (dict(seeds=Seeds(shuffle=-1)), "seeds of shuffle must be integers from 0 to"),
    "a flag": (dict(seeds=Seeds(dropout=True)), "seeds of dropout must be an integer"),
    "a word": (dict(seeds=Seeds(augment="12")), "seeds of augment must be an integer"),
    "too many": (
        dict(seeds=Seeds(range(4000), range(4000))),
        "seeds must have at most 10000000 combinations, got 16000000",
    ),
    "a name": (
        dict(seeds=Seeds(), sweep={"width": [3], "rate": [1.0], "seed_init": [1]}),
        "must not be called as a column of lanes, got 'seed_init' beside seeds of streams",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_seeds_of_streams_that_are_none_are_refused_in_a_line(name):
    changes, words = REFUSED[name]
    with pytest.raises(ValueError) as refusal:
        study(**changes)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_no_seeds_are_added_to_a_crossing(crossing):
    with pytest.raises(ValueError, match="until adds some, got Seeds of streams"):
        crossing.run(until=Narrow("test_accuracy", width=0.1, most=100))


def test_lists_of_seeds_are_what_they_were():
    assert seed_list(3) == (0, 1, 2)
    assert seed_list([7, 7, 2]) == (7, 2)
    assert seed_list(Seeds()) == ((0, 0, 0, 0, 0),)
    assert seed_list(Seeds(data=[2, 2, 1], augment=4)) == ((0, 2, 0, 0, 4), (0, 1, 0, 0, 4))


def test_a_page_tests_nothing_over_crossed_lanes(crossed, tmp_path):
    page = crossed.report(tmp_path / "report.html").read_text()
    assert f"Nothing is tested: {crossed.sharing}." in page
    assert "(too few seeds for an interval)" not in page
    assert "sign test" not in page
