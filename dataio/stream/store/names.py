"""Where the files of a shard lie. Names come from the manifest, which anybody may have written."""

from dataio.format.manifest import Manifest
from dataio.format.table import FormatError


def file_of(manifest: Manifest, shard: int, extension: str) -> str:
    """The name of a shard's `tar` or `npz` beside the manifest.

    Raises:
        FormatError: it would lie elsewhere.
    """
    name = manifest.name(shard)
    if not name or "/" in name or "\\" in name or "\0" in name:
        raise FormatError(f"shard {shard} of the manifest is called {name!r}; allowed is the name of a file beside the manifest")
    return f"{name}.{extension}"
