"""Settings of the whole suite, made before a jax backend starts."""

import contextlib
import os
import shutil
import tempfile

import hypothesis
import jax
import pytest
from jax._src import compiler

CACHE = tempfile.mkdtemp(prefix="jaxdl-tests-")  # of one worker, and of the processes that its tests start
os.environ["JAX_COMPILATION_CACHE_DIR"] = os.environ["XDG_CACHE_HOME"] = CACHE
jax.config.update("jax_compilation_cache_dir", CACHE)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update("jax_debug_key_reuse", True)
if "JAX_NUM_CPU_DEVICES" not in os.environ:
    with contextlib.suppress(RuntimeError):  # a backend that has started keeps its devices
        jax.config.update("jax_num_cpu_devices", 2)
jax.local_devices()  # starts the backend: from here on nothing changes the number of devices

FLAGS = os.environ.get("XLA_FLAGS", "")
FULL = ("test_engine", "test_experiments", "test_from_flax", "test_golden")  # bits, what users run, others' numbers


def _options(*args, env_options_overrides=None, original=compiler.get_compile_options, **named):
    """XLA's options; with few optimisations, also without its newer code generator, which takes twice as long."""
    more = {"xla_cpu_use_fusion_emitters": False} if jax.config.values["jax_disable_most_optimizations"] else {}
    return original(*args, env_options_overrides={**(env_options_overrides or {}), **more}, **named)


compiler.get_compile_options = _options  # inside jax: there is no public way


@pytest.fixture(autouse=True, scope="module")
def quick_compiles(request):
    """Compiles with few optimisations outside FULL, commands too: compiling is most of the suite's time."""
    quick = request.module.__name__.removeprefix("tests.") not in FULL
    jax.config.update("jax_disable_most_optimizations", quick)
    chosen = {"JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "XLA_FLAGS": f"{FLAGS} --xla_cpu_use_fusion_emitters=false"} if quick else {}
    os.environ.update(chosen)
    yield
    jax.config.update("jax_disable_most_optimizations", False)
    os.environ.pop("JAX_DISABLE_MOST_OPTIMIZATIONS", None)
    os.environ["XLA_FLAGS"] = FLAGS
    jax.clear_caches()  # gigabytes by the end, which Python's garbage collector would go through again and again


hypothesis.settings.register_profile("jaxdl", derandomize=True, deadline=None, max_examples=25, database=None)
hypothesis.settings.load_profile("jaxdl")

collect_ignore = ["golden"]  # a script that needs PyTorch, and its arrays


def pytest_unconfigure():
    shutil.rmtree(CACHE, ignore_errors=True)
