"""The notebooks of the site: short, run from top to bottom, stored with what they show."""

import pathlib

import nbformat
import pytest

from docs.run_notebooks import without_bars

FOLDER = pathlib.Path(__file__).parent.parent / "docs" / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
MOST_LINES = 40  # of code; blank lines do not count
MOST_BYTES = 300_000

each_notebook = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def code_of(notebook):
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def kinds(cell):
    """What a cell's outputs are, each once: "text/html", "image/png", "stderr"..."""
    found = []
    for output in cell.outputs:
        found += list(output.get("data", {})) or [output.get("name", output.output_type)]
    return sorted(set(found))


def check_shown(cells):
    """Cells have run in order, without an error or a warning; pictures and tables are among what
    they show."""
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    shown = [kind for cell in cells for kind in kinds(cell)]
    assert not {"error", "stderr", "stdout"} & set(shown)
    assert {"image/png", "text/html"} <= set(shown)
    for cell in cells:
        if ".suptitle(" in cell.source:
            assert "image/png" in kinds(cell)


def test_there_are_five():
    assert len(NOTEBOOKS) == 5


@each_notebook
def test_a_notebook_is_short_and_small(path):
    cells = code_of(nbformat.read(path, as_version=4))
    lines = [line for cell in cells for line in cell.source.splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    assert path.stat().st_size <= MOST_BYTES


@each_notebook
def test_a_notebook_is_valid_and_stored_with_what_it_shows(path):
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    check_shown(code_of(notebook))
    assert notebook.cells[0].source.startswith("# ")


@pytest.mark.outside
@each_notebook
def test_a_notebook_runs_in_a_kernel(path, tmp_path):
    import nbclient

    notebook = nbformat.read(path, as_version=4)
    stored = [kinds(cell) for cell in code_of(notebook)]
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=600, resources=resources).execute()
    check_shown(code_of(notebook))
    assert [kinds(cell) for cell in code_of(without_bars(notebook))] == stored
