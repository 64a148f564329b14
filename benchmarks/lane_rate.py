"""How many training steps a second: lanes of one program against loops of one network?

The network is R1's: 2-20-2, ReLU, cross-entropy, SGD, 800 training points, batches drawn without
replacement at every step, no evaluation (`moons_mlp`). PyTorch and NumPy run one network on one
thread, as the reports' code did. (`lanes` asks how wide to vmap, and in which layout.)

Command: python -m benchmarks lane_rate
"""

from benchmarks import moons_mlp
from benchmarks.harness import Benchmark, Contestant, Quick, product

BENCHMARK = Benchmark(
    doc=__doc__,
    unit="lane-step",
    cases=product(batch_size=[1, 32, 128, 800]),
    contestants={
        "jaxdl": Contestant(moons_mlp.ours, ours=True),
        "pytorch": Contestant(moons_mlp.pytorch, needs=("torch",)),
        "numpy": Contestant(moons_mlp.numpy_loop),
    },
    quick=Quick(seconds=0.1),
    headline=({"batch_size": 32}, "pytorch"),
)
