"""Walking a tar: every member's place, name and sample, the facts in its first bytes, and checksums; each byte is read once."""

import mmap
import os
from pathlib import Path

import numpy as np

from dataio.format import headers, index
from dataio.format.tar import faults, tables
from dataio.format.tar.columns import FACTS, FIRST_BLOCK, HEADER, LATER, LENGTH, NAME, OFFSET
from dataio.format.tar.faults import TarError
from dataio.format.tar.kernel import fill
from dataio.format.tar.sums import sums
from dataio.format.tar.walked import Walk
from dataio.format.tar.window import window


def walk(path: Path, *, checksums: bool = True) -> Walk:
    """Read a tar from front to back; without checksums, its headers and the first bytes of its members only.

    Raises:
        TarError: cut off, damaged, not a tar, or no proper WebDataset; the message names file and byte.
        OSError: it cannot be read.
    """
    with open(path, "rb", buffering=0) as file:
        fd = file.fileno()
        size = os.fstat(fd).st_size
        if checksums:
            os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_SEQUENTIAL)
        fault, state, t = _fill(fd, size, checksums)
        at = int(state[tables.AT])
        if fault == faults.READ:
            os.pread(fd, 1, at)  # raises what the compiled loop could not
        if fault:
            raise TarError(path.name, at, faults.TEXTS[fault])
        rows, clips, names = t.rows[: state[tables.MEMBERS]], t.clips[: state[tables.CLIPS]], t.names[: state[tables.NAMED]]
        _check_names(path.name, names, rows)
        blocks = t.blocks[: state[tables.BLOCKS]]
        if rows[:, LATER].any():
            blocks = _look_later(fd, rows, blocks, checksums)
    words = _words(names, t.extensions[: state[tables.EXTENSIONS]]), _words(names, t.recordings[: state[tables.RECORDINGS]])
    whole, skipped, others = state[[tables.WHOLE, tables.SKIPPED, tables.OTHERS]].tolist()
    return Walk(size, whole, skipped, others, rows, clips, names, t.texts, blocks, *words)


def _fill(fd: int, size: int, checksums: bool) -> tuple[int, np.ndarray, tables.Tables]:
    """Walk a file; the compiled loop comes back whenever a table is full. A fault or none, where it stands, and what it found."""
    w, s = window(fd, size, whole=checksums), sums(wanted=checksums)
    state, t = tables.begin(size)
    while (fault := fill(w, s, t, state)) == faults.FULL:
        t = tables.larger(t, state, size)
    return fault, state, t


def _words(names: np.ndarray, places: np.ndarray) -> tuple[str, ...]:
    return tuple(names[at : at + length].tobytes().decode() for at, length, *_ in places.tolist())


def _check_names(tar: str, names: np.ndarray, rows: np.ndarray) -> None:
    try:
        names.tobytes().decode()
    except UnicodeDecodeError as error:
        member = int(np.searchsorted(rows[:, NAME], error.start, "right")) - 1
        raise TarError(tar, int(rows[member, HEADER]), "a name that is not UTF-8") from None


def _look_later(fd: int, rows: np.ndarray, blocks: np.ndarray, checksums: bool) -> np.ndarray:
    """Facts of members whose head is longer than the window; PCM found there gets its block checksums at the end of all."""
    # The mapping goes with its last reference, no sooner: numba keeps the arguments of a call for which it compiled for a while.
    data = np.frombuffer(mmap.mmap(fd, 0, prot=mmap.PROT_READ), np.uint8)
    more = [blocks]
    count = len(blocks)
    for member in np.flatnonzero(rows[:, LATER]):
        begin, length = rows[member, OFFSET], rows[member, LENGTH]
        row = rows[member, FACTS:FIRST_BLOCK]
        headers.read(data, begin, begin + length, length, row)
        if checksums and row[headers.DATA]:
            crcs = index.block_checksums(data[begin : begin + length])
            rows[member, FIRST_BLOCK] = count
            count += len(crcs)
            more.append(np.array(crcs, np.uint32))
    return np.concatenate(more)
