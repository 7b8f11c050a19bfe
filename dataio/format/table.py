"""One columnar file: named NumPy arrays and a JSON head, in an uncompressed `.npz` that `numpy.load` opens too.

A million rows load in hundredths of a second, nothing in it can execute (pickle is refused), and the same content always gives the
same bytes, so that a checksum of the file is a checksum of the content.
"""

import io
import json
import math
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

_HEAD = "head"
_BEGIN = 10  # bytes: magic, version, length of what follows
_PIECE = 1 << 18  # bytes that are copied while they are in the cache
_NPY = re.compile(
    rb"\x93NUMPY\x01\x00..\{'descr': '([<>|][a-zA-Z]\d+)', 'fortran_order': False, 'shape': \(([\d, ]*)\), \} *\n", re.DOTALL
)
"""The head of an array as `numpy.save` has written it since 2006: version 1, its length, a dict of three."""


class FormatError(ValueError):
    """A file of a shard set is not what it claims to be; the message names the file."""


def dump(head: Mapping[str, Any], columns: Mapping[str, np.ndarray]) -> bytes:
    """The bytes of a table. `head` must be JSON; the columns keep their order."""
    text = json.dumps(head, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {_HEAD: np.frombuffer(text, np.uint8), **columns}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def load(data: bytes | Path, name: str, kind: str, version: int) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Head and columns of a table of this kind (`head["format"]`) and version.

    Args:
        data: the file's bytes, or where it lies.
        name: what to call the file in errors.

    Raises:
        FormatError: no table, damaged, another kind, or a version this program does not know.
        OSError: nothing at the path, or it cannot be read.
    """
    text = data if isinstance(data, bytes) else data.read_bytes()
    try:
        with zipfile.ZipFile(io.BytesIO(text)) as file:
            columns = {member.filename.removesuffix(".npy"): _array(file, member) for member in file.infolist()}
        head = json.loads(columns.pop(_HEAD).tobytes())
    except Exception as error:  # zipfile, NumPy and JSON meet damage with a dozen kinds of exception
        raise FormatError(f"{name} is damaged or no {kind}: {error}") from error
    if not isinstance(head, dict) or head.get("format") != kind:
        raise FormatError(f"{name} is no {kind}: its head says {head.get('format') if isinstance(head, dict) else head!r}")
    if head.get("version") != version:
        raise FormatError(f"{name} is {kind} version {head.get('version')}; this program reads version {version}: build it again")
    return head, columns


def _array(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> np.ndarray:
    """What `numpy.load` gives, which parses the head with `ast`. That fails now and then where several threads do it at once
    (CPython 3.11, gh-106905: the depth of recursion is counted for all threads together), and indexes are loaded by threads.
    """
    with archive.open(member) as file:
        begin = file.read(_BEGIN)
        words = file.read(int.from_bytes(begin[-2:], "little"))
        head = _NPY.fullmatch(begin + words)
        if head is None:
            raise ValueError(f"{member.filename} has no head that is known")
        dtype, shape = np.dtype(head[1].decode()), tuple(int(n) for n in head[2].split(b",") if n.strip())
        if dtype.hasobject or dtype.itemsize * math.prod(shape) != member.file_size - head.end():
            raise ValueError(f"{member.filename} is no array of {shape} {dtype}")
        array = np.empty(shape, dtype)
        flat = array.reshape(-1).view(np.uint8)
        for at in range(0, len(flat), _PIECE):
            flat[at : at + _PIECE] = np.frombuffer(file.read(_PIECE), np.uint8)
        file.read()  # the archive's checksum is looked at when it ends
    return array


def take(columns: Mapping[str, np.ndarray], name: str, expected: Mapping[str, str]) -> dict[str, np.ndarray]:
    """The expected columns, each checked for its dtype kind (`i`, `u`, `f`, `S`), and all for the same length.

    Raises:
        FormatError: a column is missing, of another kind or of another length; the message names file and column.
    """
    length = None
    for column, kind in expected.items():
        if column not in columns:
            raise FormatError(f"{name} lacks the column {column!r}")
        if columns[column].dtype.kind != kind:
            raise FormatError(f"{name}: column {column!r} is {columns[column].dtype}, not of kind {kind!r}")
        length = columns[column].shape if length is None else length
        if columns[column].ndim != 1 or columns[column].shape != length:
            raise FormatError(f"{name}: column {column!r} has the shape {columns[column].shape}, others have {length}")
    return {column: columns[column] for column in expected}


def check_range(column: np.ndarray, name: str, what: str, low: int, high: int) -> None:
    """Raises FormatError unless every value is in [low, high); the message names the file and what the values are."""
    if len(column) and not low <= int(column.min()) <= int(column.max()) < high:
        raise FormatError(f"{name}: {what} runs from {column.min()} to {column.max()}, outside {low} … {high - 1}")
