"""A lane's hyper-parameters, read as attributes."""

import contextlib
from collections.abc import Iterator

from jaxdl.checks import brief, unknown


class Hyperparameters:
    """Names and values, read as attributes; which names were read is kept in the set it was given.

    Raises `checks.UnknownName`, with the nearest known name, where there is no such
    hyper-parameter.
    """

    __slots__ = ("_read", "_values")

    def __init__(self, values: dict, read: set | None = None):
        object.__setattr__(self, "_values", dict(values))
        object.__setattr__(self, "_read", set() if read is None else read)

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._values:
            raise unknown("hyper-parameter", name, self._values)
        self._read.add(name)
        return self._values[name]

    def __setattr__(self, name, value):
        raise AttributeError(f"hyper-parameters are read only, got hp.{name} = {value!r}")

    def __getitem__(self, name):
        raise TypeError(
            f"hyper-parameters are read as attributes, got hp[{brief(name)}]: write hp.NAME"
        )

    def _refuse(self, *_):
        raise TypeError(
            "hp is no number: read a hyper-parameter by its name, as in hp.learning_rate"
        )

    __lt__ = __le__ = __gt__ = __ge__ = __int__ = __index__ = __float__ = __iter__ = _refuse
    __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refuse
    __truediv__ = __rtruediv__ = __floordiv__ = __rfloordiv__ = __mod__ = __rmod__ = _refuse
    __pow__ = __rpow__ = __neg__ = __abs__ = __jax_array__ = __array__ = _refuse

    def __repr__(self) -> str:
        return f"Hyperparameters({self._values})"


@contextlib.contextmanager
def at(config: dict) -> Iterator[None]:
    """Adds to an error that a user's own function raises at which config it did."""
    try:
        yield
    except Exception as failure:
        if not any(str(config) in note for note in getattr(failure, "__notes__", ())):
            failure.add_note(f"at config {config}")
        raise
