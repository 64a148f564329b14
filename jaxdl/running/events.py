"""What a run tells a user's function: it began, a block of lanes has ended, it is done."""

import pathlib
from collections.abc import Callable

from jaxdl.planning.spec import Spec
from jaxdl.running.curves import collect
from jaxdl.running.session import session

Event = dict  # JSON values, and NumPy arrays of steps and curves
Tell = Callable[[Event], object]


def untold(event: Event):
    """Tells nobody."""


def started(spec: Spec, path: pathlib.Path | None) -> Event:
    """Makes the event of a run that begins: what is trained, by which process."""
    lanes = len(spec.configs) * len(spec.seeds)
    place = None if path is None else str(path)
    study = {"configs": len(spec.configs), "seeds": len(spec.seeds), "lanes": lanes}
    return {"event": "started", "path": place, **study, **session()}


def block(spec: Spec, manifest: dict, number: int, arrays: dict, finished: dict) -> Event:
    """Makes the event of a block that has ended, with the lanes of the study in it.

    Args:
      finished: what events.jsonl records of it.
    """
    configs = [config.values for config in spec.configs]
    curves = collect(manifest, {number: arrays}, configs, spec.seeds)
    axes = configs[0].keys()
    lanes = []
    for row, labels in enumerate(curves.lanes):
        theirs = {}
        for name, values in curves.history.items():
            if row not in curves.absent[name]:
                theirs[name] = values[row]
        lanes.append(
            {
                "config": {name: labels[name] for name in axes},
                **{name: value for name, value in labels.items() if name not in axes},
                "last": {name: float(values[-1]) for name, values in theirs.items()},
                "steps": curves.steps,  # one program, and so one schedule
                "history": theirs,
            }
        )
    return {"event": "block", "block": number, **finished, "lanes": lanes}


def done(lanes: list[dict], missing: int) -> Event:
    """Makes the event of a run that has ended."""
    diverged = sum(lane["status"] == "diverged" for lane in lanes)
    return {"event": "done", "lanes": len(lanes), "diverged": diverged, "missing": missing}
