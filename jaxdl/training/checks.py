"""Checks of a training's arguments, before anything is compiled."""

import jax

from jaxdl.batches import SAMPLINGS
from jaxdl.checks import check_name, function_of, number_within, one_of, positive_int
from jaxdl.datasets import check_dataset, check_targets, depends_on_targets
from jaxdl.sampling import seed_key
from jaxdl.training.recipe import LARGEST_BOUND, prepared
from jaxdl.types import Dataset, Model, Size, Task, capacity, check_metrics, traced


def check_task(task: Task, sampling: str | None = None, record: dict | None = None):
    """Refuses names that would overwrite each other, undeclared metrics, a sampling that nothing
    follows, shared data that do not fit each other.

    Raises:
      ValueError: a line that says what is wrong and how it is put right.
    """
    check_metrics(task.metrics)
    check_record(record or {})
    if not callable(task.data):
        check_dataset(task.data)
    if sampling is None:
        return
    one_of("sampling", sampling, SAMPLINGS)
    if task.batch is not None:
        raise ValueError(
            f"sampling must not be given for a task that brings its own batches, got {sampling!r}"
        )


def check_record(record: dict):
    """Refuses recorded values whose history keys would be those of something else, and what is no
    function."""
    splits = ("train_", "valid_", "test_")
    for name, function in record.items():
        check_name("record", name, reserved=("batch_loss",), prefixes=splits)
        function_of(f"record {name!r}", function, "(StepInfo) -> scalar", None)


def check_norm_bound(bound):
    """Refuses a bound that is no number above 0, or whose square no float32 holds."""
    number_within("norm_bound", bound, 0.0, LARGEST_BOUND)


def check_eval_params(function):
    """Refuses what is neither None nor a function of params and the optimizer's state."""
    if function is not None:
        function_of("eval_params", function, "(params, opt_state) -> params", None, None)


def check_eval_train_rows(count):
    """Refuses what is neither None nor a number of rows; how many there are is seen later."""
    if count is not None:
        positive_int("eval_train_rows", count)


def check_accumulate(accumulate, batch_size: Size | None = None):
    """Refuses a number of micro-batches that does not divide the batch, where that is known.

    Of a padded batch only the largest size is looked at: the others are right as well, as their
    dead places weigh nothing.
    """
    positive_int("accumulate", accumulate)
    if batch_size is None or traced(batch_size):
        return
    size = capacity(batch_size)
    if size % accumulate:
        raise ValueError(
            f"accumulate must divide the batch size {size} into equal micro-batches, got "
            f"{accumulate}"
        )


def check_shared_targets(task: Task, model: Model, dataset: Dataset):
    """Refuses targets that are at hand and lie beyond the model's outputs, or what the loss is
    defined for."""
    is_traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(dataset))
    if is_traced or not depends_on_targets(task):
        return

    outputs = outputs_like(task, model, dataset)
    if hasattr(outputs, "shape"):
        check_targets(task, outputs.shape, dataset)


def outputs_like(task: Task, model: Model, dataset: Dataset):
    """Finds the shapes and types of a model's outputs for the training inputs; computes nothing."""

    def outputs_of(key, x):
        params, state = model.init(key)
        return model.apply(params, state, prepared(task, x), key=None, train=False)[0]

    return jax.eval_shape(outputs_of, seed_key(0), dataset.train_x)
