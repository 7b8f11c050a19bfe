"""One columnar file: named NumPy arrays and a JSON head, in an uncompressed `.npz` that `numpy.load` opens too.

A million rows load in a few milliseconds, nothing in it can execute (pickle is refused), and the same content always gives the
same bytes, so that a checksum of the file is a checksum of the content.
"""

import io
import json
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_HEAD = "head"


class FormatError(ValueError):
    """A file of a shard set is not what it claims to be; the message names the file."""


def dump(head: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a table. `head` must be JSON; the columns keep their order."""
    text = json.dumps(head, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    buffer = io.BytesIO()
    np.savez(buffer, **{_HEAD: np.frombuffer(text, np.uint8)}, **columns)
    return buffer.getvalue()


def load(data: bytes | Path, name: str, kind: str, version: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Head and columns of a table of this kind (`head["format"]`) and version.

    Args:
        data: the file's bytes, or where it lies.
        name: what to call the file in errors.

    Raises:
        FormatError: no table, damaged, another kind, or a version this program does not know.
        FileNotFoundError: nothing at the path.
    """
    try:
        with np.load(io.BytesIO(data) if isinstance(data, bytes) else data, allow_pickle=False) as file:
            columns = {key: file[key] for key in file.files}
        head = json.loads(columns.pop(_HEAD).tobytes())
    except FileNotFoundError:
        raise
    except (KeyError, ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise FormatError(f"{name} is damaged or no {kind}: {error}") from error
    if not isinstance(head, dict) or head.get("format") != kind:
        raise FormatError(f"{name} is no {kind}: its head says {head.get('format') if isinstance(head, dict) else head!r}")
    if head.get("version") != version:
        raise FormatError(f"{name} is {kind} version {head.get('version')}; this program reads version {version}")
    return head, columns


def take(columns: Mapping[str, np.ndarray], name: str, expected: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The expected columns, each checked for its dtype kind (`i`, `u`, `f`, `S`).

    Raises:
        FormatError: a column is missing or of another kind; the message names file and column.
    """
    for column, kind in expected.items():
        if column not in columns:
            raise FormatError(f"{name} lacks the column {column!r}")
        if columns[column].dtype.kind != kind:
            raise FormatError(f"{name}: column {column!r} is {columns[column].dtype}, not of kind {kind!r}")
    return {column: columns[column] for column in expected}
