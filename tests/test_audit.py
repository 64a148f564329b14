"""The audit: numbers and claims counted by hand, verdicts by hand, rows for all, resumption."""

import json
import math

import numpy as np
import optax
import pytest
import scipy.stats
from commands import check_refused, command, report_of

from experiments import (
    audit,
    audit_extras,
    audit_looks,
    audit_numbers,
    audit_page,
    audit_parts,
    claim_looks,
    columns,
    images,
    references,
    verdicts,
)
from experiments.audit_looks import Look, Side
from experiments.audit_numbers import Evidence
from experiments.claims import CLAIMS
from experiments.references import published
from jaxdl import Study, models, tasks

# Written off the reports by hand, not computed: report -> table's beginning -> its numbers.
PRINTED = {
    "R1": {
        "perceptron: train accuracy": "1.0",
        "perceptron: epochs": "3",
        "perceptron, final weights": "1.874 -0.718 -0.80",
        "perceptron, sweeps": "0.575 0.675",
        "perceptron, groups": "1.0 0.575 0.675 1.0",  # the last: the example's test accuracy
        "MLP: test accuracy": "0.98",
        "MLP: steps to all": "200",
        "batch size: test accuracy": "0.96 0.98 0.99 0.99",
        "batch size: steps to 90 %": "70 120 180 250",
        "batch size: seconds": "0.4 0.5 0.6 6.8",
        "batch size: final loss": "0.0832 0.0758 0.0657 0.0410",
        "batch size 1: least": "0.0003",
        "batch size 1: largest": "3.8391",
    },
    "R2": {
        "perceptron: test accuracy": """
            1.0 1.0 1.0 1.0
            0.875 1.0 1.0 1.0
            0.7 0.35 0.5 0.5
            0.275 0.65 0.45 0.5""",
        "MLP: steps until it settles": "180",
    },
    "R3": {"base run": "1 1", "convolution": "1"},  # and the five tables, below
    "R4": {
        "perceptron: test accuracy": "1.0 0.625 0.825 0.65 0.5",
        "MLP: test accuracy": "0.845",
        "MLP: summed loss at the start": "554",
        "MLP: steps on the plateau": "50",
        "MLP: summed loss at the end": "340",
        "SGD: test accuracy after 1500": "0.5",
        "SGD: steps near 50 %": "25000",
        "SGD: test accuracy after 45,000": "0.8",
    },
    "R5": {
        "MLP in NumPy": "0.970",
        "MLP in PyTorch": "0.915",
        "CIFAR-10 MLP: train accuracy": "0.6827",
        "CIFAR-10 MLP: train loss": "0.9062",
        "CIFAR-10 MLP: test accuracy": "0.5643",
        "CIFAR-10 MLP: test loss": "1.2637",
        "CIFAR-10 CNN: train accuracy": "0.996",
        "CIFAR-10 CNN: train loss": "0.013",
        "CIFAR-10 CNN: test accuracy": "0.714",
        "CIFAR-10 CNN: test loss": "2.60",
        "palindromes, length 5": "1.0",
        "palindromes by length": "1.0 1.0 1.0 1.0 0.5898 0.4824 0.0898 0.0784 0.0735 0.0628 0.0628",
    },
}
# Rows: rates from 0.1 down; columns: 1, 2, 4, 8, 16 and 32 units; in %.
R3_TABLES = {
    ("xor", "sigmoid", "sgd"): """
        52.38 52.38 100 100 100 100
        52.38 52.38 52.38 85.71 100 100
        52.38 52.38 52.38 52.38 57.14 71.43
        52.38 52.38 52.38 52.38 52.38 52.38
        52.38 52.38 52.38 52.38 52.38 52.38""",
    ("linear", "sigmoid", "sgd"): """
        54 100 100 100 100 100
        54 100 100 100 100 100
        54 54 96 100 99 100
        54 54 54 54 85 90
        54 54 54 54 63 54""",
    ("xor", "identity", "sgd"): """
        52.38 52.38 52.38 52.38 52.38 52.38
        52.38 52.38 52.38 52.38 52.38 52.38
        52.38 52.38 52.38 52.38 52.38 61.90
        52.38 52.38 52.38 52.38 52.38 52.38
        52.38 61.90 52.38 66.67 52.38 52.38""",
    ("linear", "identity", "sgd"): """
        100 100 100 100 100 100
        100 100 100 100 100 100
        100 100 100 100 100 100
        54 97 97 99 100 100
        54 94 88 90 96 99""",
    ("xor", "sigmoid", "adam"): """
        52.38 76.19 100 100 100 100
        52.38 52.38 100 100 100 100
        52.38 52.38 90.48 100 100 100
        52.38 52.38 52.38 52.38 57.14 80.95
        52.38 52.38 47.62 52.38 52.38 52.38""",
    ("linear", "sigmoid", "adam"): """
        54 54 100 100 100 100
        54 100 100 100 100 99
        54 99 100 100 100 100
        54 96 92 100 100 100
        54 54 54 66 86 94""",
    ("xor", "relu", "sgd"): """
        52.38 52.38 100 100 100 100
        52.38 76.19 52.38 100 100 100
        76.19 76.19 76.19 100 100 100
        52.38 85.71 52.38 76.19 90.48 95.24
        52.38 52.38 71.43 71.43 57.14 80.95""",
    ("linear", "relu", "sgd"): """
        54 54 100 100 100 100
        54 54 100 100 100 100
        54 99 100 100 100 100
        54 54 97 99 99 100
        54 54 54 94 97 99""",
    ("xor", "tanh", "sgd"): """
        76.19 52.38 100 100 100 100
        76.19 90.48 100 100 100 100
        52.38 57.14 85.71 100 100 100
        52.38 52.38 66.67 66.67 85.71 90.48
        52.38 52.38 52.38 71.43 57.14 85.71""",
    ("linear", "tanh", "sgd"): """
        100 100 100 100 100 100
        100 100 100 100 100 100
        100 100 100 100 100 100
        95 94 99 99 100 100
        54 86 94 67 97 95""",
}
COUNTS = {"R1": 31, "R2": 17, "R3": 303, "R4": 12, "R5": 22}
# Words of every sentence of the reports that claims something.
SENTENCES = {
    "R1": [
        "distance of 6 or more",
        "variance of 0.5 or less",
        "a single step separates",
        "1 to 128 gains",
        "128 to 800 gains hardly",
        "over 10 times the time",
        "unstable",
        "medium batches balance best",
    ],
    "R2": ["oscillation falls", "200 is best", "at most one half"],
    "R3": [
        "4 hidden units suffice",
        "0.01 is the best learning rate",
        "without an activation XOR cannot",
        "too small a rate",
    ],
    "R4": [
        "through the origin cannot",
        "a bias can",
        "SGD is behind BGD",
        "1500 steps of SGD cost far less",
        "45,000 steps of SGD take far less",
        "until 25,000 steps",
    ],
    "R5": [
        "NumPy is better",
        "5.5 points worse",
        "between lengths 8 and 9",
        "vanishes",
        "clipping the gradient is necessary",
        "LSTM and GRU",
    ],
}


# --- what is published -----------------------------------------------------------------------


def test_every_number_of_the_reports_is_data():
    numbers = published()
    counts = {name: sum(each.report == name for each in numbers) for name in COUNTS}
    assert counts == COUNTS
    for report, of_report in PRINTED.items():
        seen = 0
        for table, printed in of_report.items():
            each = [n for n in numbers if n.report == report and n.table.startswith(table)]
            expected = [float(word) for word in printed.split()]
            assert [number.value for number in each] == pytest.approx(expected), table
            assert all(number.protocol for number in each)
            seen += len(each)
        assert seen == COUNTS[report] - (300 if report == "R3" else 0)


def test_every_cell_of_r3s_tables_is_data():
    cells = {}
    for number in published():
        if number.table.startswith("tables 1 to 5"):
            cells[tuple(number.cell.values())] = number.value
    assert len(cells) == 300
    for table, printed in R3_TABLES.items():
        rows = [line.split() for line in printed.split("\n") if line.strip()]
        for rate, row in zip((0.1, 0.01, 0.001, 0.0001, 0.00001), rows, strict=True):
            for width, percent in zip((1, 2, 4, 8, 16, 32), row, strict=True):
                # Printed to 0.01 %; kept as the share of points.
                assert 100 * cells[*table, rate, width] == pytest.approx(float(percent), abs=0.006)


def test_every_claim_of_the_reports_is_data():
    for report, of_report in SENTENCES.items():
        mine = [claim for claim in CLAIMS if claim.report == report]
        assert len(mine) == len(of_report)
        for words in of_report:
            assert len([claim for claim in mine if words in claim.sentence]) == 1, words
    assert all(claim.a and claim.b and claim.kind in audit_looks.KINDS for claim in CLAIMS)
    known = {*audit_parts.PARTS, "times"}
    assert all(set(claim.parts) <= known for claim in CLAIMS)


def test_every_number_and_claim_has_a_row_even_where_nothing_was_run():
    nothing = audit.Gathered({}, None, None, [])
    rows = audit.number_rows(nothing, audit.REPORTS)
    keys = {(row["report"], row["table"], *row["cell"].items()) for row in rows}
    assert keys == {(n.report, n.table, *n.cell.items()) for n in published()}
    assert len(rows) == sum(COUNTS.values())
    assert {row["verdict"] for row in rows} == {verdicts.NOT_RUN}
    epochs = {row["done"] for row in rows if row["table"].startswith("CIFAR-10")}
    assert epochs == {"0 of 100 epochs", "0 of 150 epochs"}
    claims = audit.claim_rows(nothing, audit.REPORTS)
    assert [row["sentence"] for row in claims] == [claim.sentence for claim in CLAIMS]
    assert {row["verdict"] for row in claims} == {verdicts.NOT_RUN}
    page = audit_page.page([*rows, *claims], "command", [("x", 1.0)])
    assert all(f"| {claim.sentence} |" in page for claim in CLAIMS)
    assert page.count("**not run**") == len(rows) + len(claims) + 1


# --- p and verdicts --------------------------------------------------------------------------


def counts(below, tied, above):
    return {"below": below, "tied": tied, "above": above}


def test_the_place_among_seeds_by_hand():
    entry = columns.standing(np.array([0.1, 0.5, 0.5, np.inf]), 0.5)
    assert entry["published_counts"] == counts(1, 2, 1)
    assert entry["published_percentile"] == 50
    # 0.96 is no float32: what prints alike ties.
    entry = columns.standing(np.array([0.96] * 3, np.float32).astype(float), 0.96)
    assert entry["published_counts"] == counts(0, 3, 0)
    # A diverged lane is worst of all, and no lane at all is no place.
    entry = columns.of_values(np.array([np.nan, 0.9]), np.array([True, False]), True, 0.5)
    assert entry["published_counts"] == counts(1, 0, 1)
    entry = columns.of_values(np.array([np.nan, np.nan]), np.array([True, True]), True, 0.5)
    assert entry["published_counts"] == counts(2, 0, 0)
    empty = columns.standing(np.array([]), 0.5)
    assert empty["published_counts"] == counts(0, 0, 0)
    assert math.isnan(verdicts.p_value(empty["published_counts"]))


@pytest.mark.parametrize(
    ("place", "p"),
    [
        (counts(0, 0, 1), 1.0),  # one seed says nothing
        (counts(39, 0, 0), 0.05),  # the least that 39 can show
        (counts(0, 0, 199), 0.01),
        (counts(0, 100, 0), 1.0),  # all seeds are alike, and like the number
        (counts(4, 1, 194), 2 * 6 / 200),  # ties count to the nearer end: 4 + 1 + itself
        (counts(50, 0, 50), 1.0),
    ],
)
def test_p_is_that_of_a_rank(place, p):
    assert verdicts.p_value(place) == pytest.approx(p)


def test_p_is_never_too_small_for_numbers_of_the_same_protocol():
    generator = np.random.default_rng(0)
    draws = np.round(generator.normal(size=(4000, 20)), 1)  # with ties
    p_values = []
    for number, *seeds in draws:
        place = columns.standing(np.array(seeds), number)["published_counts"]
        p_values.append(verdicts.p_value(place))
    for level in (0.1, 0.2, 0.5):
        assert np.mean(np.array(p_values) <= level) <= level + 0.015


@pytest.mark.parametrize(
    ("place", "p", "better", "word"),
    [
        (counts(50, 0, 50), 0.9, True, "likely"),
        (counts(0, 3, 0), 1.0, True, "likely"),
        (counts(199, 0, 1), 0.02, True, "lucky"),
        (counts(199, 0, 1), 0.02, False, "unlucky"),
        (counts(1, 0, 199), 0.02, True, "unlucky"),
        (counts(1, 0, 199), 0.02, None, "unusual"),
        (counts(200, 0, 0), 0.01, True, "impossible"),
        (counts(0, 0, 200), 0.01, None, "impossible"),
        (counts(199, 1, 0), 0.02, True, "lucky"),  # a seed ties: not beyond every one
        (counts(3, 0, 0), 0.5, True, "undecided"),  # beyond every seed, but of three
        (counts(0, 0, 0), math.nan, True, "not run"),
        (counts(200, 0, 0), math.nan, True, "not run"),  # not trained to its end
    ],
)
def test_verdicts_by_hand(place, p, better, word):
    assert verdicts.verdict(place, p, better) == word
    assert word in verdicts.MEANINGS


def test_adjusted_p_are_those_of_benjamini_and_hochberg():
    p_values = [0.01, 0.04, 0.03, 0.5]
    # By hand: sorted 0.01, 0.03, 0.04, 0.5 times 4/1, 4/2, 4/3, 1; then the least from above.
    by_hand = [0.04, 4 / 3 * 0.04, 4 / 3 * 0.04, 0.5]
    assert verdicts.adjusted(p_values) == pytest.approx(by_hand)
    assert verdicts.adjusted(p_values) == pytest.approx(
        scipy.stats.false_discovery_control(p_values)
    )
    # What was not run is no cell.
    with_gap = verdicts.adjusted([math.nan, *p_values])
    assert math.isnan(with_gap[0])
    assert with_gap[1:] == pytest.approx(by_hand)
    assert verdicts.adjusted([]) == []
    assert math.isnan(verdicts.adjusted([math.nan])[0])


def test_holm_by_hand():
    assert verdicts.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert verdicts.holm([0.9, 0.8]) == pytest.approx([1.0, 1.0])
    assert verdicts.holm([]) == []


def test_as_few_seeds_as_needed_call_one_cell_of_many_impossible():
    for cells in (1, 4, 16):
        n = verdicts.seeds_needed(cells)
        words = []
        for seeds in (n, n - 1):
            # Every other cell is as likely as can be.
            p_values = [2 / (seeds + 1), *[1.0] * (cells - 1)]
            p = verdicts.adjusted(p_values)[0]
            words.append(verdicts.verdict(counts(seeds, 0, 0), p, True))
        assert words == ["impossible", "undecided"]


# --- tables ----------------------------------------------------------------------------------


def seeds(place, done="", **settings):
    n = sum(place.values())
    return Evidence(settings, n, n, place, 50.0, (0.0, 0.5, 1.0), done)


def test_the_cells_of_a_table_are_judged_together_and_under_one_protocol():
    far, near = counts(200, 0, 0), counts(100, 0, 100)
    cells = [
        [seeds(near, rate=0.1), seeds(far, rate=0.01)],
        [seeds(near, rate=0.1), seeds(near, rate=0.01)],
        [seeds(far, rate=0.1), seeds(near, rate=0.01)],
        [seeds(near, rate=0.1), seeds(far, rate=0.01)],
    ]
    judged = audit_numbers.judge(cells, [True] * 4)
    p = 2 / 201
    assert judged[2][0].p == pytest.approx(p)
    assert judged[2][0].p_adjusted == pytest.approx(4 * p)  # one of four cells
    assert judged[0][1].p_adjusted == pytest.approx(2 * p)  # two of four
    head = audit_numbers.headline(judged, [{}] * 4)
    assert [each.evidence.settings for each in head] == [{"rate": 0.1}] * 4
    assert [each.verdict for each in head] == ["likely", "likely", "impossible", "likely"]
    # What a report states counts, though another protocol would suit it better.
    head = audit_numbers.headline(judged, [{"rate": 0.01}] * 4)
    assert [each.verdict for each in head] == ["impossible", "likely", "likely", "impossible"]
    assert audit_numbers.headline(judged, [{"rate": 3}] * 4) == [None] * 4


def test_a_protocol_with_more_likely_numbers_comes_before_one_with_likelier_ones():
    far, near, rare = counts(200, 0, 0), counts(100, 0, 100), counts(190, 0, 10)
    cells = [
        [seeds(near, rate=0.1), seeds(rare, rate=0.01)],
        [seeds(far, rate=0.1), seeds(rare, rate=0.01)],
    ]
    judged = audit_numbers.judge(cells, [True] * 2)
    assert [each[1].verdict for each in judged] == ["likely"] * 2  # p = 0.11 both
    head = audit_numbers.headline(judged, [{}] * 2)
    assert [each.evidence.settings["rate"] for each in head] == [0.01] * 2


def test_what_was_not_trained_to_its_end_is_not_run_and_no_cell():
    cells = [[seeds(counts(200, 0, 0), "20 of 1400 steps")], [seeds(counts(200, 0, 0))]]
    (first,), (second,) = audit_numbers.judge(cells, [True, True])
    assert (first.verdict, second.verdict) == ("not run", "impossible")
    assert second.p_adjusted == pytest.approx(2 / 201)
    assert audit_numbers.headline([[first], [second]], [{}, {}]) == [first, second]


def test_a_reading_is_chosen_for_a_number_not_a_protocol():
    far, near = counts(200, 0, 0), counts(100, 0, 100)
    cells = [
        [seeds(far, rate=1, reading="a"), seeds(near, rate=1, reading="b")],
        [seeds(near, rate=2, reading="a"), seeds(far, rate=2, reading="b")],
        [seeds(near, rate=1, reading="a"), seeds(far, rate=1, reading="b")],
    ]
    head = audit_numbers.headline(audit_numbers.judge(cells, [True] * 3), [{}] * 3)
    chosen = [(each.evidence.settings["rate"], each.evidence.settings["reading"]) for each in head]
    assert chosen == [(1, "b"), (2, "a"), (1, "a")]


def test_of_two_runs_of_a_protocol_the_one_with_more_seeds_stays():
    known = [seeds(counts(3, 0, 0), rate=1)]
    audit_numbers.add(known, seeds(counts(9, 0, 0), rate=1))
    audit_numbers.add(known, seeds(counts(2, 0, 0), rate=1))
    audit_numbers.add(known, seeds(counts(2, 0, 0), rate=2))
    assert [each.n for each in known] == [9, 2]


# --- claims ----------------------------------------------------------------------------------


def look(wins, losses, ties=0, done="", protocol="p"):
    n = wins + losses + ties
    a = np.array([1.0] * wins + [0.0] * losses + [0.5] * ties)
    b = np.array([0.0] * wins + [1.0] * losses + [0.5] * ties)
    none = np.zeros(n, bool)
    return audit_looks.compared(protocol, "pair", Side(a, none), Side(b, none), True, done)


def test_a_comparison_by_hand():
    found = look(7, 2, 1)
    assert (found.n, found.probability, found.counts) == (10, 0.75, (7, 2))
    assert found.difference == pytest.approx(0.5)
    assert found.interval[0] < 0.75 < found.interval[1]
    # Of unequal numbers of seeds those in common; a diverged lane loses; less may be better.
    a = Side(np.array([1.0, np.nan, 1.0]), np.array([False, True, False]))
    b = Side(np.array([2.0, 5.0]), np.zeros(2, bool))
    found = audit_looks.compared("p", "pair", a, b, False)
    assert (found.n, found.probability, found.counts) == (2, 0.5, (1, 1))


@pytest.mark.parametrize(
    ("kind", "found", "word"),
    [
        ("beats", [look(20, 0)], "holds"),
        ("beats", [look(0, 20)], "contradicted"),
        ("beats", [look(0, 0, 20)], "undecided"),
        ("beats", [look(11, 9)], "undecided"),
        ("beats", [look(20, 0), look(0, 20)], "contradicted"),
        ("beats", [look(20, 0), look(11, 9)], "undecided"),
        ("beats", [look(2, 8)], "undecided"),  # p = 0.11
        ("beats", [look(1, 0)], "undecided"),
        # 1 of 10 has p = 0.021: of one comparison that is enough, of four it is not.
        ("beats", [look(1, 9)], "contradicted"),
        ("beats", [look(1, 9), look(10, 9), look(10, 9), look(10, 9)], "undecided"),
        ("beats", [look(0, 20, done="1 of 9 steps")], "not run"),
        ("beats", [look(0, 20, done="1 of 9 steps"), look(20, 0)], "holds"),
        ("beats", [], "not run"),
        ("hardly", [look(0, 0, 100)], "holds"),
        ("hardly", [look(0, 0, 10)], "undecided"),  # ten equal pairs show no spread
        ("hardly", [look(100, 0)], "contradicted"),
        ("hardly", [look(50, 50)], "undecided"),
    ],
)
def test_claims_are_judged_by_hand(kind, found, word):
    assert audit_looks.word(kind, found) == word


@pytest.mark.parametrize(
    ("kind", "held", "word"),
    [
        ("always", [True] * 20, "holds"),
        ("always", [True] * 2, "undecided"),
        ("always", [True] * 99 + [False], "contradicted"),
        ("never", [False] * 20, "holds"),
        ("never", [False] * 2, "undecided"),
        ("never", [False] * 99 + [True], "contradicted"),
        ("mostly", [True] * 18 + [False] * 2, "holds"),
        ("mostly", [False] * 18 + [True] * 2, "contradicted"),
        ("mostly", [True, False], "undecided"),
    ],
)
def test_shares_of_seeds_are_judged_by_hand(kind, held, word):
    found = audit_looks.counted("p", "pair", np.array(held))
    assert audit_looks.word(kind, [found]) == word
    assert found.probability == pytest.approx(np.mean(held))


def test_protocols_that_disagree_leave_a_claim_to_the_protocol():
    found = [look(20, 0, protocol="one"), look(0, 20, protocol="two")]
    words = audit_looks.by_protocol("beats", found)
    assert words == {"one": "holds", "two": "contradicted"}
    assert verdicts.together(list(words.values())) == "depends on the protocol"
    assert audit_looks.weakest("beats", found).probability == 0
    assert audit_looks.weakest("never", found).probability == 1
    assert verdicts.together(["holds", "not run"]) == "holds"
    assert verdicts.together(["holds", "undecided"]) == "undecided"


# --- the command -----------------------------------------------------------------------------

TINY = {
    "convolution": audit_parts.Part("conv1d_linear", ("R3",), "", "--seeds 2 --steps 20"),
    "xor_full_batch": audit_parts.Part(
        "xor_grid",
        ("R3",),
        "",
        "--seeds 3 --sweep data=xor --sweep activation=tanh --sweep optimizer=sgd "
        "--sweep learning_rate=0.1,0.01 --sweep width=4 --sweep batch=full --sweep bias=True "
        "--sweep loss=bce",
    ),
}


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(audit_parts, "PARTS", TINY)
    monkeypatch.setattr(audit, "PARTS", TINY)


QUICK = ("audit", "--quick", "--only", "R3")


@pytest.mark.full  # what users run
def test_an_audit_that_is_stopped_goes_on_to_the_same_numbers(tiny, tmp_path, monkeypatch):
    whole = report_of(*QUICK, "--out", str(tmp_path / "whole"))
    run_part = audit.run_part

    def stopped(name, words, folder):
        run_part(name, words, folder)
        raise KeyboardInterrupt

    monkeypatch.setattr(audit, "run_part", stopped)
    folder = str(tmp_path / "stopped")
    assert command(*QUICK, "--out", folder).returncode == 130
    assert (tmp_path / "stopped" / "convolution").is_dir()
    assert not (tmp_path / "stopped" / "xor_full_batch").exists()
    monkeypatch.undo()
    monkeypatch.setattr(audit_parts, "PARTS", TINY)
    monkeypatch.setattr(audit, "PARTS", TINY)
    resumed = report_of(*QUICK, "--out", folder)
    assert json.dumps(resumed["rows"]) == json.dumps(whole["rows"])
    assert report_of(*QUICK, "--out", folder) == resumed
    check_tiny(whole["rows"])
    assert "## Claims" in (tmp_path / "whole" / "AUDIT.md").read_text()


def check_tiny(rows):
    """Two cells were run in full, the convolution was cut short, and all else was not run."""
    numbers = [row for row in rows if row["kind"] == "number"]
    assert len(numbers) == 303
    run = [row for row in numbers if row["verdict"] != "not run"]
    assert [row["cell"]["learning_rate"] for row in run] == [0.1, 0.01]
    for row in run:
        assert (row["n"], row["verdict"]) == (3, "likely" if row["p"] == 1 else row["verdict"])
        assert row["p"] >= 0.5  # of three seeds
        assert row["verdict"] in ("likely", "undecided")
    (short,) = [row for row in numbers if row["done"]]
    assert (short["done"], short["verdict"], short["n"]) == ("20 of 2000 steps", "not run", 2)
    claims = {row["sentence"]: row for row in rows if row["kind"] == "claim"}
    assert len(claims) == 4
    best = next(row for name, row in claims.items() if name.startswith("0.01 is the best"))
    assert (best["n"], best["verdict"]) == (3, "undecided")


@pytest.mark.full
def test_one_example_is_compared_with_both_kinds_of_full_batch(tmp_path):
    words = "--seeds 3 --steps 1500 --eval-every 500 --sweep init=0.01 --sweep learning_rate=0.01"
    part = audit_parts.run_part("sgd_vs_bgd", words, tmp_path)
    found = claim_looks.early(claim_looks.Evidence({"sgd_vs_bgd": part}))
    bgd, sgd = part.run.results["bgd"], part.run.results["sgd"]
    assert [look.protocol.split()[-1] for look in found] == ["mean", "sum"]
    for look, config in zip(found, bgd.configs, strict=True):
        full = bgd.final("test_accuracy")[bgd.rows(config)]
        gap = full - sgd.final("test_accuracy")[sgd.rows(sgd.configs[0])]
        assert look.n == 3
        assert look.difference == pytest.approx(gap.mean(), abs=1e-6)
        assert look.done == "50 of 1500 steps"  # a thirtieth of the single examples


def test_bad_input_is_refused(tmp_path):
    run = tmp_path / "run"
    check_refused(("audit", "--only", "R7"), "--only must name reports of R1, R2", run)
    check_refused(("audit", "--seeds", "3"), "unrecognized arguments: --seeds 3", run)
    check_refused(("audit", "--runs", str(tmp_path)), "must be a run folder", run)
    nowhere = str(tmp_path / "nowhere" / "AUDIT.md")
    check_refused(("audit", "--markdown", nowhere), "must be in a folder that exists", run)
    first = command("--quick", "audit", "--out", str(run))
    assert (first.returncode, "must be the first word" in first.stderr) == (2, True)
    run.mkdir()
    (run / "thesis.tex").write_text("")
    strange = command("audit", "--quick", "--out", str(run))
    assert strange.returncode == 2
    assert "which holds thesis.tex" in strange.stderr


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """A run that is stored as one on images, of a network that is trained in no time."""
    usual = {**audit_extras.DEFAULTS, **audit_extras.experiment_of("cifar_mlp").defaults}
    named = {k: v for k, v in usual.items() if k not in ("dataset", "epochs")}

    def model(hp):
        assert hp.variant == "listed"
        for name in named:
            getattr(hp, name)
        return models.mlp(2, (2,), 2)

    study = Study(
        task=tasks.moons(samples=6250, noise=0.1),
        model=model,
        optimizer=lambda hp: optax.sgd(hp.learning_rate),
        defaults=named,
        sweep={"variant": ["listed"], "batch_size": [128]},
        seeds=2,
        steps=352,  # an epoch of CIFAR-10
        eval_every=352,
        eval_train_rows=5000,
    )
    folder = tmp_path_factory.mktemp("images") / "run"
    study.run(folder)
    return audit_extras.read_given(folder)


def rows_of_mlp(given):
    rows = audit.number_rows(audit.Gathered({}, None, None, [given]), ("R5",))
    return [row for row in rows if row["table"].startswith("CIFAR-10 MLP")]


@pytest.mark.parametrize(("epochs", "done"), [(100, "1 of 100 epochs"), (1, "")])
def test_a_given_run_counts_only_when_it_has_all_epochs(epochs, done, given, monkeypatch):
    monkeypatch.setitem(audit_extras.EPOCHS, "cifar_mlp", epochs)
    # The columns look up the number of a run of 100 epochs: one of one epoch has none.
    numbers = {
        name: references.R5.__dict__[f"mlp_{name}"]._replace(values={("cifar10", epochs): 0.5})
        for name in ("test_accuracy", "train_accuracy", "train_loss", "test_loss")
    }
    experiment = audit_extras.experiment_of("cifar_mlp")
    experiment = experiment._replace(columns=images.image_columns(**numbers))
    monkeypatch.setattr(audit_extras, "experiment_of", lambda name: experiment)
    rows = rows_of_mlp(given)
    assert [(row["done"], row["n"]) for row in rows] == [(done, 2)] * 4
    words = {row["verdict"] for row in rows}
    assert words == {"not run"} if done else words <= {"likely", "undecided"}
    assert all((row["p"] is None) == bool(done) for row in rows)


def test_an_unfinished_given_run_is_no_run(given):
    nothing = given._replace(result=given.result.__class__([], {}, np.zeros((0,), int), ()))
    rows = rows_of_mlp(nothing)
    assert {(row["verdict"], row["done"]) for row in rows} == {("not run", "0 of 100 epochs")}


@pytest.mark.parametrize(
    ("change", "axes", "message"),
    [
        ({"eval_train_rows": 1438}, (), "must be a run on CIFAR-10"),
        ({"scale": 0.25}, (), "settings, scale 1.0, got run, which has 0.25"),
        ({"learning_rate": 0.05}, (), "settings, learning_rate 0.1, got run, which has 0.05"),
        ({}, ("scale",), "must sweep variant, batch_size, got run, which differs in scale"),
        ({"residual": False, "optimizer": "sgd"}, (), "settings, optimizer adam"),
    ],
)
def test_a_given_run_of_another_protocol_is_refused(change, axes, message, given):
    study = json.loads((given.path / "manifest.json").read_text())["study"]
    known = ("variant", "batch_size", *axes)
    with pytest.raises(ValueError, match=message):
        audit_extras.checked({**study, **change}, known, "run")
    assert audit_extras.checked(study, ("variant", "batch_size"), "run") == "cifar_mlp"
    with pytest.raises(ValueError, match="must be a run of cifar_mlp or cifar_cnn"):
        audit_extras.checked({"steps": 3}, known, "run")


def test_times_are_measured_once_for_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(audit_extras, "STEPS", 2)
    first = audit_extras.step_seconds(tmp_path, 2)
    again = audit_extras.step_seconds(tmp_path, 2)
    assert {size: len(each) for size, each in first.items()} == {1: 2, 32: 2, 128: 2, 800: 2}
    assert all((first[size] == again[size]).all() for size in first)
    nothing = audit.Gathered({}, first, None, [])
    rows = audit.number_rows(nothing, ("R1",))
    times = [row for row in rows if row["table"] == "batch size: seconds"]
    assert [row["verdict"] for row in times] == ["of another machine"] * 4
    assert [row["p"] for row in times] == [None] * 4


def test_a_look_may_not_be_made_of_seeds_that_are_not_there():
    nothing = Look("p", "pair", 0, math.nan, (math.nan, math.nan), None, None, (0, 0))
    assert audit_looks.word("beats", [nothing]) == "undecided"
    with pytest.raises(ZeroDivisionError):
        audit_looks.counted("p", "pair", np.array([], bool))
