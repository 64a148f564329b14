"""Common checks of models and tasks: what a study relies on, for those of this library and for
those of users."""

from jaxdl.testing.models import check_model
from jaxdl.testing.tasks import check_task

__all__ = ["check_model", "check_task"]
