"""How the library is built: imports go one way, arguments have one order, nothing happens at import."""

import ast
import inspect
import pathlib
import subprocess
import sys

import pytest

from jaxdl import batches, losses, make_train, models, tasks, types

ROOT = pathlib.Path(types.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Each module imports only modules above it; a new module is put where it belongs.
ORDER = (
    "checks",
    "types",
    "hp",
    "sampling",
    "layers",
    "cells",
    "losses",
    "data",
    "models",
    "tasks",
    "batches",
    "train",
    "spec",
    "intervals",
    "stats",
    "tables",
    "background",
    "cost",
    "memo",
    "program",
    "abstract",
    "shapes",
    "plan",
    "compiler",
    "engine",
    "tune",
    "store",
    "plots",
    "identity",
    "manifest",
    "progress",
    "result",
    "shards",
    "blocks",
    "study",
    "testing",
    "cli",
    "__main__",
    "__init__",
)


def name_of(path: pathlib.Path) -> str:
    """A file's module below jaxdl; the modules of a package count as the package."""
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported(tree: ast.Module) -> set[str]:
    """The modules of jaxdl that are imported anywhere in a file."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name.split(".") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names = [[*node.module.split("."), alias.name] for alias in node.names]
        else:
            continue
        found |= {parts[1] if parts[1:] else "__init__" for parts in names if parts[0] == "jaxdl"}
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_only_those_above_it(path):
    assert name_of(path) in ORDER, "a new module must be put in ORDER"
    in_package = path.parent != ROOT
    above = ORDER[: ORDER.index(name_of(path)) + in_package]
    wrong = imported(ast.parse(path.read_text())) - set(above)
    assert not wrong


def test_every_name_in_the_order_is_a_module():
    assert set(ORDER) == {name_of(path) for path in FILES}


def arguments(function) -> str:
    """A signature without annotations and defaults, such as ``(a, *, b)``."""
    parameters = inspect.signature(function).parameters.values()
    plain = [p.replace(annotation=p.empty, default=p.empty) for p in parameters]
    return str(inspect.Signature(plain))


@pytest.mark.parametrize("model", [models.mlp(2), models.perceptron()], ids=["mlp", "perceptron"])
def test_models_take_params_state_x(model):
    assert arguments(model.init) == "(key)"
    assert arguments(model.apply) == "(params, state, x, *, key, train)"


def test_tasks_and_training_take_their_arguments_in_order():
    assert arguments(batches.draw_batch).startswith("(dataset, key, step, batch_size")
    assert arguments(tasks.moons(10).data) == arguments(tasks.gaussians().data) == "(key)"
    assert arguments(make_train(tasks.moons(10), models.mlp(2), None, steps=1)) == "(key, dataset)"
    assert arguments(make_train).startswith("(task, model, optimizer, *, ")


@pytest.mark.parametrize(
    "function",
    [
        losses.cross_entropy,
        losses.binary_cross_entropy,
        losses.squared_error,
        losses.accuracy,
        losses.binary_accuracy,
        losses.rounded_accuracy,
    ],
)
def test_losses_and_metrics_take_outputs_and_targets(function):
    assert arguments(function) == "(outputs, targets)"


def test_the_contracts_have_their_fields():
    assert types.Model._fields == ("init", "apply")
    assert types.Metric._fields == ("function", "higher_is_better")
    assert types.Task._fields == ("data", "loss", "metrics", "augment", "prepare", "batch")
    assert types.Dataset._fields == ("train_x", "train_targets", "test_x", "test_targets", "valid_x", "valid_targets")


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_names_are_documented_and_nothing_prints(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    public = list(tree.body)
    public += [member for node in tree.body if isinstance(node, ast.ClassDef) and node.name[0] != "_" for member in node.body]
    bare = [
        node.name
        for node in public
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name[0] != "_" and not ast.get_docstring(node)
    ]
    assert not bare
    if name_of(path) not in ("progress", "cli"):  # stderr's one place, and the command line
        assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Name) and node.id == "print"]


def test_importing_does_no_work():
    code = """
import pkgutil, sys, warnings
warnings.simplefilter("error")
import jaxdl
for module in pkgutil.walk_packages(jaxdl.__path__, "jaxdl."):
    __import__(module.name)
assert "jax" in sys.modules
from jax._src import xla_bridge
assert not xla_bridge._backends, "a backend was started"
assert "matplotlib.pyplot" not in sys.modules, "a figure window may open"
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")
