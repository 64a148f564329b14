"""In a notebook: tables and figures are seen, user's text is escaped, a bar shows progress."""

import io
import pathlib
import re
import sys

import nbformat
import numpy as np
import optax
import pytest

from jaxdl import Result, Study, models, tasks
from jaxdl.reporting.tables import Table
from jaxdl.running import progress as showing

ROOT = pathlib.Path(__file__).parent.parent
ODD = "<script>alert('&')</script>"
KEPT = "&lt;script&gt;alert(&#x27;&amp;&#x27;)&lt;/script&gt;"


@pytest.fixture(scope="module")
def study():
    return Study(
        tasks.moons(40),
        lambda hp: models.mlp(2, (3,), activation=hp.activation),
        optax.sgd(0.1),
        sweep={"activation": ["tanh", "relu"]},
        seeds=2,
        steps=2,
    )


def odd(planned=None):
    lanes = [
        {"name": name, "seed": seed, "status": "finished", "diverged_at": None}
        for name in (ODD, "b")
        for seed in range(6)
    ]
    values = np.arange(12, dtype=np.float32)[:, None]
    history = {"test_accuracy": values, "test_loss": -values}
    metrics = {"accuracy": True, "loss": False}
    return Result(lanes, history, np.array([0]), ["name"], planned=planned, metrics=metrics)


def test_what_is_shown_is_a_table_and_escaped():
    result = odd(planned=15)
    table = result.table("test_accuracy")
    shown = [result, table, result.compare("test_loss", {"name": ODD}, {"name": "b"})]
    shown.append(Table(ODD, (ODD,), ((ODD,),), ODD))
    for each in shown:
        html = each._repr_html_()
        assert html.count("<table>") == html.count("</table>") == 1
        assert "<script>" not in html
    assert KEPT in result._repr_html_()
    assert shown[-1]._repr_html_().count(KEPT) == 4
    best = Result(
        result.lanes,
        {"valid_loss": -result["test_loss"]},
        np.array([0]),
        ["name"],
        metrics={"loss": False},
    ).best("valid_loss")
    assert KEPT in best._repr_html_()
    # The last metric of the test split, and how partial the result is, stand in sight.
    assert "test_accuracy at the last evaluation" in result._repr_html_()
    assert "12 of 15 lanes" in result._repr_html_()


def test_a_table_in_html_holds_what_its_text_does():
    table = odd().table("test_accuracy")
    html = table._repr_html_()
    cells = re.findall(r"<td>(.*?)</td>", html)
    assert len(cells) == 2 * len(table.columns)
    for value in ("3.5", "6", "2.5"):
        assert (value in cells) == (value in str(table).split())
    compared = odd().compare("test_loss", {"name": "b"}, {"name": ODD})
    assert f"<td>{compared.difference:.4g}</td>" in compared._repr_html_()
    assert "n too small" in compared._repr_html_()


def test_a_result_of_nothing_and_of_very_much():
    empty = Result([], {"test_loss": np.ones((0, 1), np.float32)}, np.array([0]), ["a"], planned=3)
    assert "0 of 3 lanes" in empty._repr_html_()
    lanes = [{"a": a, "seed": 0, "status": "finished", "diverged_at": None} for a in range(70)]
    values = np.zeros((70, 1), np.float32)
    many = Result(lanes, {"loss": values}, np.array([0]), ["a"], metrics={"loss": False})
    html = many._repr_html_()
    assert html.count("<tr>") == 51
    assert "and 20 more configs: result.table(&#x27;loss&#x27;)" in html
    assert str(many.table("loss")).count("\n") > 70


def test_a_study_and_a_plan_say_what_they_are(study):
    html = study._repr_html_()
    assert "Study(2 configs x 2 seeds; activation): 4 lanes" in html
    assert "<td>tanh, relu</td>" in html
    plan = study.plan()
    assert plan._repr_html_().count("<table>") == 1
    assert "activation: static" in plan._repr_html_()
    for line in str(plan).splitlines()[-1:]:
        assert line.strip() in plan._repr_html_()


class Stderr(io.StringIO):
    def __init__(self, is_terminal):
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self):
        return self.is_terminal


@pytest.mark.parametrize(
    ("visible", "is_terminal", "kind"),
    [
        (None, False, showing.Progress),
        (None, True, showing._Live),
        (False, True, showing.Progress),
        (True, False, showing._Plain),
        (True, True, showing._Live),
    ],
)
def test_progress_is_shown_where_a_person_is(visible, is_terminal, kind, monkeypatch):
    monkeypatch.setattr(sys, "stderr", Stderr(is_terminal))
    with showing.progress(visible, 1) as line:
        assert type(line) is kind


def test_a_run_is_silent_where_nobody_looks(study, capsys):
    study.run()
    assert capsys.readouterr() == ("", "")


def test_ipython_without_a_kernel_is_no_notebook():
    import IPython

    assert IPython.get_ipython() is None
    assert not showing.in_notebook()


# --- a real kernel -------------------------------------------------------------------------------


def blocks_of(path):
    """The blocks of Python in a page."""
    return re.findall(r"```python\n(.*?)```", (ROOT / path).read_text(), re.DOTALL)


def executed(cells, folder):
    """The cells after they have run in a kernel, in a folder."""
    import nbclient

    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    resources = {"metadata": {"path": str(folder)}}
    nbclient.NotebookClient(notebook, timeout=300, resources=resources).execute()
    return notebook.cells


def kinds(cell):
    """What a cell's outputs are: "text/html", "image/png", "stderr"..."""
    found = []
    for output in cell.outputs:
        found += list(output.get("data", {})) or [output.get("name")]
    return found


@pytest.mark.outside
def test_the_tutorial_runs_in_a_notebook(tmp_path):
    cells = executed(blocks_of("docs/results.md"), tmp_path)
    assert len(cells) >= 12
    for cell in cells:
        last = cell.source.strip().splitlines()[-1]
        assert "stderr" not in kinds(cell), cell.outputs
        assert cell.outputs, last
        assert ("image/png" in kinds(cell)) == (".plot(" in last)
    shown = {cell.source.strip().splitlines()[-1] for cell in cells if "text/html" in kinds(cell)}
    assert {"study", "result", 'result.table("test_accuracy")'} <= shown
    (run,) = [cell for cell in cells if "study.run()" in cell.source]
    bars = [output for output in run.outputs if output.output_type == "display_data"]
    assert len(bars) == 2  # of planning and of training, each drawn anew in its place
    assert "100%" in bars[-1].data["text/plain"]


@pytest.mark.outside
def test_the_readme_runs_in_a_notebook(tmp_path):
    example = blocks_of("README.md")[0]
    for was, small in (
        ("seeds=100", "seeds=4"),
        ("steps=1500", "steps=12"),
        ("eval_every=50", "eval_every=6"),
    ):
        assert example.count(was) == 1
        example = example.replace(was, small)
    looked_at = [
        "study",
        "study.plan()",
        "result",
        "again.table('test_accuracy')",
        "result.compare('test_accuracy', small, large)",
        "result.best('valid_accuracy')",
        "result.plot('test_accuracy')",
    ]
    cells = executed([example, *looked_at], tmp_path)
    assert "stderr" not in kinds(cells[0])
    for cell in cells[1:]:
        assert "text/html" in kinds(cell) or ".plot" in cell.source
    assert "image/png" in kinds(cells[-1])
