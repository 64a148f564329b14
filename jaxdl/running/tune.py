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
    """Returns the plan with every program's lane_size the fastest one measured here.

    The search begins at the plan's own estimate.
    """
    sized = [program._replace(lane_size=best_lane_size(spec, program)) for program in plan.programs]
    return plan._replace(programs=tuple(sized))


def best_lane_size(spec: Spec, program: Program) -> int:
    """Returns the fastest power-of-two multiple of a program's lane_size.

    It is measured once for each program and device, and remembered.
    """
    devices = len(jax.local_devices())
    most = most_lanes(len(program.configs) * len(spec.seeds), devices)
    start = min(program.lane_size, most)

    def measured() -> int:
        return climb(lambda size: lane_seconds(spec, program, size), start, most)

    functions = lane_functions(spec.parts, program)
    jaxpr = jax.make_jaxpr(whole(functions, 2))(np.uint32(0), first_hp(program), functions.shared)
    key = memo.digest(memo.machine(), f"{devices} {most}", jaxpr)
    return int(memo.recall("lane_size", key, measured))


def most_lanes(lanes: int, devices: int) -> int:
    """Returns the largest lane_size worth trying, a power of two.

    That is `ENOUGH`, or so many that the devices hold all lanes at once. A chunk is always full, so
    what it holds beyond the study's own lanes are copies that cost time.

    >>> [most_lanes(lanes, devices=2) for lanes in (1, 2048, 2049, 10**6)]
    [1024, 1024, 2048, 16384]
    """
    return min(LARGEST, max(ENOUGH, 2 ** math.ceil(math.log2(lanes / devices))))


def climb(seconds: Callable[[int], float], start: int, most: int = LARGEST) -> int:
    """Returns the size with the least time per lane near `start`.

    >>> climb({4: 3.0, 8: 2.0, 16: 2.5}.get, start=4)
    8

    Args:
      seconds: of a lane at a size; infinite where it does not fit.
      start: a size, from 1 up.
      most: the largest size to try.
    """
    # Sizes are doubled as long as that gains, else halved: time per lane falls with the calls that
    # are saved, then rises as a step's arrays leave the cache or the memory. A size is compiled and
    # run for each try, so the search stops at the first that does not gain; below GAIN is noise.
    # What does not fit is halved until it does.
    best, least = start, seconds(start)
    for factor in (2.0, 0.5):
        size = int(best * factor)
        while 1 <= size <= most:
            here = seconds(size)
            fits_nowhere_yet = factor < 1 and not np.isfinite(least)
            if here * GAIN >= least and not fits_nowhere_yet:
                break
            best, least = size, here
            size = int(size * factor)
        if best != start:
            break
    return best


def lane_seconds(spec: Spec, program: Program, size: int) -> float:
    """Returns the time of one lane where `size` are vmapped together, the better of two bursts.

    It is infinite beyond the memory; where the memory is not known, as it runs out.
    """
    devices = jax.local_devices()
    sized = program._replace(lane_size=size)
    try:
        compiled = compile_programs(spec.parts, {0: sized}, devices)[0].result()
        limit = (devices[0].memory_stats() or {}).get("bytes_limit", np.inf)
        if compiled.bytes is not None and compiled.bytes > MEMORY * limit * len(devices):
            return np.inf
        return min(engine.calibrate(spec, sized, compiled) for _ in range(2))
    except jax.errors.JaxRuntimeError as error:
        if "RESOURCE_EXHAUSTED" not in str(error):
            raise
        return np.inf
