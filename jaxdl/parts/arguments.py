"""What users hand in as task, model and optimizer: the thing itself, or a function of hp."""

import functools
from typing import Any, NamedTuple

from jaxdl.checks import brief, function_of
from jaxdl.parts.returned import dataset_of
from jaxdl.types import Dataset, Model, SplitMetric, Task, check_metrics


class Part(NamedTuple):
    """What an argument must be, and what to write where it is something else."""

    wanted: str
    example: str


PARTS = {
    "task": Part("a Task", "task=tasks.moons(), or tasks.from_arrays(X, y)"),
    "model": Part("a Model", "model=models.mlp(2, outputs=2), or types.Model(init, apply)"),
    "optimizer": Part("an optax optimizer", "optimizer=lambda hp: optax.adam(hp.learning_rate)"),
}
OWN_PAIR = "model=types.Model(init, apply), with init(key) -> (params, state) around it"
FRAMEWORKS = {
    "flax": "model=models.from_flax(module, sample_x)",
    "equinox": "model=models.from_equinox(module)",
    "haiku": OWN_PAIR,
    "torch": OWN_PAIR,
    "keras": OWN_PAIR,
}
APPLY = "(params, state, x, *, key=None, train=False) -> (outputs, state)"
OPTIONAL = {  # a task's other functions: what each is called with, and with how many
    "augment": ("(key, x, targets) -> (x, targets)", 3),
    "prepare": ("(x) -> x", 1),
    "batch": ("(dataset, key, step, batch_size) -> (x, targets, weight)", 4),
}
VALUES = "(outputs, targets) -> (batch,)"
TAKEN = "(outputs, targets) -> arrays (..., batch)"
FINISH = "(taken, weight) -> scalar"


def is_built(name: str, thing: Any) -> bool:
    """Tells whether an argument is the thing itself, and no function of hp that makes it."""
    if name == "optimizer":
        # by what it can do, not by its class: other libraries' optimizers have the same two
        has_both = all(callable(getattr(thing, part, None)) for part in ("init", "update"))
        return has_both and not isinstance(thing, type)
    return isinstance(thing, Task if name == "task" else Model)


def check_part(name: str, thing: Any, functions: bool = True):
    """Refuses a task, model or optimizer that is neither built nor a function of hp.

    Args:
      name: ``"task"``, ``"model"`` or ``"optimizer"``.
      functions: whether a function of hp will do.

    Raises:
      ValueError: a line that says what to write.
    """
    if is_built(name, thing):
        return _check_fields(name, thing)
    wanted = PARTS[name].wanted
    if not functions:
        raise ValueError(f"{name} must be {wanted}, got {brief(thing)}: {_remedy(name, thing)}")
    if _is_unbuilt(thing) or not callable(thing):
        given = f"{brief(thing)}: {_remedy(name, thing)}"
        allowed = f"{wanted}, or a function of hp that returns one"
        raise ValueError(f"{name} must be {allowed}, got {given}")
    function_of(name, thing, f"of hp alone that returns {wanted}", None)


def resolve(name: str, thing: Any, hp: Any) -> Any:
    """Returns the task, model or optimizer of a config.

    Args:
      name: which of them.
      thing: the value, or a function of hp.
      hp: the config's hyper-parameters.

    Raises:
      ValueError: the function returns something else.
    """
    if is_built(name, thing):
        return thing
    built = thing(hp)
    if not is_built(name, built):
        remedy = "is a return missing?" if built is None else _remedy(name, built)
        given = f"one that returns {brief(built)}: {remedy}"
        wanted = PARTS[name].wanted
        raise ValueError(f"{name} must be a function of hp that returns {wanted}, got {given}")
    _check_fields(name, built)
    return built


def _check_fields(name: str, thing):
    """Refuses a task or model whose fields are not what they are called."""
    if name == "model":
        function_of("model.init", thing.init, "(key) -> (params, state)", None)
        function_of("model.apply", thing.apply, APPLY, None, None, None, key=None, train=False)
    elif name == "task":
        _check_task(thing)


def _check_task(task: Task):
    if callable(task.data):
        function_of("task.data", task.data, "(key) -> Dataset", None)
    else:
        dataset_of(task.data)
    function_of("task.loss", task.loss, VALUES, None, None)
    check_metrics(task.metrics)
    for name, metric in task.metrics.items():
        signature = TAKEN if isinstance(metric, SplitMetric) else VALUES
        function_of(f"metric {name!r}", metric.function, signature, None, None)
        if isinstance(metric, SplitMetric):
            function_of(f"finish of metric {name!r}", metric.finish, FINISH, None, None)
    for field, (signature, count) in OPTIONAL.items():
        function = getattr(task, field)
        if function is not None:
            function_of(f"task.{field}", function, signature, *[None] * count)


def _is_unbuilt(thing) -> bool:
    """Tells whether something callable is what a function of hp would call, and none itself."""
    # `model=models.mlp` is such a slip: it would be called with hp as the number of inputs
    home = _home(thing)
    is_ours = home.startswith(("jaxdl.models.", "jaxdl.tasks"))
    is_optax = home.partition(".")[0] == "optax"
    return is_ours or is_optax or framework(thing) is not None


def _remedy(name: str, thing) -> str:
    """Writes what stands in place of something."""
    example = PARTS[name].example
    called = getattr(_source(thing), "__qualname__", "")
    is_function = called and "." not in called and not isinstance(_source(thing), type)
    if name == "model" and (library := framework(thing)):
        example = FRAMEWORKS[library]
    elif isinstance(thing, Dataset):
        example = "task=tasks.classification(dataset)"
    elif is_function:
        if name == "optimizer" and _home(thing).startswith("optax"):
            example = f"optimizer=lambda hp: optax.{called}(hp.learning_rate)"
        elif name != "optimizer" and _home(thing).startswith(f"jaxdl.{name}s"):
            example = f"{name}={name}s.{called}(...), or lambda hp: {name}s.{called}(...)"
    return f"write {example}"


def _source(thing):
    """Finds the function or class behind a `functools.partial`."""
    while isinstance(thing, functools.partial):
        thing = thing.func
    return thing


def _home(thing) -> str:
    """Names the module in which a function or class is defined."""
    return str(getattr(_source(thing), "__module__", ""))


def framework(thing) -> str | None:
    """Names the library whose module (class or instance) something is."""
    source = _source(thing)
    kind = source if isinstance(source, type) else type(source)
    # the class itself is the user's: a base of it says which library's module it is
    packages = {base.__module__.partition(".")[0] for base in kind.__mro__}
    return next((name for name in FRAMEWORKS if name in packages), None)
