"""Settings of the whole suite, made before a jax backend starts."""

import contextlib
import os
import shutil
import tempfile

import hypothesis
import jax
import pytest

CACHE = tempfile.mkdtemp(prefix="jaxdl-tests-")
os.environ["JAX_COMPILATION_CACHE_DIR"] = CACHE  # for the processes that tests start
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
if "JAX_NUM_CPU_DEVICES" not in os.environ:
    with contextlib.suppress(RuntimeError):  # a backend that has started keeps its devices
        jax.config.update("jax_num_cpu_devices", 2)
jax.local_devices()  # starts the backend: from here on nothing changes the number of devices

QUICK = ("test_plan", "test_study")


@pytest.fixture(autouse=True, scope="module")
def quick_compiles(request):
    """Compiles with few optimisations where values are looked at and neither bits nor speed: most of these tests' time."""
    quick = request.module.__name__ in QUICK
    jax.config.update("jax_disable_most_optimizations", quick)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


hypothesis.settings.register_profile("jaxdl", derandomize=True, deadline=None, max_examples=25, database=None)
hypothesis.settings.load_profile("jaxdl")

collect_ignore = ["golden"]  # a script that needs PyTorch, and its arrays


def pytest_unconfigure():
    shutil.rmtree(CACHE, ignore_errors=True)
