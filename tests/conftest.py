"""Settings of the whole suite, made before a jax backend starts."""

import contextlib
import os
import shutil
import signal
import tempfile

import hypothesis
import jax
import jaxlib
import pytest

CACHE = tempfile.mkdtemp(
    prefix="jaxdl-tests-"
)  # of one worker, and of the processes that its tests start
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["XDG_CACHE_HOME"] = CACHE
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
if "JAX_NUM_CPU_DEVICES" not in os.environ:
    with contextlib.suppress(RuntimeError):  # a backend that has started keeps its devices
        jax.config.update("jax_num_cpu_devices", 2)

# Compiling is most of the suite's time. Tests marked `full` are about bits, what users run or
# others' numbers, and compile as users do; all others with few optimisations. XLA's older code
# generator, which jaxlib had until 0.10, takes half the time again. XLA reads its flags once a
# process, so only a run without `full` can have it.
OLDER = "--xla_cpu_use_fusion_emitters=false"


def has_older_generator():
    """Whether this jaxlib knows the flag: XLA ends a process that gives it an unknown one."""
    return jaxlib.__version__.startswith("0.10.")


def pytest_configure(config):
    """Starts the backend: from here on nothing changes the number of devices, nor XLA's flags."""
    if "not full" in config.option.markexpr and has_older_generator():
        flags = os.environ.get("XLA_FLAGS", "")
        os.environ["XLA_FLAGS"] = f"{flags} {OLDER}"  # of the commands that a test starts as well
    jax.local_devices()
    # A shell's background job ignores Ctrl-C, and so would the tests that send it, for ever.
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="module")
def quick_compiles(request):
    """Compiles with few optimisations outside the modules marked `full`, commands too."""
    quick = request.node.get_closest_marker("full") is None
    jax.config.update("jax_disable_most_optimizations", quick)
    if quick:
        os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    os.environ.pop("JAX_DISABLE_MOST_OPTIMIZATIONS", None)
    # gigabytes by the end, which Python's garbage collector would go through again and again
    jax.clear_caches()


hypothesis.settings.register_profile(
    "jaxdl", derandomize=True, deadline=None, max_examples=25, database=None
)
hypothesis.settings.load_profile("jaxdl")

collect_ignore = ["golden"]  # a script that needs PyTorch, and its arrays


def pytest_unconfigure():
    shutil.rmtree(CACHE, ignore_errors=True)
