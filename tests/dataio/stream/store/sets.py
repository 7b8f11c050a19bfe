"""Sets of shards whose content is noise: for stores it need not be more."""

from pathlib import Path

import numpy as np

from dataio.format import index, manifest
from dataio.format.index import crc32c


def make_set(folder: Path, *, shards: int = 4, size: int = 100_000, seed: int = 0) -> dict[int, bytes]:
    """A manifest, tars of `size` bytes (row r has r bytes more) and their indexes. Row → bytes of the tar."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    rows, data = [], {}
    for row in range(shards):
        name = f"clips-{row:06d}"
        content = rng.bytes(size + row)
        member = index.Member("bin", 0, len(content), crc32c(content))
        table = index.build(f"{name}.tar", len(content), [index.Clip(f"a-{row:06d}", "a", 2.0 * row, (member,))]).dump()
        (folder / f"{name}.tar").write_bytes(content)
        (folder / f"{name}.npz").write_bytes(table)
        rows.append(manifest.Shard(name, 1, len(content), crc32c(content), crc32c(table), 0, "train", ("a",), ()))
        data[row] = content
    media = manifest.Media(2.0, 4, (32, 64), 48_000, ())
    (folder / manifest.FILE).write_bytes(manifest.build(rows, media, {}, {}).dump())
    return data
