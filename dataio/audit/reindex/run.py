"""The folder: tars in parallel, and then the manifest.

A tar is read once and never written to. One that is broken is refused and named, and the others go on; the manifest comes last.
"""

import math
import os
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from dataio.audit.reindex import publish
from dataio.audit.reindex.common import media, together
from dataio.audit.reindex.one import Indexed, Work, index_tar
from dataio.audit.report import Problem
from dataio.audit.untouchable import refuse_foreign, refuse_unfinished
from dataio.format import manifest
from dataio.ingest.executors import Executor


def reindex(
    folder: Path,
    executor: Executor,
    *,
    split: str = "train",
    headers_only: bool = False,
    replace: bool = False,
    on_tar: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, Any]:
    """Write .idx and .npz beside every tar of a folder, tars in parallel, and then the manifest of those that are right.

    Args:
        split: of tars whose clips do not name theirs, and which no manifest knows.
        headers_only: read no more than headers and first bytes: no checksums.
        replace: take the tars as they are, whatever a manifest that is there says of them.
        on_tar: told (tars done, tars in all).

    Returns:
        a report, as JSON. `ok`: no tar was refused. `written`: the manifest is new; it stays as it was where a tar that it names is
        refused, missing or not the same.

    Raises:
        FileNotFoundError: no such folder, or no tar in it.
        ValueError: the manifest that is there is damaged, or would lose its checksums; the folder holds an unfinished build, or a
            .npz of somebody else where an index must go; or not one tar could be indexed.
        OSError: an index cannot be written; the manifest is as it was.
    """
    paths = sorted(path for path in folder.glob("*.tar") if path.is_file() and not path.name.startswith("."))
    if not paths:
        raise FileNotFoundError(f"{folder} holds no tar" if folder.is_dir() else f"{folder} is no folder")
    old = None if replace or not (folder / manifest.FILE).is_file() else manifest.load(folder)
    known = _known(old)
    refuse_unfinished(folder)
    refuse_foreign(folder, known)
    if headers_only and any(expected[1] for _, expected in known.values()):
        raise ValueError(f"{folder / manifest.FILE} holds checksums, which headers alone cannot give: replace it, or index in full")
    work = [Work(path.stem, *known.get(path.stem, (split, None))) for path in paths]
    found: list[Indexed] = []
    run = os.getpid()
    publish.clear(folder, run)
    try:
        for one in executor.map(partial(index_tar, folder=folder, checksums=not headers_only, run=run), work):
            found.append(one)
            on_tar(len(found), len(paths))
        problems = [one.problem for one in found if one.problem]
        missing = [name for name in known if name not in {path.stem for path in paths}]
        problems += [Problem(f"{name}.tar", f"{manifest.FILE} names it, but it is not there") for name in missing]
        if len(problems) == len(paths) + len(missing):
            raise ValueError(f"not one tar of {folder} could be indexed: {problems[0]}")
        options = old.options if old else {"indexed": "headers" if headers_only else "checksums"}
        result = _manifest(found, options)
        written = not any(problem.file.removesuffix(".tar") in known for problem in problems)
        fresh = [file for one in found if written or _agrees(one, old) for file in one.fresh]
        publish.publish(folder, fresh, publish.write(folder, manifest.FILE, result.dump(), run) if written else ())
    finally:
        publish.clear(folder, run)
    return {
        "ok": not problems,
        "written": written,
        "shards": len(result),
        "clips": result.clips,
        "members": sum(one.members for one in found),
        "bytes": int(result.shards["bytes"].sum()),
        "recordings": len(result.recordings),
        "splits": {name: int(result.shards["clips"][result.select(name)].sum()) for name in result.splits},
        "checksums": not headers_only,
        "without_extension": sum(one.skipped for one in found),
        "not_files": sum(one.others for one in found),
        "refused": {problem.file: str(problem) for problem in problems},
        "mean_rms": result.mean_rms,
        "fingerprint": result.fingerprint,
    }


def _manifest(found: list[Indexed], options: Mapping[str, Any]) -> manifest.Manifest:
    """Of the tars that were not refused."""
    says = together(one.says for one in found if one.shard)
    mean_rms = {ear: math.fsum(parts) / count for ear, (count, parts) in says.rms.items()}
    return manifest.build([one.shard for one in found if one.shard], media(says), mean_rms, options)


def _known(old: manifest.Manifest | None) -> dict[str, tuple[str, tuple[int, int]]]:
    """Name → (split, (bytes, crc)) of the shards that a manifest names."""
    if old is None:
        return {}
    s = old.shards
    columns = (s["split"].tolist(), s["bytes"].tolist(), s["crc"].tolist())
    return {old.name(i): (old.splits[split], (size, crc)) for i, (split, size, crc) in enumerate(zip(*columns, strict=True))}


def _agrees(one: Indexed, old: manifest.Manifest | None) -> bool:
    """Whether the indexes of a tar do no harm to a manifest that stays: it does not name the tar, or names these very indexes."""
    if old is None or one.shard is None:
        return True
    row = np.flatnonzero(old.shards["name"] == one.name.encode())
    crcs = [(one.shard.index_crc, one.shard.idx_crc)]
    return (
        not len(row) or list(zip(old.shards["index_crc"][row].tolist(), old.shards["idx_crc"][row].tolist(), strict=True)) == crcs
    )
