"""Opens a run: its manifest, with a study's lanes in it, in memory or on disk."""

import pathlib
from collections.abc import Callable

from jaxdl.planning.axes import Plan
from jaxdl.planning.program import Program
from jaxdl.planning.spec import Spec
from jaxdl.running import manifest as manifests
from jaxdl.running import store
from jaxdl.running.mismatch import check_same


def open_run(
    run: pathlib.Path | None,
    spec: Spec,
    lane_size: int | None,
    make_plan: Callable[[Spec], Plan],
    identify: Callable[[Program], dict],
    before: dict | None = None,
) -> dict:
    """Returns the manifest of a run with a study's lanes in it, on disk where there is a folder.

    Args:
      run: the folder, made where it is not there; None keeps all in memory.
      lane_size: that the run must have; any where None.
      make_plan: ``(spec) -> Plan``, called for the configs that have no program yet.
      identify: ``(program) -> JSON`` of what it trains, see `identity.identity_of`.
      before: the manifest that a run in memory has already, which grows.

    Raises:
      ValueError: the folder holds another study, or something else.
    """
    if run is None:
        begun = before or manifests.empty(spec)
        return manifests.grow(begun, spec, make_plan, lambda program: {})
    # Growth is compare-and-swap: planning takes seconds, so the manifest is read, grown, and
    # written only if it is still the one that was read; else what another process has made of it is
    # grown.
    while True:
        new = store.is_new(run)  # asked first: another process may begin the run in between
        stored = store.read_manifest(run)
        if stored is not None:
            check_same(manifests.checked(stored, run), spec, lane_size, run, identify)
        elif not new:
            raise ValueError(
                f"path must be a new folder or one that holds this study, got {run}, which "
                "holds something else"
            )
        manifest = manifests.grow(stored or manifests.empty(spec), spec, make_plan, identify)
        if manifest == stored or store.swap_manifest(run, stored, manifest):
            store.drop_leftovers(run)
            return manifest
