"""Who trains a run: the command, machine and versions of a process, a line each time one begins."""

import datetime
import importlib.metadata
import os
import pathlib
import platform
import shlex
import sys
from collections.abc import Callable

import jax

from jaxdl.running.progress import in_notebook

PACKAGES = ("jaxdl", "jax", "jaxlib", "numpy", "optax", "flax")
CPU_NAMES = pathlib.Path("/proc/cpuinfo")


def session(asked: Callable[[], str | None] | None = None) -> dict:
    """Describes this process: when it began to train, its command, machine and versions.

    It says where numbers came from, and is no part of what a study is: the same study goes on
    under another command or on another machine.

    Args:
      asked: gives the command line; that of this process by default, whereas a worker of an
        executor trains at the command of another process.
    """
    now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
    line = command() if asked is None else asked()
    return {"began": now, "command": line, "machine": machine(), "versions": versions()}


def command() -> str | None:
    """Gives the command line of this process; None where people type as it runs, as in a notebook.

    The interpreter is named without its folder.
    """
    words = [word for word in sys.orig_argv if word]
    if len(words) < 2 or in_notebook() or hasattr(sys, "ps1"):
        return None
    return shlex.join([pathlib.PurePath(words[0]).name, *words[1:]])


def machine() -> dict:
    """Describes the machine and the devices that jax has here."""
    kinds = []
    for device in jax.local_devices():
        # A CPU's kind is "cpu" once more.
        kinds.append(" ".join(dict.fromkeys([device.platform, device.device_kind])))
    devices = [f"{kinds.count(kind)} x {kind}" for kind in dict.fromkeys(kinds)]
    return {
        "system": f"{platform.system()} {platform.release()}",
        "processor": processor(),
        "cores": os.cpu_count(),
        "devices": ", ".join(devices),
    }


def processor() -> str:
    """Names the processor, as well as the system knows it."""
    # Linux knows no more than an architecture, but for the first core's entry in a file.
    try:
        lines = CPU_NAMES.read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict:
    """Lists the versions of Python and of the packages that a lane passes through."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found
