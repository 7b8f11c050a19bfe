"""Recordings → shards → batches. The two names that a training script needs are loaded when first used."""

from typing import TYPE_CHECKING, Any

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
