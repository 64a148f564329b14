"""Runs notebooks anew, each in a kernel, and stores what their cells show: `make notebooks`.

Bars of progress are left out: how long one machine took is no result.
"""

import pathlib
import tempfile

import nbformat
from nbclient import NotebookClient

FOLDER = pathlib.Path(__file__).parent / "notebooks"


def run(path: pathlib.Path):
    """Runs a notebook in an empty folder, and writes it with its outputs.

    Raises:
      CellExecutionError: a cell that fails; the notebook stays as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    with tempfile.TemporaryDirectory() as folder:
        resources = {"metadata": {"path": folder}}
        NotebookClient(notebook, record_timing=False, resources=resources).execute()
    nbformat.write(without_bars(notebook), path)


def without_bars(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """The notebook with the results of its cells alone; a bar is displayed on the way there."""
    for cell in notebook.cells:
        if cell.cell_type == "code":
            outputs = [each for each in cell.outputs if each.output_type != "display_data"]
            cell.outputs = outputs
    return notebook


if __name__ == "__main__":
    for path in sorted(FOLDER.glob("*.ipynb")):
        print(path.name, flush=True)
        run(path)
