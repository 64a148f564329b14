"""The pages: their code runs, their links lead somewhere, their commands exist, nothing is missing."""

import pathlib
import re

import pytest

from experiments.options import experiments

pytestmark = pytest.mark.full  # what users run
ROOT = pathlib.Path(__file__).parent.parent
PAGES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *PAGES]
TEXTS += [ROOT / folder / "README.md" for folder in ("experiments", "benchmarks")]
SMALL = {  # by page: what is made small, each exactly once
    "README.md": {
        "seeds=100": "seeds=6",
        "steps=1500": "steps=12",
        "eval_every=50": "eval_every=6",
    },
    "your-own.md": {"steps=1500,\n    batch": "steps=6,\n    batch"},
}


def blocks_of(path: pathlib.Path) -> list[str]:
    return re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL)


def name_of(path: pathlib.Path) -> str:
    return path.relative_to(ROOT).as_posix()


# The first page is the README's example; results.md runs in a kernel, in tests/test_notebook.py;
# what needs other packages in tests/test_hooks.py and tests/test_equinox.py.
ELSEWHERE = ("index.md", "results.md", "hooks.md", "keras.md")
WITH_CODE = [ROOT / "README.md"]
WITH_CODE += [path for path in PAGES if blocks_of(path) and path.name not in ELSEWHERE]


@pytest.mark.parametrize("path", WITH_CODE, ids=name_of)
def test_the_code_of_a_page_runs_from_top_to_bottom(path, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code = "\n".join(blocks_of(path))
    for was, small in SMALL.get(path.name, {}).items():
        assert code.count(was) == 1, was
        code = code.replace(was, small)
    exec(compile(code, str(path), "exec"), {"__name__": path.stem})
    if path.name == "README.md":
        assert (tmp_path / "runs" / "first" / "manifest.json").exists()
        assert (tmp_path / "runs" / "first" / "curves.png").stat().st_size > 10_000


def test_the_first_page_shows_what_the_readme_shows():
    assert blocks_of(ROOT / "docs" / "index.md") == blocks_of(ROOT / "README.md")
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_links_and_figures_lead_somewhere(path):
    prose = re.sub(r"```.*?```", "", path.read_text(), flags=re.DOTALL)
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", prose)
    broken = [link for link in links if "://" not in link and not (path.parent / link).exists()]
    assert not broken
    for included in re.findall(r'^--8<-- "(.*)"$', prose, re.MULTILINE):
        assert (ROOT / included).exists()


@pytest.mark.parametrize("path", TEXTS, ids=name_of)
def test_commands_exist(path):
    text = path.read_text()
    for package, name in re.findall(r"python -m (experiments|benchmarks) ([a-z0-9_]+)", text):
        if name not in ("all", "compare", "gallery", "gpu", "tpu"):
            assert (ROOT / package / f"{name}.py").exists(), name
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for target in re.findall(r"^make ([a-z-]+)|`make ([a-z-]+)", text, re.MULTILINE):
        assert "".join(target) in targets


def test_every_page_is_in_the_site_and_every_experiment_on_its_page():
    site = (ROOT / "mkdocs.yml").read_text()
    listed = re.findall(r"^ +- .*: (\S+\.md)$", site, re.MULTILINE)
    # A notebook's page is made of it, under its name.
    notebooks = [f"notebooks/{path.stem}.md" for path in (ROOT / "docs/notebooks").glob("*.ipynb")]
    assert sorted(listed) == sorted([path.name for path in PAGES] + notebooks)
    text = (ROOT / "docs" / "experiments.md").read_text()
    for name in experiments():
        assert f"`python -m experiments {name}`" in text or f"`{name}` - " in text, name


def test_contributing_names_every_file_of_the_library():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    (tree,) = re.findall(r"## What is where\n+```\n(.*?)```", text, re.DOTALL)
    # what stands before the words on a line: "  checks.py parts.py      bad input, in one line each"
    columns = [re.split(r"\s{2,}", line.strip())[0] for line in tree.splitlines()]
    listed = re.findall(r"[a-z_]+/|[a-z_0-9]+\.py", " ".join(columns))
    assert len(listed) > 40
    files = [path for path in ROOT.rglob("*.py") if ".venv" not in str(path)]
    known = {path.name for path in files} | {f"{path.parent.name}/" for path in files}
    assert not set(listed) - known
    library = {path.name for path in (ROOT / "jaxdl").glob("*.py")}
    assert not library - {"__init__.py", "__main__.py"} - set(listed)
