"""What a wheel holds, and the names that a user may rely on."""

import importlib
import inspect
import pathlib
import re
import tomllib

import pytest

import jaxdl

ROOT = pathlib.Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_a_wheel_holds_every_file_that_is_no_code():
    patterns = PROJECT["tool"]["setuptools"]["package-data"]["jaxdl"]
    package = ROOT / "jaxdl"
    packed = {path for pattern in patterns for path in package.glob(pattern)}
    others = {
        path
        for path in package.rglob("*")
        if path.is_file() and path.suffix != ".py" and "__pycache__" not in path.parts
    }
    assert {"py.typed", "style.css"} <= {path.name for path in others}
    assert others == packed
    # A folder without it is no package, and its modules would be left out.
    for path in package.rglob("*.py"):
        assert (path.parent / "__init__.py").exists(), path


def test_the_package_names_the_pythons_and_the_licence():
    project = PROJECT["project"]
    assert project["requires-python"] == ">=3.11"
    assert "Typing :: Typed" in project["classifiers"]
    assert not [each for each in project["classifiers"] if each.startswith("License")]
    assert re.fullmatch(r"\d+\.\d+\.\d+", jaxdl.__version__)


@pytest.mark.parametrize("name", jaxdl.__all__)
def test_a_public_name_is_there_and_documented(name):
    there = getattr(jaxdl, name)
    assert inspect.getdoc(there)
    if inspect.ismodule(there) and hasattr(there, "__all__"):
        for each in there.__all__:
            assert hasattr(there, each), f"{name}.{each}"


def test_public_modules_list_their_names():
    modules = [each for each in map(jaxdl.__getattr__, jaxdl.__all__) if inspect.ismodule(each)]
    assert jaxdl.losses in modules
    deeper = [importlib.import_module(f"jaxdl.{name}") for name in ("layers", "sampling", "types")]
    for module in [*modules, *deeper]:
        assert module.__all__, module.__name__


def test_the_citation_and_the_lowest_versions_are_those_of_the_package():
    citation = (ROOT / "CITATION.cff").read_text()
    assert f"version: {jaxdl.__version__}" in citation.splitlines()
    # What is tried as the lowest is what the package allows.
    lowest = dict(
        re.findall(r"^(\S+)==(\S+)$", (ROOT / ".ci/lowest.txt").read_text(), re.MULTILINE)
    )
    assert len(lowest) > 8
    allowed = dict(each.split(">=") for each in PROJECT["project"]["dependencies"])
    for name, version in lowest.items():
        assert version.startswith(allowed[name]), name
