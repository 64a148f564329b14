"""Data sets in pure JAX, drawn per lane from a key."""

from jaxdl.data.moons import moons

__all__ = ["moons"]
