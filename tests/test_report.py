"""The report: one HTML file that says what the result says, to everybody, whatever is in it."""

import dataclasses
import html.parser
import itertools
import json
import math
import pathlib
import re
import shutil
import webbrowser

import numpy as np
import optax
import pytest
import scipy.stats

from experiments import gallery, pages
from experiments.options import experiments
from jaxdl import Result, Study, cli, load, models, stats, tasks
from jaxdl.pages import figures, losses, measured, report
from jaxdl.reporting import html as made
from jaxdl.reporting import pairs
from jaxdl.reporting.html import charts, scales
from jaxdl.reporting.html.markup import element
from jaxdl.reporting.tables import Table
from jaxdl.running import store

STEPS = np.array([0, 10, 20])
VOID = ("meta", "img", "br")


@dataclasses.dataclass
class Node:
    """An element: its name, attributes, and what stands in it."""

    name: str
    attributes: dict
    inside: list

    def every(self, name=""):
        """All elements of a name below this one, in order."""
        for part in self.inside:
            if isinstance(part, Node):
                if name in ("", part.name):
                    yield part
                yield from part.every(name)

    @property
    def text(self):
        return "".join(part if isinstance(part, str) else part.text for part in self.inside)


class Reader(html.parser.HTMLParser):
    """Reads a page strictly: what is opened is closed, in order."""

    def __init__(self):
        super().__init__()
        self.open = [Node("", {}, [])]

    def handle_starttag(self, tag, attrs):
        node = Node(tag, dict(attrs), [])
        self.open[-1].inside.append(node)
        if tag not in VOID:
            self.open.append(node)

    def handle_endtag(self, tag):
        assert self.open.pop().name == tag

    def handle_data(self, data):
        self.open[-1].inside.append(data)


def read(text):
    reader = Reader()
    reader.feed(text)
    reader.close()
    assert len(reader.open) == 1
    return reader.open[0]


def result_of(values, axes=("rate",), configs=None, diverged=(), name="test_accuracy", **more):
    """A result of values (configs, seeds), as curves that rise from 0 to them."""
    values = np.asarray(values, float)
    configs = [{"rate": number} for number in range(len(values))] if configs is None else configs
    lanes, curves = [], []
    for number, config in enumerate(configs):
        for seed in range(values.shape[1]):
            at = 15 if (number, seed) in diverged else None
            status = "finished" if at is None else "diverged"
            lanes.append({**config, "seed": seed, "status": status, "diverged_at": at})
            last = values[number, seed]
            curves.append([0, last / 2, last])
    history = {name: np.array(curves, np.float32).reshape(len(lanes), len(STEPS))}
    direction = {"accuracy": True, "loss": False}
    return Result(lanes, history, STEPS, axes, metrics=direction, **more)


def page_of(result, question=None):
    return made.render(report.page([report.reported("", result)], question))


def metric_of(result, name="test_accuracy"):
    return measured.measured(result, name, measured.lanes_of(result))


def table_of(node):
    """The cells of a table, row by row."""
    cells = []
    for row in node.every("tr"):
        cells.append([cell.text for cell in row.every() if cell.name in ("th", "td")])
    return cells


# --- what it says ------------------------------------------------------------------------------

DRAWS = np.random.default_rng(0).uniform(0.5, 1, (3, 20))


def test_tables_hold_the_numbers_of_the_lanes():
    tables = list(map(table_of, read(page_of(result_of(DRAWS))).every("table")))
    (spread,) = (table for table in tables if "25 %" in table[0])
    final = DRAWS.astype(np.float32)
    for row, values in zip(spread[1:], final, strict=True):
        shown = [float(cell) for cell in row[3:]]
        quantiles = np.quantile(values, [0.05, 0.25, 0.5, 0.75, 0.95])
        assert row[1:3] == ["20", "20"]
        assert np.allclose(shown, quantiles, rtol=1e-3)
    (curve,) = (table for table in tables if "step" in table[0])
    assert float(curve[2][3]) == pytest.approx(np.median(final[0]) / 2, rel=1e-3)


def test_a_curve_is_drawn_where_its_median_is():
    drawing = figures.curves(metric_of(result_of(DRAWS))).panels[0].drawing
    lines = [node.attributes["d"] for node in read(drawing).every("path") if "line" in str(node)]
    assert len(lines) == 3
    # From pixels back to values, by two of the numbers beside the axis.
    texts = [node for node in read(drawing).every("text") if node.attributes["class"] == "end"]
    heights = [float(node.attributes["y"]) - 4 for node in texts]
    slope, start = np.polyfit(heights, [float(node.text) for node in texts], 1)
    for line, values in zip(lines, DRAWS, strict=True):
        last = float(line.rpartition(",")[2])
        assert slope * last + start == pytest.approx(np.median(values), abs=0.01)


def test_every_seed_is_a_dot_or_in_the_histogram():
    def drawn(values):
        row = charts.Row("name", np.array(values), "n")
        svg = read(charts.rows([row], scales.scale_of(np.array(values)), "x", "words"))
        return {node.attributes["class"]: node.attributes["d"] for node in svg.every("path")}

    dots = drawn([0.1, 0.2, 0.2, 0.2, 0.9])["dots"]
    assert dots.count("h0") == len(set(re.findall("M[^h]+", dots))) == 5
    bars = drawn([0.25] * 30 + [0.75] * 10)["histogram"]
    lengths = sorted(float(length) for length in re.findall(r"v([\d.]+)", bars))
    assert lengths == pytest.approx([17 / 3, 17], abs=0.1)


def test_what_diverged_is_worst_and_said():
    gone = {(0, seed) for seed in range(12)} | {(1, 0)}
    result = result_of(DRAWS, diverged=gone)
    spread = table_of(read(page_of(result)))
    assert spread_row(spread)[:6] == ["0", "20", "8", "diverged", "diverged", "diverged"]
    text = read(page_of(result)).text
    assert "13 of 60 lanes diverged" in text
    low, high = stats.share_interval(12, 20)
    assert f"0.6[{low:.4g}, {high:.4g}]15" in text
    assert "No lane diverged, of 60." in read(page_of(result_of(DRAWS))).text


def spread_row(cells):
    place = next(number for number, row in enumerate(cells) if "25 %" in row)
    return cells[place + 1]


def test_a_heat_map_colours_medians_by_rank():
    configs = [{"a": a, "b": b} for a in (1, 2) for b in (1, 2, 3)]
    values = np.array([[0.1], [0.2], [0.3], [0.4], [math.nan], [0.6]]) * np.ones(4)
    (map_,) = figures.heat_maps(metric_of(result_of(values, ("a", "b"), configs)))
    assert (map_.rows, map_.columns) == (["1", "2"], ["1", "2", "3"])
    assert [round(map_.cells[0, column][0], 2) for column in range(3)] == [0, 0.2, 0.4]
    assert map_.cells[1, 2] == (1.0, "0.6")
    assert map_.cells[1, 1][1] == "diverged (4 of 4 lost)"
    page = read(made.render(made.Page("t", (), [made.Section("s", [map_])])))
    shades = [node.attributes.get("class") for node in page.every("td")]
    assert shades == ["h0", "h1", "h2", "h4", None, "h6"]


def test_missing_lanes_are_named_by_seed(run, tmp_path):
    result, folder = run
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    (tmp_path / "blocks" / "0001.npz").unlink()
    partial = load(tmp_path)
    gone = {named(lane) for lane in result.lanes} - {named(lane) for lane in partial.lanes}
    page = read(partial.report().read_text())
    assert f"Partial: {len(partial.lanes)} of 20 lanes" in page.text
    assert f"{len(gone)} of 20 planned lanes are not there" in page.text
    (table,) = (cells for cells in map(table_of, page.every("table")) if "missing" in cells[0])
    told = {(float(row[0]), float(row[1])): row[2:] for row in table[1:]}
    assert told.keys() == {lane[:2] for lane in gone}
    for config, (planned, missing, seeds) in told.items():
        theirs = [lane[2] for lane in gone if lane[:2] == config]
        assert (planned, missing) == ("5", str(len(theirs)))
        assert seeds == losses.ranges(theirs)
    assert "None: all 60 planned lanes are there." in read(page_of(result_of(DRAWS))).text


def named(lane):
    return lane["rate"], lane["momentum"], lane["seed"]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    return trained(folder), folder


def trained(folder, **changes):
    """A small run of two blocks."""
    declared = dict(
        task=tasks.moons(20),
        model=models.mlp(2, (2,)),
        optimizer=lambda hp: optax.sgd(hp.rate, hp.momentum),
        sweep={"rate": [0.1, 0.2], "momentum": [0.1, 0.5]},
        seeds=5,
        steps=4,
        batch_size=4,
        lane_size=1,
    )
    return Study(**{**declared, **changes}).run(folder)


@pytest.mark.parametrize(
    "result",
    [
        result_of(np.zeros((0, 3)), configs=[]),
        result_of([[0.5]]),
        result_of([[0.5], [0.5]]),
        result_of(np.full((2, 4), math.nan)),
        result_of(np.full((2, 4), math.inf), name="test_loss"),
        result_of(np.full((3, 4), 1e30), name="test_loss"),
        result_of(DRAWS, diverged={(c, s) for c in range(3) for s in range(20)}),
        result_of(DRAWS, name="norm_mean"),
        result_of(DRAWS, planned=100),
        result_of(DRAWS, absent={"test_accuracy": set(range(20))}),
        result_of(DRAWS, absent={"test_accuracy": set(range(60))}),
        result_of(DRAWS[:2], configs=[{"rate": 1}, {"rate": 1.0}]),
        result_of(DRAWS[:2], configs=[{"rate": None}, {"rate": math.inf}]),
        result_of(np.zeros((1, 0)), configs=[{"rate": 1}]),
    ],
    ids=str,
)
def test_no_result_breaks_the_page(result):
    page = page_of(result)
    check_structure(read(page))
    # SVG takes no number that is none.
    paths = [node.attributes.get("d", "") for node in read(page).every("path")]
    assert not [path for path in paths if re.search("nan|inf", path)]


def test_the_first_metric_is_of_the_test_split_and_no_loss():
    names = ["train_loss", "norm_mean", "test_loss", "valid_accuracy", "test_error", "train_error"]
    result = result_of(DRAWS)
    result.history = dict.fromkeys(names, result.history["test_accuracy"])
    ordered = ["test_error", "test_loss", "valid_accuracy", "train_loss", "train_error"]
    assert measured.metrics_of(result) == [*ordered, "norm_mean"]
    assert report.asked(result) == "How does test_error depend on rate?"


# --- all pairs ---------------------------------------------------------------------------------


def test_the_sign_test_is_scipys():
    wins, lost = np.array([0, 1, 5, 9, 30, 512]), np.array([0, 0, 5, 1, 12, 488])
    expected = []
    for won, against in zip(wins.tolist(), lost.tolist(), strict=True):
        n = won + against
        expected.append(scipy.stats.binomtest(won, n, 0.5).pvalue if n else 1.0)
    assert np.allclose(pairs.sign_test(wins, lost), expected)


def test_holm_rejects_what_its_steps_reject():
    # Holm's paper goes step by step: the smallest against level / m, the next against level / (m-1)
    # and so on, up to the first that is not below.
    draws = np.random.default_rng(1)
    for _ in range(50):
        p = draws.uniform(0, 0.05, 6) ** draws.integers(1, 3)
        rejected = set()
        for step, place in enumerate(np.argsort(p).tolist()):
            if p[place] >= 0.05 / (6 - step):
                break
            rejected.add(place)
        assert set(np.flatnonzero(pairs.holm(p) < 0.05)) == rejected


def test_pairs_are_of_common_seeds_and_a_diverged_lane_loses():
    values = np.array([[3.0, 3, 3, 9], [1, 1, 3, 9], [2, 2, 2, 2]])
    diverged = np.zeros((3, 4), bool)
    diverged[0, 3] = True
    present = np.ones((3, 4), bool)
    present[2, :2] = False
    found = pairs.all_pairs(values, diverged, present, True)
    assert list(zip(found.a, found.b, strict=True)) == [(0, 1), (0, 2), (1, 2)]
    assert found.n.tolist() == [4, 2, 2]
    assert found.wins.tolist() == [2, 1, 2]  # at seed 2 both are alike
    assert found.losses.tolist() == [1, 1, 0]
    low = pairs.all_pairs(values, diverged, present, False)
    assert (low.wins.tolist(), low.losses.tolist()) == ([0, 0, 0], [3, 2, 2])


def test_the_table_of_pairs_says_what_compare_says():
    result = result_of(DRAWS + [[0], [0.3], [0.3]])
    cells = next(
        table for table in map(table_of, read(page_of(result)).every("table")) if table[0][0] == "a"
    )
    told = {(row[0], row[1]): row[2:] for row in cells[1:]}
    compared = result.compare("test_accuracy", {"rate": 0}, {"rate": 1})
    row = told["rate=0", "rate=1"]
    assert row[0] == "b is better"
    assert row[2].startswith(f"{compared.difference:.4g} [")
    assert row[3].startswith(f"{compared.improvement:.4g} [")
    assert told["rate=1", "rate=2"][0] == "not told apart"


def test_too_few_seeds_to_tell_anything_apart_are_named():
    few = "With 5 seeds no pair of 3 can be told apart"
    assert few in read(page_of(result_of(DRAWS[:, :5]))).text
    assert "can be told apart: that none" not in read(page_of(result_of(DRAWS))).text
    assert "With 5 seeds" in pages.answer(result_of(DRAWS[:, :5]))


# --- for everybody -----------------------------------------------------------------------------

HOSTILE = [
    "<script>alert(1)</script>",
    "\"'><img src=http://x onerror=alert(1)>",
    "a\x00b\ud800c&amp;",
]


def check_structure(page):
    """What a screen reader, a keyboard and a phone need."""
    (root,) = (node for node in page.inside if isinstance(node, Node))
    assert (root.name, root.attributes["lang"]) == ("html", "en")
    names = [node.attributes["id"] for node in page.every() if "id" in node.attributes]
    assert len(set(names)) == len(names)
    levels = [int(node.name[1]) for node in page.every() if re.fullmatch("h[1-6]", node.name)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))
    body = next(page.every("body"))
    skip = body.inside[0]
    assert skip.attributes["href"] == "#results"
    assert next(page.every("main")).attributes["id"] == "results"
    for link in page.every("a"):
        assert link.attributes["href"][0] != "#" or link.attributes["href"][1:] in names
    for node in page.every():
        assert node.name not in ("script", "link", "iframe", "object")
        assert not [name for name in node.attributes if name.startswith("on")]
        for name in ("src", "href"):
            assert (
                not node.attributes.get(name, "").lower().startswith(("http", "//", "javascript"))
            )
    for table in page.every("table"):
        assert table.inside[0].name == "caption"
        assert all(node.attributes["scope"] in ("col", "row") for node in table.every("th"))
    for box in page.every("div"):
        if box.attributes.get("class") == "scroll":
            assert box.attributes["tabindex"] == "0"
            assert box.attributes["aria-labelledby"] in names
    for drawing in page.every("svg"):
        if drawing.attributes.get("aria-hidden") != "true":
            assert drawing.attributes["role"] == "img"
            assert drawing.attributes["aria-label"]
    for figure in page.every("figure"):
        if next(figure.every("img"), None):
            assert next(figure.every("img")).attributes["alt"]
        else:
            assert next(next(figure.every("details")).every("table"))


def test_a_page_can_be_read_by_everybody_and_asks_nobody():
    result = result_of(DRAWS, diverged={(0, 1)})
    page = page_of(result)
    check_structure(read(page))
    assert "@import" not in page
    assert "url(" not in page
    (policy,) = (node for node in read(page).every("meta") if "http-equiv" in node.attributes)
    assert policy.attributes["content"].startswith("default-src 'none'")


def test_whatever_a_user_calls_things_is_text():
    configs = [{HOSTILE[0]: HOSTILE[1]}, {HOSTILE[0]: HOSTILE[2]}]
    result = result_of(DRAWS[:2], (HOSTILE[0],), configs, name=f"test_{HOSTILE[1]}")
    run = report.reported(HOSTILE[0], result)
    page = report.page([run, run], HOSTILE[1], command=HOSTILE[0])
    text = made.render(page)
    text.encode()  # a lone surrogate would have no bytes
    check_structure(read(text))
    assert not list(read(text).every("img"))
    assert HOSTILE[0] in read(text).text
    assert HOSTILE[1] in read(text).text
    assert "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}c&amp;" in read(text).text
    assert element("b", "x", title=HOSTILE[1]).count('"') == 2


def test_a_page_of_32_configs_and_1000_seeds_stays_below_2_megabytes():
    draws = np.random.default_rng(2)
    configs = [{"width": w, "rate": r / 10} for w in range(8) for r in range(4)]
    lanes = []
    for config in configs:
        for seed in range(1000):
            lanes.append({**config, "seed": seed, "status": "finished", "diverged_at": None})
    curves = draws.uniform(0, 1, (32_000, 60)).astype(np.float32)
    splits = [f"{split}_{name}" for split in ("train", "test") for name in ("loss", "accuracy")]
    recorded = [
        f"{name}_{part}" for name in ("batch_loss", "norm") for part in ("min", "mean", "max")
    ]
    history = dict.fromkeys([*splits, *recorded], curves)
    result = Result(
        lanes, history, np.arange(60), ("width", "rate"), metrics={"accuracy": True, "loss": False}
    )
    size = len(page_of(result).encode())
    assert size < 2_000_000


def luminance(colour):
    """Of sRGB, as WCAG 2 defines it."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def contrast(one, other):
    high, low = sorted([luminance(one), luminance(other)], reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("mode", [0, 1], ids=["light", "dark"])
def test_colours_have_the_contrast_of_wcag_aa(mode):
    style = (pathlib.Path(made.__file__).parent / "style.css").read_text()
    blocks = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    colours = dict(re.findall(r"--(\w+): (#\w{6})", blocks[mode]))
    for ink in ("ink", "soft", "link"):
        assert contrast(colours[ink], colours["page"]) >= 4.5
    for ground in ("box", "note"):
        assert contrast(colours["ink"], colours[ground]) >= 4.5
    for number in range(charts.STYLES):
        assert contrast(colours[f"s{number}"], colours["page"]) >= 3
    shades = re.findall(r"\.h\d \{ background: (#\w+); color: (#\w+); \}", style)
    assert len(shades) == 7
    assert min(contrast(*shade) for shade in shades) >= 4.5


def test_curves_of_one_panel_differ_in_more_than_colour():
    style = (pathlib.Path(made.__file__).parent / "style.css").read_text()
    lines = dict(re.findall(r"\.line\.s(\d) \{ stroke: [^;]+;(.*?)\}", style))
    assert len(lines) == len(set(lines.values())) == charts.STYLES


def test_axes_have_round_numbers_and_hold_all_values():
    scale = scales.scale_of(np.array([0.2, math.nan, 0.9, math.inf]))
    assert scale.low < 0.2
    assert scale.high > 0.9
    assert scale.ticks() == pytest.approx([0.2, 0.4, 0.6, 0.8])
    log = scales.scale_of(np.array([0.001, 10.0]), True)
    assert log.log
    assert log.share(np.array([0.001, 0.1, 10])).tolist() == pytest.approx([0, 0.5, 1])
    assert set(log.ticks()) <= {0.001, 0.01, 0.1, 1, 10}
    assert not scales.scale_of(np.array([0.0, 10.0]), True).log
    assert not scales.scale_of(np.array([0.1, 0.9]), True).log


# --- the command, and what is stored ------------------------------------------------------------


def test_the_command_writes_the_page_of_a_run(run, tmp_path, capsys):
    result, folder = run
    assert cli.main(["report", str(folder)]) == 0
    assert str(folder / "report.html") in capsys.readouterr().out
    page = read((folder / "report.html").read_text())
    check_structure(page)
    (name,) = (node.text for node in page.every("h1"))
    assert name == "How does test_accuracy depend on rate and momentum?"
    for metric in result.history:
        assert metric in page.text
    out = tmp_path / "made" / "both.html"
    assert cli.main(["report", str(folder), str(folder.parent), "--out", str(out)]) == 0
    assert out.exists()
    assert result.report(tmp_path / "own.html", "What?").read_text().count("<h1>What?</h1>") == 1


def test_several_runs_are_one_page(run, tmp_path):
    for name in ("one", "two"):
        shutil.copytree(run[1], tmp_path / name)
    assert cli.main(["report", str(tmp_path), "--title", "One & all"]) == 0
    page = read((tmp_path / "report.html").read_text())
    check_structure(page)
    headings = [node.text for node in page.every("h2")]
    assert headings == [str(tmp_path / "one"), str(tmp_path / "two")]
    assert next(page.every("h1")).text == "One & all"


def test_a_browser_is_asked_or_said_to_be_missing(run, capsys, monkeypatch):
    _, folder = run
    asked = []
    monkeypatch.setattr(webbrowser, "open", asked.append)
    assert cli.main(["report", str(folder), "--open"]) == 0
    assert asked == [(folder / "report.html").resolve().as_uri()]
    assert "no web browser was found" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report"], "the following arguments are required: RUN"),
        (["report", "nowhere"], "path must be a run folder, got nowhere"),
        (["report", "RUN", "nowhere"], "path must be a run folder, got nowhere"),
    ],
)
def test_bad_input_is_one_line_and_no_page(run, tmp_path, arguments, message, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = [word.replace("RUN", str(run[1])) for word in arguments]
    try:
        code = cli.main([*words, "--out", "page.html"])
    except SystemExit as end:
        code = end.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not list(tmp_path.iterdir())


def test_a_result_in_memory_needs_a_path(tmp_path):
    result = result_of(DRAWS)
    with pytest.raises(ValueError, match="path must be given for a result that has no run folder"):
        result.report()
    assert "In memory" in result.report(tmp_path / "page.html").read_text()


def test_a_run_says_which_command_and_machine_trained_it(tmp_path, monkeypatch):
    monkeypatch.setattr("sys.orig_argv", ["/usr/bin/python3", "my study.py", "--rate", "<1>"])
    trained(tmp_path)
    (session,) = store.read_sessions(tmp_path)
    assert session["command"] == "python3 'my study.py' --rate '<1>'"
    assert session["machine"]["cores"] >= 1
    assert {"python", "jax", "jaxlib", "numpy"} <= session["versions"].keys()
    text = read(load(tmp_path).report().read_text()).text
    assert session["command"] in text
    assert session["versions"]["jax"] in text
    assert session["machine"]["system"] in text
    # What is finished is not trained again; what grows is, by another command.
    monkeypatch.setattr("sys.orig_argv", ["python", "-m", "other"])
    before = (tmp_path / "manifest.json").read_bytes()
    trained(tmp_path)
    assert len(store.read_sessions(tmp_path)) == 1
    assert (tmp_path / "manifest.json").read_bytes() == before
    trained(tmp_path, seeds=6)
    assert [each["command"] for each in store.read_sessions(tmp_path)][1:] == ["python -m other"]
    assert "The commands that made this run" in read(load(tmp_path).report().read_text()).text


@pytest.mark.parametrize("content", [None, "", "no JSON\n[1]\n{}\n", '{"machine": "<b>"}\n'])
def test_a_run_without_its_sessions_is_read(run, tmp_path, content):
    _, folder = run
    for name in ("manifest.json", "events.jsonl"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    if content is not None:
        (tmp_path / "sessions.jsonl").write_text(content)
    page = read(load(tmp_path).report().read_text())
    check_structure(page)
    assert "No command is stored" in page.text


# --- experiments -------------------------------------------------------------------------------


def test_an_experiment_writes_its_page_and_what_the_gallery_reads(run, tmp_path):
    result, _ = run
    (tmp_path / "figures").mkdir()
    from PIL import Image

    Image.new("RGB", (4, 4)).save(tmp_path / "figures" / "one_figure.png")
    (tmp_path / "figures" / "z.png").write_bytes(b"0" * 3_000_000)
    table = Table("R1 <b>", ("rate", "n", "R1 (pct)"), ((0.1, 3, "0.9 (50)"),))
    texts = ["5 < 6", "And more."]
    path = pages.write(tmp_path, "Why?", "python x", {"": result}, [table], texts, False)
    page = read(path.read_text())
    check_structure(page)
    assert path.stat().st_size < 2_000_000
    text = page.text
    for words in ("Why?", "python x", "5 < 6", "R1 <b>", "0.9 (50)"):
        assert words in text
    (image,) = page.every("img")
    assert image.attributes["src"].startswith("data:image/png;base64,")
    assert "figures/z.png" in [link.attributes["href"] for link in page.every("a")]
    pages.keep(tmp_path, "batch_size", "Why?", "python x", {"": result}, texts, False)
    kept = json.loads((tmp_path / "findings.json").read_text())
    assert kept["lanes"] == 20
    assert kept["found"] == texts
    median = np.median(DRAWS, axis=1).max()
    assert f"to {median:.4g} [" in pages.answer(result_of(DRAWS))
    assert "0.5 in all 3 configs (n=4)" in pages.answer(result_of(np.full((3, 4), 0.5)))
    assert "0.5 (too few seeds for an interval) (all lanes, n=1)" in pages.answer(
        result_of([[0.5]])
    )


def entry_of(folder, experiment, **changes):
    folder.mkdir(parents=True)
    entry = {
        "experiment": experiment,
        "question": "Why?",
        "command": f"python -m experiments {experiment}",
        "quick": False,
        "lanes": 10,
        "seconds": 100.0,
        "answer": "0.5 [0.4, 0.6]",
        "found": [],
    }
    (folder / "findings.json").write_text(json.dumps({**entry, **changes}))


def test_the_gallery_shows_what_was_run_and_names_what_was_not(tmp_path):
    runs = tmp_path / "runs"
    entry_of(runs / "a", "batch_size", quick=True, lanes=1000, answer="quick answer")
    entry_of(runs / "b", "batch_size", found=["<b>Found</b> " + "word. " * 300])
    entry_of(runs / "c", "xor_grid", quick=True, answer="doubtful")
    line = gallery.gallery(runs)
    known = experiments()
    assert f"2 of {len(known)} experiments" in line
    page = read((runs / "gallery.html").read_text())
    check_structure(page)
    text = page.text
    assert "0.5 [0.4, 0.6]" in text
    assert "<b>Found</b> word." in text
    assert "quick answer" not in text
    assert text.count("A quick run shows that it works") == 1
    assert text.count("Not run here.") == len(known) - 2
    assert len(list(page.every("h2"))) == len(known)
