"""`check_task`: the checks that every task passes."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxdl.batches import draw_batch
from jaxdl.sampling import seed_key, stream
from jaxdl.testing.compare import finite, float32, named, same
from jaxdl.train import splits
from jaxdl.types import Dataset, Padded, SplitMetric, Task, check_metrics

EXAMPLES = 32  # of the training data that losses and metrics are checked on


def check_task(
    task: Task, *, outputs: int | tuple[int, ...] | None = None, padded: bool = True
) -> None:
    """Checks that a task is what a study needs.

    Data are finite, of one shape for all keys, batch-last and decided by the key alone; batches
    have the size asked for; loss and metrics give one finite value per example, whatever the other
    examples are, and metrics of a whole split a number, whatever their order; jit changes no value.

    Args:
      task: the task.
      outputs: rows (or leading shape) of a model's outputs; by default the number of classes of
        integer targets, or the leading shape of the targets (one row where they have none): the
        first of these that the loss takes.
      padded: False for a task whose batches cannot have a `Padded` size; studies then compile one
        program per size.

    Raises:
      AssertionError: a line that names the check and what it found.

    >>> from jaxdl import tasks
    >>> check_task(tasks.moons(50))
    """
    checks = CHECKS | PADDED_CHECKS if padded else CHECKS
    for name, check in checks.items():
        with named("check_task", name):
            check(task)
    with named("check_task", "outputs can be drawn"):
        drawn, targets = _answers(task, _data(task), outputs)
    with named("check_task", "metrics declare their direction"):
        check_metrics(task.metrics)
    _check_values("loss", task.loss, drawn, targets)
    for label, metric in task.metrics.items():
        if isinstance(metric, SplitMetric):
            _check_split_metric(label, metric, drawn, targets)
        else:
            _check_values(label, metric.function, drawn, targets)
    with named("check_task", "the gradient of the loss is finite"):
        _finite_gradient(task.loss, drawn, targets)


def _check_values(label: str, function, outputs, targets):
    """Checks a loss, or a metric with a value an example."""
    for name, value_check in VALUE_CHECKS.items():
        with named("check_task", f"{label} {name}"):
            value_check(function, outputs, targets)


def _check_split_metric(label: str, metric: SplitMetric, outputs, targets):
    """Checks a metric of a whole split: what it takes of each example, and what it makes of all."""
    for name, value_check in TAKEN_CHECKS.items():
        with named("check_task", f"{label} {name}"):
            value_check(metric.function, outputs, targets)
    with named("check_task", f"{label} is a number whatever the order of the examples"):
        _value_of_all(metric, outputs, targets)


def _finite_gradient(loss, outputs, targets):
    def total(outputs):
        return jnp.sum(loss(outputs, targets))

    grads = jax.grad(total)(outputs)
    finite(grads, "gradients")


def _data(task: Task, seed: int = 0) -> Dataset:
    """Gives the data of a lane, from the key that training draws them from."""
    if not callable(task.data):
        return task.data
    key = stream(seed_key(seed), "data")
    return task.data(key)


def _answers(task: Task, dataset: Dataset, outputs) -> tuple:
    """Draws outputs, as a model might give them, for the targets of some training examples."""
    # A task does not say how many outputs its models have. Class numbers suggest one a class; a
    # loss of one logit has whole targets as well, so the first shape that the loss takes is used.
    targets = jnp.asarray(dataset.train_targets)[..., :EXAMPLES]
    shapes = [(outputs,) if isinstance(outputs, int) else outputs]
    if outputs is None:
        shapes = [targets.shape[:-1] or (1,)]
        if jnp.issubdtype(targets.dtype, jnp.integer):
            largest = [int(np.max(split)) for _, split in splits(dataset).values()]
            shapes.insert(0, (max(1, *largest) + 1,))
    fitting = [shape for shape in shapes if _takes(task.loss, shape, targets)]
    leading = fitting[0] if fitting else shapes[0]
    drawn = jax.random.normal(seed_key(0), (*leading, targets.shape[-1]))
    return drawn, targets


def _takes(loss, shape: tuple, targets) -> bool:
    """Tells whether a loss has a value for outputs of a leading shape."""
    outputs = jax.ShapeDtypeStruct((*shape, targets.shape[-1]), jnp.float32)
    try:
        jax.eval_shape(loss, outputs, targets)
    except Exception:  # the checks of the loss show it, where no other shape will do
        return False
    return True


def _data_splits(task: Task):
    parts = splits(_data(task))
    first_x, first_targets = parts["train"]
    for name, (x, targets) in parts.items():
        if x.shape[-1] != targets.shape[-1]:
            raise AssertionError(f"{name} x have shape {x.shape} and targets {targets.shape}")
        alike_x = x.shape[:-1] == first_x.shape[:-1]
        alike_targets = targets.shape[:-1] == first_targets.shape[:-1]
        if not (alike_x and alike_targets):
            raise AssertionError(
                f"{name} x and targets have shapes {x.shape}, {targets.shape}, unlike the training "
                "data"
            )
        finite((x, targets), f"{name} data")
        float32((x, targets), f"{name} data")


def _data_keys(task: Task):
    first = _data(task, 0)
    again = _data(task, 0)
    other = _data(task, 1)
    same(again, first, "data of the same key", tolerance=0.0)
    one_shapes = jax.tree.map(jnp.shape, first)
    other_shapes = jax.tree.map(jnp.shape, other)
    if one_shapes != other_shapes:
        both = f"{one_shapes.train_x} and {other_shapes.train_x}"
        raise AssertionError(f"training data of two keys have shapes {both}")
    alike = map(np.array_equal, jax.tree.leaves(first), jax.tree.leaves(other))
    if callable(task.data) and all(alike):
        raise AssertionError("two keys give the same data")


def _data_jit(task: Task):
    if callable(task.data):
        jitted = jax.jit(lambda seed: _data(task, seed))
        same(jitted(0), _data(task), "data")


def _sizes(task: Task) -> list[int]:
    """Lists the batch sizes that are tried: 1, all rows, and something between."""
    n = _data(task).train_targets.shape[-1]
    return sorted({1, max(1, n // 3), n})


def _batch(task: Task, size, step=0):
    """Gives the batch of a step, as training would draw it."""
    draw = task.batch or draw_batch
    key = stream(seed_key(0), "shuffle")
    return draw(_data(task), key, step, size)


def _batches(task: Task):
    dataset = _data(task)
    for size in _sizes(task):
        batch = _batch(task, size)
        one_x = dataset.train_x.shape[:-1]
        one_targets = dataset.train_targets.shape[:-1]
        expected = ((*one_x, size), (*one_targets, size), (size,))
        shapes = tuple(array.shape for array in batch)
        if shapes != expected:
            raise AssertionError(f"a batch of {size} has shapes {shapes} instead of {expected}")
        finite(batch, f"x, targets or weight of a batch of {size}")
        float32(batch, f"x, targets or weight of a batch of {size}")
        weight = batch[2]
        if weight.min() < 0 or weight.sum() == 0:
            raise AssertionError(
                f"a batch of {size} has weights from {weight.min()} to {weight.max()}"
            )


def _batch_jit(task: Task):
    sizes = _sizes(task)
    size = sizes[len(sizes) // 2]
    jitted = jax.jit(lambda step: _batch(task, size, step))
    same(jitted(1), _batch(task, size, 1), f"batches of {size}")


def _padded_batches(task: Task):
    # One compiled program for all sizes, the live one traced: what a study does with the axis.
    most = _sizes(task)[-1]
    padded = jax.jit(lambda live: _batch(task, Padded(live, most)))
    for size in _sizes(task):
        batch = padded(jnp.int32(size))
        live = tuple(array[..., :size] for array in batch)
        plain = tuple(map(jnp.asarray, _batch(task, size)))
        same(live, plain, f"x, targets or weight of a batch of {size} padded to {most}")
        if (batch[2][size:] != 0).any():
            raise AssertionError(f"a batch of {size} padded to {most} has weight beyond its size")


def _per_example(function, outputs, targets):
    values = function(outputs, targets)
    batch = targets.shape[-1]
    if jnp.shape(values) != (batch,):
        raise AssertionError(f"its shape is {jnp.shape(values)} for a batch of {batch}")
    finite(values, "values")


def _taken(function, outputs, targets):
    taken = function(outputs, targets)
    batch = targets.shape[-1]
    for leaf in jax.tree.leaves(taken):
        if jnp.shape(leaf)[-1:] != (batch,):
            raise AssertionError(f"their shape is {jnp.shape(leaf)} for a batch of {batch}")
    finite(taken, "values")


def _order(function, outputs, targets):
    order = _some_order(targets)
    permuted = function(outputs[..., order], targets[..., order])
    expected = jax.tree.map(lambda leaf: leaf[..., order], function(outputs, targets))
    same(permuted, expected, "values of a permuted batch")


def _some_order(targets):
    return np.random.default_rng(0).permutation(targets.shape[-1])


def _alone(function, outputs, targets):
    alone = function(outputs[..., :1], targets[..., :1])
    expected = jax.tree.map(lambda leaf: leaf[..., :1], function(outputs, targets))
    same(alone, expected, "values of an example alone")


def _value_of_all(metric: SplitMetric, outputs, targets):
    """Compares the value of some examples with that of the same ones in another order."""
    order = _some_order(targets)
    expected = _value(metric, outputs, targets)
    if jnp.shape(expected) != ():
        raise AssertionError(f"its shape is {jnp.shape(expected)}")
    permuted = _value(metric, outputs[..., order], targets[..., order])
    same(permuted, expected, "values of permuted examples")


def _value(metric: SplitMetric, outputs, targets):
    """Computes a metric of a whole split, each example counting 1."""
    taken = metric.function(outputs, targets)
    weight = jnp.ones(targets.shape[-1])
    if metric.gathered:
        return metric.finish(taken, weight)
    sums = jax.tree.map(lambda leaf: jnp.sum(leaf, axis=-1), taken)
    return metric.finish(sums, jnp.sum(weight))


def _jit(function, outputs, targets):
    jitted = jax.jit(function)
    same(jitted(outputs, targets), function(outputs, targets), "values")


CHECKS = {
    "data are finite and batch-last in all splits": _data_splits,
    "the key decides the data": _data_keys,
    "jit changes no data": _data_jit,
    "batches have the size asked for": _batches,
    "jit changes no batch": _batch_jit,
}
PADDED_CHECKS = {"a padded batch is the plain one, with weight 0 beyond": _padded_batches}
OF_EACH = {
    "does not depend on the order of the batch": _order,
    "of an example does not depend on the others": _alone,
    "is the same under jit": _jit,
}
VALUE_CHECKS = {"is one finite value per example": _per_example, **OF_EACH}
TAKEN_CHECKS = {"takes finite numbers of every example": _taken, **OF_EACH}
