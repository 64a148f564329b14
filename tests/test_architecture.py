"""How the library is built: imports go one way, arguments have one order, nothing happens at
import."""

import ast
import inspect
import pathlib
import subprocess
import sys

import optax
import pytest

from jaxdl import batches, losses, make_train, models, tasks, types

ROOT = pathlib.Path(types.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))

# Rooms, each of which imports only those before it; what stands in the root folder under no name of
# its own is the vocabulary.
ROOMS = (
    "reporting",
    "vocabulary",
    "planning",
    "running",
    "pages",
    "result",
    "study",
    "testing",
    "cli",
    "__main__",
    "__init__",
)


def room_of(parts: tuple[str, ...]) -> str:
    """The room of a module below jaxdl, by its folder: ("planning", "spec") is in planning."""
    return parts[0] if parts[0] in ROOMS else "vocabulary"


def imported(tree: ast.Module) -> set[tuple[str, ...]]:
    """The modules of jaxdl that are imported anywhere in a file, each as its path below jaxdl."""
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    paths = [tuple(name.split(".")) for name in names]
    return {path[1:] or ("__init__",) for path in paths if path[0] == "jaxdl"}


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_imports_only_those_before_it(path):
    room = room_of(path.relative_to(ROOT).with_suffix("").parts)
    before = ROOMS[: ROOMS.index(room) + 1]
    theirs = {room_of(parts) for parts in imported(ast.parse(path.read_text()))}
    assert theirs <= set(before)
    assert room != "reporting" or theirs <= {"reporting"}


def test_the_front_door_is_small():
    assert len(list(ROOT.glob("*.py"))) <= 18


def test_no_module_imports_itself_by_a_detour():
    arrows = {}
    for path in FILES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        targets = imported(ast.parse(path.read_text()))
        arrows[parts] = {other for other in arrows_from(targets) if other != parts}
    while arrows:
        free = [name for name, targets in arrows.items() if not targets & arrows.keys()]
        assert free, f"a circle among {sorted(map('.'.join, arrows))}"
        for name in free:
            del arrows[name]


def arrows_from(targets: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """The files that imported names stand in: a name may be that of a module or of something in
    it."""
    files = {path.relative_to(ROOT).with_suffix("").parts for path in FILES}
    return {parts[:length] for parts in targets for length in range(1, len(parts) + 1)} & files


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
    assert (
        arguments(make_train(tasks.moons(10), models.mlp(2), optax.sgd(0.1), steps=1))
        == "(key, dataset)"
    )
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
    parts = ("data", "loss", "metrics", "augment", "prepare", "batch", "classes")
    assert types.Task._fields == parts
    assert types.Dataset._fields == (
        "train_x",
        "train_targets",
        "test_x",
        "test_targets",
        "valid_x",
        "valid_targets",
        "weights",
    )


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_public_names_are_documented_and_nothing_prints(path):
    tree = ast.parse(path.read_text())
    assert ast.get_docstring(tree)
    public = list(tree.body)
    public += [
        member
        for node in tree.body
        if isinstance(node, ast.ClassDef) and node.name[0] != "_"
        for member in node.body
    ]
    bare = [
        node.name
        for node in public
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
        and node.name[0] != "_"
        and not ast.get_docstring(node)
    ]
    assert not bare
    if path.stem not in ("progress", "cli"):  # stderr's one place, and the command line
        assert not [
            node.lineno
            for node in ast.walk(tree)
            if isinstance(node, ast.Name) and node.id == "print"
        ]


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
