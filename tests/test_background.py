"""Work that cannot be interrupted: Ctrl-C while XLA compiles ends a process at once, and as Python
would end it."""

import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from jaxdl import Study, models, tasks
from jaxdl.planning import background
from jaxdl.types import Model

ROOT = pathlib.Path(__file__).parent.parent
UNROLLED = (
    1000  # steps of a loop that the compiler takes apart: half a minute and more of compiling
)


def slow_to_compile():
    """A study that takes seconds to trace and a minute to compile."""

    def apply(params, state, x, *, key=None, train=False):
        def one(x, _):
            return jnp.sin(params @ x) + jnp.cos(x[::-1]), None

        return jax.lax.scan(one, x, None, length=UNROLLED, unroll=UNROLLED)[0], state

    model = Model(lambda key: (jax.random.normal(key, (2, 2)), ()), apply)
    return Study(tasks.moons(40), model, optax.sgd(0.1), steps=2, batch_size=8, lane_size=1)


def script(run):
    slow_to_compile().run(run, progress=True)


def command(run):
    """`python -m experiments`, with an experiment that is slow to compile."""
    import runpy

    from experiments import frame

    frame.run = lambda experiment, options: script(options.out)
    sys.argv = ["experiments", "batch_size", "--out", run]
    runpy.run_module("experiments", run_name="__main__")


def begun(what: str, run, line: str = "compiling program") -> subprocess.Popen:
    """The script or the command as a process of its own, once it has said a line."""
    code = "import sys; sys.path[:0] = sys.argv[1:3]; import test_background; getattr(test_background, sys.argv[3])(sys.argv[4])"
    arguments = [sys.executable, "-u", "-c", code, str(ROOT), str(ROOT / "tests"), what, str(run)]
    environment = {
        **os.environ,
        "JAXDL_CACHE": "off",
        "JAX_ENABLE_COMPILATION_CACHE": "0",
        "JAX_NUM_CPU_DEVICES": "2",
    }
    process = subprocess.Popen(
        arguments, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    )
    while line not in (said := process.stderr.readline()):
        assert said, process.communicate()
    return process


@pytest.mark.parametrize(
    ("what", "times", "code"),
    [("command", 1, 130), ("command", 2, 130), ("script", 1, -signal.SIGINT)],
)
def test_ctrl_c_while_compiling_ends_the_process_at_once(what, times, code, tmp_path):
    process = begun(what, tmp_path / "run")
    time.sleep(0.5)  # well inside the compiler
    begin = time.monotonic()
    try:
        for _ in range(times):
            process.send_signal(signal.SIGINT)
            time.sleep(0.05)
        out, err = process.communicate(timeout=20)
    finally:
        process.kill()  # where it goes on compiling: it would take gigabytes
    assert time.monotonic() - begin < 6
    assert process.returncode == code
    assert out == ""
    assert (
        "interrupted" if times > 1 else "interrupted while compiling: the same call continues"
    ) in err
    assert ("Traceback" in err) == (what == "script")
    assert "FATAL" not in err


def test_work_is_done_in_order_and_its_errors_are_its_futures():
    done = []

    def fail():
        raise LookupError("no such thing")

    first, second, third = background.start(
        [lambda: done.append(1) or 1, fail, lambda: done.append(3) or 3]
    )
    assert (first.result(), third.result(), done) == (1, 3, [1, 3])
    with pytest.raises(LookupError, match="no such thing"):
        second.result()
    with pytest.raises(LookupError):
        background.call(fail)


def test_what_has_not_begun_can_be_taken_back():
    go, done = threading.Event(), []
    first, *others = background.start([go.wait, *[lambda: done.append(1)] * 3])
    assert [future.cancel() for future in others] == [True] * 3
    go.set()
    assert first.result()
    assert background.call(lambda: done) == []


def test_threads_work_under_their_callers_settings_of_jax():
    found = lambda: (jax.config.jax_enable_x64, jax.config.jax_default_matmul_precision)
    assert background.call(found) == (False, None)
    with jax.enable_x64(True), jax.default_matmul_precision("highest"):
        assert background.call(found) == (True, "highest")
    assert background.call(found) == (False, None)


def test_a_program_whose_compiling_was_taken_back_is_compiled_by_the_next_run():
    study = Study(
        tasks.moons(40), models.mlp(2), optax.sgd(0.1), steps=2, batch_size=8, lane_size=1
    )
    (program,) = study.plan().programs
    taken = background.Future()
    taken.cancel()
    study._ready[repr(program)] = taken
    assert np.isfinite(study.run().final("test_loss")).all()


def test_a_process_waits_for_what_is_at_work_where_it_was_not_interrupted(tmp_path):
    code = "import sys, time; from jaxdl.planning import background; background.start([lambda: (time.sleep(0.5), print('done'))]); sys.exit(3)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (3, "done\n", "")
    code = code.replace("sys.exit(3)", "background.leave(4)")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout, done.stderr) == (4, "", "")
