"""Everything that is to be known of a GPU or a TPU, in one command and one file.

Runs the benchmarks that compare devices, and the studies of the batch size and of the length of
palindromes at 1,000 seeds, each in a process of its own. A part that fails, or that would not be
done within 20 minutes of the start, is named in the file with the reason; the others stand.
"""

import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

from jaxdl.cli import fail

ROOT = pathlib.Path(__file__).parent.parent
SECONDS = 20 * 60.0  # that all parts have together
SEEDS = 1000
QUICK_STUDY = ("--quick", "--seeds", "2", "--steps", "20", "--eval-every", "10")


class Part(NamedTuple):
    """A benchmark or a study, and what is added to its command under ``--quick``."""

    kind: str  # "benchmarks" or "experiments"
    quick: Sequence[str]


# In the order of what is wanted most: time may not suffice for the last.
PARTS = {
    "layouts": Part("benchmarks", ("--quick",)),
    "conv": Part("benchmarks", ("--quick",)),
    "lanes": Part("benchmarks", ("--quick",)),
    "peers": Part("benchmarks", ("--quick",)),
    "batch_size": Part("experiments", QUICK_STUDY),
    "palindrome_length": Part("experiments", QUICK_STUDY),
    "bgd_vs_sgd": Part("benchmarks", ("--quick",)),
}


def run(options) -> int:
    """Runs all parts on the device that the command names, or ``--device``; writes one JSON."""
    device = options.device or options.benchmark
    if options.files or options.without or dict(options.only).keys() - {"part"}:
        raise ValueError(f"{options.benchmark} takes --only part=A,B and neither files nor others")
    chosen = chosen_parts(options.only)
    found = describe(device)
    if found is None:
        words = f"{device} must be a device that is here; --device cpu tries all on a CPU"
        return fail(words)
    from benchmarks import record

    begin, date = time.perf_counter(), record.now()
    outcomes: dict[str, dict] = {}
    for name in chosen:
        left = SECONDS - (time.perf_counter() - begin)
        outcomes[name] = run_part(name, device, options, left)
        print(f"{name:<20}{said(outcomes[name])}", flush=True)
    written = {
        "schema": record.SCHEMA,
        "command": f"python -m benchmarks {' '.join(sys.argv[1:])}",
        "quick": options.quick,
        "date": date,
        "seconds": time.perf_counter() - begin,
        **found,
        "parts": outcomes,
    }
    path = options.json or record.usual_path(device, date)
    record.write(path, written)
    of = written["device"]
    print(f"{of['count']} x {of['kind']} ({of['platform']}), {written['seconds']:.0f} s: {path}")
    return 1 if any(each["status"] == "failed" for each in outcomes.values()) else 0


def chosen_parts(only) -> list[str]:
    """Lists the parts that are asked for, in order.

    Raises:
      ValueError: there is no such part.
    """
    names = [name for _, values in only for name in values] or list(PARTS)
    for name in names:
        if name not in PARTS:
            raise ValueError(f"part must be one of {', '.join(PARTS)}, got {name!r}")
    return [name for name in PARTS if name in names]


def describe(device: str) -> dict[str, Any] | None:
    """Describes a device and its machine; None where it is not here."""
    # In a process of its own: one that has seen a GPU keeps its memory.
    code = (
        "import json, sys; from benchmarks import record, running; "
        "running.use_device(sys.argv[1]); print(json.dumps(record.environment()))"
    )
    process = [sys.executable, "-c", code, device]
    ran = subprocess.run(process, capture_output=True, text=True, check=False, cwd=ROOT)
    return json.loads(ran.stdout.splitlines()[-1]) if ran.returncode == 0 else None


def run_part(name: str, device: str, options, seconds: float) -> dict[str, Any]:
    """Runs a part within so many seconds; gives its status, command and result."""
    part = PARTS[name]
    with tempfile.TemporaryDirectory() as words:
        folder = pathlib.Path(words)
        command = command_of(name, part, device, options, folder)
        shown = f"python -m {' '.join(command)}".replace(words, "DIR")
        outcome: dict[str, Any] = {"command": shown, "result": None, "seconds": None}
        if seconds <= 0:
            return {**outcome, "status": "left out", "reason": "no time was left"}
        begin = time.perf_counter()
        try:
            ran = subprocess.run(
                [sys.executable, "-m", *command],
                capture_output=True,
                text=True,
                check=False,
                cwd=ROOT,
                timeout=seconds,
                env={**os.environ, "JAX_PLATFORMS": platforms(device)},
            )
        except subprocess.TimeoutExpired:
            return {**outcome, "status": "left out", "reason": "time was up while it ran"}
        outcome["seconds"] = time.perf_counter() - begin
        if ran.returncode:
            lines = ran.stderr.strip().splitlines()
            reason = lines[-1] if lines else f"exit code {ran.returncode}"
            return {**outcome, "status": "failed", "reason": reason}
        is_study = part.kind == "experiments"
        text = ran.stdout if is_study else (folder / "run.json").read_text()
        return {**outcome, "status": "done", "reason": None, "result": json.loads(text)}


def platforms(device: str) -> str:
    """Names what jax may use in a part: the device, and the CPU for what is put there."""
    known = {"gpu": "cuda,cpu", "tpu": "tpu,cpu"}
    return known.get(device, device)


def command_of(name: str, part: Part, device: str, options, folder: pathlib.Path) -> list[str]:
    """Makes the command of a part, behind ``python -m``."""
    quick = list(part.quick) if options.quick else []
    if part.kind == "experiments":
        seeds = [] if options.quick else ["--seeds", str(SEEDS)]
        return ["experiments", name, *seeds, *quick, "--out", str(folder / "run"), "--json"]
    rounds = ["--rounds", str(options.rounds)] if options.rounds else []
    path = str(folder / "run.json")
    return ["benchmarks", name, *quick, *rounds, "--device", device, "--json", path]


def said(outcome: dict[str, Any]) -> str:
    """Writes an outcome in a line."""
    if outcome["status"] != "done":
        return f"{outcome['status']}: {outcome['reason']}"
    return f"done in {outcome['seconds']:.0f} s"
