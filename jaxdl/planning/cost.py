"""What a program costs: the work of its steps, read off the abstract evaluation, in seconds by
measured constants."""

import math
from typing import NamedTuple

from jaxdl.planning.jaxprs import jaxprs

# Measured with jax 0.10 on 2 CPU cores (2.1 GHz, AVX-512, 2 MB of L2 a core); see
# benchmarks/lane_rate.py and shapes.py.
BYTES_PER_SECOND = (
    55e9  # of arrays computed in a step, fusion included: MLP 2-20-2 at batch 1, 32, 128 and 800
)
FLOPS_PER_SECOND = 150e9
COMPILE_SECONDS = 0.35  # a program more: tracing, lowering, its first calls
COMPILE_SECONDS_PER_EQUATION = 0.6e-3  # two programs compile at a time
CHUNK_SECONDS = 0.004  # a chunk more: its calls and transfers
# that one step's widest array may fill, over the lanes of a chunk: measured best with 2 MB of L2
CACHE_BYTES = 300_000
# assumed for the cost of chunks that are not full; blocks may not depend on the devices at hand
DEVICES = 2
CONVOLUTION = "conv_general_dilated"
AHEAD = "drawn_ahead"  # rows of some steps at once: see `training.step`
LOOPED = "looped_convolution"  # see `lowering.looped`


class Work(NamedTuple):
    """The work of one lane, from its jaxpr."""

    step_bytes: float = 1.0  # of the arrays that a step computes
    step_flops: float = 0.0  # of its matrix products and convolutions
    evaluation_bytes: float = 1.0
    evaluation_flops: float = 0.0
    widest: float = 1.0  # bytes of a step's largest array
    equations: int = 1
    convolutions: int = 0  # of XLA's own, in a step

    def seconds(self, steps: int, evaluations: int) -> float:
        """The time of one lane among many."""
        step = self.step_bytes / BYTES_PER_SECOND + self.step_flops / FLOPS_PER_SECOND
        evaluation = (
            self.evaluation_bytes / BYTES_PER_SECOND + self.evaluation_flops / FLOPS_PER_SECOND
        )
        return steps * step + evaluations * evaluation

    def lane_size(self) -> int:
        """Lanes to vmap together, a power of two in 1..128, so that a step's widest array stays in
        a core's cache.

        One where a step convolves: vmapped over its kernels, XLA's convolution is a grouped one,
        2.5 to 3.5 times slower a lane on a CPU. Convolutions as products are told by their arrays:
        those of a report's six layers at batch 128 are beyond any cache, and four of its lanes
        together run at 0.90 of their rate one by one.
        """
        if self.convolutions:
            return 1
        return 2 ** min(7, max(0, int(math.log2(max(1.0, CACHE_BYTES / self.widest)))))

    def compile_seconds(self) -> float:
        """The time that one program more takes before it runs."""
        return COMPILE_SECONDS + COMPILE_SECONDS_PER_EQUATION * self.equations


class _Tally:
    """Sums over the equations of a jaxpr; `depth` 2 is the loop over steps, 1 the loop over
    evaluations."""

    def __init__(self):
        self.bytes, self.flops = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        self.widest, self.equations, self.convolutions = 1.0, 0, 0

    def add(self, jaxpr, depth: int, times: float, copies: int = 1):
        """Adds a jaxpr that runs `times` times, compiled `copies` times."""
        for equation in jaxpr.eqns:
            name = equation.primitive.name
            inner = jaxprs(equation)
            if not inner:
                self._count(equation, depth, times, copies)
            deeper = min(2, depth + (name == "while"))
            repeats, unrolled = (
                (equation.params["length"], equation.params["unroll"]) if name == "scan" else (1, 1)
            )
            if equation.params.get("name") == AHEAD:
                repeats = 1 / equation.outvars[0].aval.shape[0]
            for part in inner:
                self.add(part, deeper, times * repeats, copies * int(unrolled))

    def _count(self, equation, depth: int, times: float, copies: int):
        self.equations += copies
        if equation.primitive.name in ("broadcast_in_dim", "reshape", "squeeze"):
            return
        size = float(
            sum(
                v.aval.size * v.aval.dtype.itemsize
                for v in equation.outvars
                if hasattr(v.aval, "dtype")
            )
        )
        self.bytes[depth] += times * size
        self.flops[depth] += times * _product_flops(equation)
        if depth == 2:
            self.widest = max(self.widest, size)
            self.convolutions += equation.primitive.name == CONVOLUTION


def _product_flops(equation) -> float:
    """Twice the numbers that are multiplied and added up: of a product or a convolution."""
    name = equation.primitive.name
    if name == "dot_general":
        contracted = equation.params["dimension_numbers"][0][0]
        depth = math.prod(equation.invars[0].aval.shape[axis] for axis in contracted)
    elif name in (CONVOLUTION, LOOPED):
        depth = _taps(equation)
    else:
        return 0.0
    return 2.0 * depth * equation.outvars[0].aval.size


def _taps(equation) -> float:
    """How many numbers a place of a convolution adds up, but for zeros between dilated inputs."""
    kernel = equation.invars[1].aval
    outputs = kernel.shape[equation.params["dimension_numbers"].rhs_spec[0]]
    return kernel.size / max(1, outputs) / math.prod(equation.params["lhs_dilation"])


def work_of(jaxpr) -> Work:
    """The work of one lane whose whole training a jaxpr describes."""
    tally = _Tally()
    tally.add(jaxpr, 0, 1.0)
    return Work(
        1 + tally.bytes[2],
        tally.flops[2],
        1 + tally.bytes[1],
        tally.flops[1],
        tally.widest,
        tally.equations,
        tally.convolutions,
    )


def program_seconds(work: Work, lanes: int, steps: int, evaluations: int) -> float:
    """The time that a program with this many lanes takes, compilation included; chunks are always
    full."""
    chunk = work.lane_size() * DEVICES
    chunks = -(-lanes // chunk)
    return work.compile_seconds() + chunks * (
        CHUNK_SECONDS + chunk * work.seconds(steps, evaluations)
    )
