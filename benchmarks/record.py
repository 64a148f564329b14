"""A record: what a benchmark has measured, and on what, as JSON that `schema.json` describes."""

import datetime
import importlib.metadata
import json
import math
import os
import pathlib
import platform
import subprocess
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax

from benchmarks.harness import Figures
from jaxdl.checks import DataError
from jaxdl.running.files import write_atomically

SCHEMA = 1
HERE = pathlib.Path(__file__).parent
FOLDER = pathlib.Path("runs/benchmarks")
PACKAGES = ("jax", "jaxlib", "numpy", "optax", "flax", "scikit-learn", "torch")
NEEDED = ("schema", "benchmark", "cases", "device", "date")


def environment() -> Figures:
    """Describes the device, the machine, the versions and the commit that figures were made on."""
    devices = jax.local_devices()
    device = {
        "platform": devices[0].platform,
        "kind": devices[0].device_kind,
        "count": len(devices),
    }
    return {
        "device": device,
        "machine": machine(),
        "versions": versions(),
        "commit": commit(),
    }


def machine() -> Figures:
    """Describes the machine."""
    pages = os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 0
    size = os.sysconf("SC_PAGE_SIZE") if hasattr(os, "sysconf") else 0
    return {
        "system": platform.platform(),
        "processor": processor(),
        "cores": os.cpu_count() or 1,
        "memory_bytes": pages * size,
    }


def processor() -> str:
    """Names the processor, as Linux does; else as Python does."""
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


def load() -> list[float] | None:
    """Gives how many processes wanted to run in the last 1, 5 and 15 minutes; None on Windows."""
    return list(os.getloadavg()) if hasattr(os, "getloadavg") else None


def busy_cores(seconds: float = 0.25) -> float | None:
    """Measures how many cores others keep busy, while this process sleeps; None but on Linux.

    The load of the last minute would still tell of a benchmark that has just ended.
    """
    before = _processor_times()
    time.sleep(seconds)
    after = _processor_times()
    if before is None or after is None:
        return None
    all_time, idle = (late - early for early, late in zip(before, after, strict=True))
    share = max(0.0, 1 - idle / max(all_time, 1))
    return share * (os.cpu_count() or 1)


def _processor_times() -> tuple[int, int] | None:
    """Reads the time of all cores since the start, and that without work; None but on Linux."""
    try:
        first, *_ = pathlib.Path("/proc/stat").read_text().splitlines()
    except OSError:
        return None
    times = [int(word) for word in first.split()[1:9]]  # those behind are counted in them already
    _, _, _, idle, waiting, *_ = times
    return sum(times), idle + waiting


def versions() -> dict[str, str | None]:
    """Lists the versions of what figures depend on; None for what is not installed."""
    found: dict[str, str | None] = {"python": platform.python_version()}
    for package in PACKAGES:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def commit() -> Figures | None:
    """Names the commit, and whether files differ from it; None where there is no repository."""
    try:
        identity = git("rev-parse", "HEAD")
        changed = git("status", "--porcelain", "--untracked-files=no")
    except (OSError, subprocess.CalledProcessError):
        return None
    return {"hash": identity, "changed": bool(changed)}


def git(*arguments: str) -> str:
    """Asks git about this repository."""
    process = ["git", "-C", str(HERE), *arguments]
    ran = subprocess.run(process, capture_output=True, text=True, check=True)
    return ran.stdout.strip()


def now() -> str:
    """Gives the time in UTC, as ISO 8601 has it, to the second."""
    return datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")


def usual_path(benchmark: str, date: str) -> pathlib.Path:
    """Names the file of a run where the command line names none; no run overwrites another's."""
    stamp = date.replace("-", "").replace(":", "").replace("+0000", "")
    return FOLDER / benchmark / f"{stamp}.json"


def write(path: pathlib.Path, record: Figures) -> None:
    """Writes a record whole or not at all; what is infinite or missing is null."""
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain(record), indent=1, allow_nan=False)
    write_atomically(path, text.encode())


def read(path: str | pathlib.Path) -> Figures:
    """Reads a record.

    Raises:
      DataError: there is no such file, or it is no record of this schema.
    """
    try:
        record = json.loads(pathlib.Path(path).read_text())
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read as a benchmark's JSON: {error}") from None
    missing = NEEDED if not isinstance(record, dict) else [n for n in NEEDED if n not in record]
    if missing:
        raise DataError(f"{path} is no benchmark's JSON: it has no {', '.join(missing)}")
    if record["schema"] != SCHEMA:
        raise DataError(f"{path} has schema {record['schema']!r}, this version reads {SCHEMA}")
    return record


def plain(value: Any) -> Any:
    """Makes a value as JSON knows it: numpy's as Python's, NaN and infinity as None."""
    if isinstance(value, Mapping):
        return {str(name): plain(part) for name, part in value.items()}
    if hasattr(value, "tolist"):  # arrays and scalars of numpy and jax
        value = value.tolist()
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [plain(part) for part in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
