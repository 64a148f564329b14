"""How many lanes to vmap together, found by trying: as many as cache or memory and throughput want.

The winner is remembered by program and device, so that the same study gets the same lane_size
(which its bits depend on) on the same machine. The number of seeds has a say in studies of many
lanes alone: see `most_lanes`.
"""

import math
from collections.abc import Callable

import jax
import numpy as np

from jaxdl.planning import memo
from jaxdl.planning.axes import Plan
from jaxdl.planning.program import Program, first_hp, lane_functions, whole
from jaxdl.planning.spec import Spec
from jaxdl.running import engine
from jaxdl.running.compiler import compile_programs

LARGEST = 16_384  # lanes that are tried together at most
ENOUGH = 1024  # lanes that are tried together in a study of fewer: it may grow
GAIN = 1.05  # a larger or smaller lane_size is taken where it is at least so much faster
MEMORY = 0.8  # share of a device's memory that a chunk may take


def with_best_lane_sizes(spec: Spec, plan: Plan) -> Plan:
    """The plan with every program's lane_size the fastest one measured here; the estimate is where
    the search begins."""
    return plan._replace(
        programs=tuple(p._replace(lane_size=best_lane_size(spec, p)) for p in plan.programs)
    )


def best_lane_size(spec: Spec, program: Program) -> int:
    """The fastest power-of-two multiple of a program's lane_size, measured once for each program
    and device."""
    functions = lane_functions(spec.parts, program)
    jaxpr = jax.make_jaxpr(whole(functions, 2))(np.uint32(0), first_hp(program), functions.shared)
    most = most_lanes(len(program.configs) * len(spec.seeds), len(jax.local_devices()))
    key = memo.digest(memo.machine(), f"{len(jax.local_devices())} {most}", jaxpr)
    start = min(program.lane_size, most)
    return int(
        memo.recall(
            "lane_size",
            key,
            lambda: climb(lambda size: lane_seconds(spec, program, size), start, most),
        )
    )


def most_lanes(lanes: int, devices: int) -> int:
    """The largest lane_size worth trying: a power of two, `ENOUGH` or so many that the devices hold
    all lanes at once.

    A chunk is always full, so what it holds beyond the study's own lanes are copies that cost time.

    >>> [most_lanes(lanes, devices=2) for lanes in (1, 2048, 2049, 10**6)]
    [1024, 1024, 2048, 16384]
    """
    return min(LARGEST, max(ENOUGH, 2 ** math.ceil(math.log2(lanes / devices))))


def climb(seconds: Callable[[int], float], start: int, most: int = LARGEST) -> int:
    """The size with the least time per lane, by doubling from `start` as long as that gains, else
    by halving.

    Args:
      seconds: of a lane at a size; infinite where it does not fit.
      start: a size, from 1 up.
      most: the largest size to try.
    """
    best, least = start, seconds(start)
    for factor in (2.0, 0.5):
        size = best * factor
        while 1 <= size <= most:
            found = seconds(int(size))
            if found * GAIN >= least and (
                np.isfinite(least) or factor > 1
            ):  # what does not fit is halved until it does
                break
            best, least, size = int(size), found, size * factor
        if best != start:
            break
    return best


def lane_seconds(spec: Spec, program: Program, size: int) -> float:
    """The time of one lane where `size` are vmapped together, the better of two bursts; infinite
    beyond the memory."""
    devices = jax.local_devices()
    sized = program._replace(lane_size=size)
    try:
        compiled = compile_programs(spec.parts, {0: sized}, devices)[
            0
        ].result()  # memory that is not known shows as it runs out
        limit = (devices[0].memory_stats() or {}).get("bytes_limit", np.inf)
        if compiled.bytes is not None and compiled.bytes > MEMORY * limit * len(devices):
            return np.inf
        return min(engine.calibrate(spec, sized, compiled) for _ in range(2))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return np.inf
