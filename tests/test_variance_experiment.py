"""The experiment on where the variance comes from, at a tiny size."""

import numpy as np
import pytest
from commands import check_refused, report_of

from experiments import variance
from experiments.frame import Run, request_of
from experiments.options import parser
from jaxdl import load, stats
from jaxdl.sampling import STREAMS


def test_variance_prints_json_and_draws_its_figure(tmp_path, monkeypatch):
    """Of the MLP alone: the others differ in what they train, which takes long to compile."""
    alone = variance.EXPERIMENT._replace(studies={"mlp": variance.mlp})
    monkeypatch.setattr(variance, "EXPERIMENT", alone)
    report = report_of("variance", "--seeds", "2", "--steps", "8", "--out", str(tmp_path))
    (row,) = report["rows"]
    assert (row["study"], row["n"]) == ("mlp", 8)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["shares.png"]
    result = load(tmp_path / "mlp")
    assert row["shares"]["levels"] == {"init": 2, "data": 2, "shuffle": 2} == result.crossed
    values, columns = result.final("test_accuracy"), result.columns()
    assert row["shares"]["mean"] == pytest.approx(float(values.mean()))
    factors = {stream: columns[f"seed_{stream}"] for stream in result.crossed}
    expected = stats.variance_shares(values, factors, interactions=False)
    for stream, found in expected.shares.items():
        assert row["shares"][stream]["share"] == pytest.approx(found.share)


def test_every_model_crosses_the_streams_that_it_has():
    options = parser().parse_args(["variance", "--seeds", "8"])
    request = request_of(variance.EXPERIMENT, options)
    for name, make in variance.EXPERIMENT.studies.items():
        table = np.array(make(request).spec.seeds)
        varied = [stream for stream, seeds in zip(STREAMS, table.T, strict=True) if np.ptp(seeds)]
        assert tuple(varied) == variance.STREAMS[name]
        assert len(table) == (625 if name == "cnn" else 512)


def part(share, low, high):
    return {"share": share, "interval": (low, high), "variance": share, "clipped": False}


def test_only_what_is_surely_more_than_half_is_called_most():
    found = {"init": part(0.7, 0.4, 0.9), "data": part(0.3, 0.0, 0.6)}
    assert variance.verdict(found) == "no stream surely has half"
    assert variance.verdict({**found, "init": part(0.7, 0.51, 0.9)}) == "mostly init"
    rest = {**found, "rest": part(0.8, 0.6, 0.9)}
    assert variance.verdict(rest) == "mostly what streams do together"
    shares = {**found, "levels": {"init": 9, "data": 9}, "sd": 0.01, "mean": np.float64(0.9)}
    run = Run(None, {}, {}, [{"study": "mlp", "n": 81, "shares": shares}])
    text = variance.largest(run).text
    assert text.startswith("MLP on two moons: no stream surely has half (init 70% [40%, 90%]")


def test_variance_sweeps_seeds_alone(tmp_path):
    words = "--sweep must not be given to variance, which varies seeds alone"
    check_refused(("variance", "--sweep", "batch_size=1,2"), words, tmp_path / "run")
