"""The programs that the engine compiles are made for GPU and TPU on a machine that has neither."""

import jax
import numpy as np
import optax
import pytest
from jax import export
from jax.sharding import Mesh

from jaxdl import Study, data, models, tasks
from jaxdl.running import compiler

FEW = {"steps": 2, "eval_every": 2, "lane_size": 2}
MOONS = tasks.moons(20)
PICTURES = tasks.images_from_arrays(np.arange(1280.0).reshape(20, 8, 8), [0, 1] * 10)


def mlp(hp):
    return models.mlp(2, (hp.width,), 2)


def cnn(hp):
    return models.cnn((hp.width, 3), 2, inputs=(1, 8, 8))


def rnn(hp):
    return models.rnn(1, hp.width, 10, length=data.palindrome_steps(hp.length))


def palindromes(hp):
    return tasks.palindromes(hp.length, train_samples=4, test_samples=4)


PARTS = {"mlp": (MOONS, mlp), "cnn": (PICTURES, cnn), "rnn": (palindromes, rnn)}
PADDED = {"width": [2, 3], "batch_size": [3, 4]}


def study(network, padded):
    task, model = PARTS[network]
    sweep = dict(PADDED) if padded else {"width": [2], "batch_size": [3]}
    if network == "rnn":
        sweep["length"] = [4, 5] if padded else [5]
    shapes = "pad" if padded else "bucket"
    made = Study(task, model, optax.adam(0.1), sweep=sweep, seeds=2, shapes=shapes, **FEW)
    return made, made.plan().programs


@pytest.mark.parametrize("padded", [False, True], ids=["plain", "padded"])
@pytest.mark.parametrize("network", PARTS)
def test_every_lane_program_is_exported_for_devices_that_are_not_here(network, padded, monkeypatch):
    made, (program,) = study(network, padded)
    assert bool(program.names("padded")) == padded
    # what is chosen by backend is to be chosen as elsewhere: all choices are of the CPU or not
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    mesh = Mesh(np.array(jax.devices()[:1]), ("lanes",))
    chunk = compiler.chunk_of(made.spec.parts, program, mesh)
    for platform in ("cuda", "tpu"):
        init = export.export(chunk.init, platforms=[platform])(*chunk.init_arguments)
        segment = export.export(chunk.segment, platforms=[platform])(*chunk.segment_arguments)
        assert init.platforms == segment.platforms == (platform,)
        # a lane after steps is a lane as at its start: the one program goes on from the other
        assert segment.out_avals == init.out_avals[: len(segment.out_avals)]
