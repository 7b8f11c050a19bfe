"""Recordings → shards → batches. What a training script needs is loaded when first used."""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

# torch's OpenMP threads spin while they wait for each other. Beside a loader that uses the same cores, one of them is always
# descheduled while the rest burn its time: on two cores with another job running, a step of 151 ms took 1271 ms. It must be said
# before torch is first imported; a value that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if TYPE_CHECKING:
    from dataio.stream.headspace import Headspace
    from dataio.stream.health import Health
    from dataio.stream.images.loader import ImageLoader
    from dataio.stream.images.spec import ViewSpec
    from dataio.stream.loader import ClipLoader
    from dataio.stream.spec import ClipSpec
    from dataio.stream.store.store import Cache

__all__ = ["Cache", "ClipLoader", "ClipSpec", "Headspace", "Health", "ImageLoader", "ViewSpec"]

_PLACES = {
    "Cache": "dataio.stream.store.store",
    "ClipLoader": "dataio.stream.loader",
    "ClipSpec": "dataio.stream.spec",
    "Headspace": "dataio.stream.headspace",
    "Health": "dataio.stream.health",
    "ImageLoader": "dataio.stream.images.loader",
    "ViewSpec": "dataio.stream.images.spec",
}


def __getattr__(name: str) -> Any:
    # importing torch and DALI takes seconds, which the builder and `--help` should not pay
    if name in _PLACES:
        return getattr(import_module(_PLACES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
