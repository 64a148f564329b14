"""A lane's hyper-parameters, read as attributes."""

from jaxdl.checks import unknown


class Hyperparameters:
    """Names and values, read as attributes; which names were read is kept in the set it was given.

    Raises `checks.UnknownName`, with the nearest known name, where there is no such hyper-parameter.
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
        value = self._values[name]
        return value.read() if isinstance(value, Refused) else value

    def __setattr__(self, name, value):
        raise AttributeError(f"hyper-parameters are read only, got hp.{name} = {value!r}")

    def __repr__(self) -> str:
        return f"Hyperparameters({self._values})"


class Refused:
    """A value that may not be read while its axis is tried as traced, because it stands encoded."""

    def __init__(self, name: str):
        self.name = name

    def read(self):
        """Raises: the value as given is not there."""
        raise TypeError(f"hp.{self.name} is read by the study's own functions, which need its value as given")
