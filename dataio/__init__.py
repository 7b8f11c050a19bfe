"""Recordings → shards → batches. The two names that a training script needs are loaded when first used."""

import os
from typing import TYPE_CHECKING, Any

# torch's OpenMP threads spin while they wait for each other. Beside a loader that uses the same cores, one of them is always
# descheduled while the rest burn its time: on two cores with another job running, a step of 151 ms took 1271 ms. It must be said
# before torch is first imported; a value that the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

if TYPE_CHECKING:
    from dataio.stream.loader import ClipLoader
    from dataio.stream.spec import ClipSpec

__all__ = ["ClipLoader", "ClipSpec"]


def __getattr__(name: str) -> Any:
    # importing torch and DALI takes seconds, which the builder and `--help` should not pay
    if name == "ClipLoader":
        from dataio.stream.loader import ClipLoader

        return ClipLoader
    if name == "ClipSpec":
        from dataio.stream.spec import ClipSpec

        return ClipSpec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
