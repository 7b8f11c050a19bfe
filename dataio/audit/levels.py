"""The levels of a shard's clips, from their json or from the sound itself, summed exactly.

So neither the order of the clips nor the number of workers can be seen in a mean: it is `math.fsum(values) / n`.
"""

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from dataio.audit.facts import in_order
from dataio.format import index
from dataio.format.clip import PAIRS, pair_extension
from dataio.format.table import FormatError

Origin = Literal["json", "pcm"]

_EXACT = 2**22  # samples whose squares add up without rounding: 2²² · 2³⁰ < 2⁵³
_LOUDEST = 1e6  # of full scale; floating-point sound may exceed 1, but no sound exceeds this
_MOST_PROBLEMS = 100  # kept of a shard, and of a set; the rest is counted


@dataclass
class Levels:
    """What a shard's clips say. total: ear → exact sum of their RMS. clips: ear → how many. problems: what could not be read."""

    total: dict[str, Fraction] = field(default_factory=dict)
    clips: dict[str, int] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    unread: int = 0

    def add(self, ear: str, rms: float) -> None:
        self.total[ear] = self.total.get(ear, Fraction(0)) + Fraction(rms)
        self.clips[ear] = self.clips.get(ear, 0) + 1

    def fail(self, problem: str) -> None:
        self.unread += 1
        if len(self.problems) < _MOST_PROBLEMS:
            self.problems.append(problem)

    def merge(self, other: "Levels") -> None:
        for ear, total in other.total.items():
            self.total[ear] = self.total.get(ear, Fraction(0)) + total
            self.clips[ear] = self.clips.get(ear, 0) + other.clips[ear]
        self.problems = (self.problems + other.problems)[:_MOST_PROBLEMS]
        self.unread += other.unread

    def mean(self) -> dict[str, float]:
        """ear → mean RMS; correctly rounded sums, as `math.fsum` gives them."""
        return {ear: float(self.total[ear]) / self.clips[ear] for ear in in_order(self.total)}


def shard_levels(name: str, *, folder: Path, origin: Origin) -> Levels:
    """Levels of the clips of the shard of this name. A clip that cannot be read is a problem in the result, not an exception."""
    result = Levels()
    try:
        entry = index.load(folder / f"{name}.npz", f"{name}.npz")
        with open(folder / f"{name}.tar", "rb") as tar:
            for ear, rms in (_from_json if origin == "json" else _from_sound)(entry, tar, result):
                result.add(ear, rms)
    except (OSError, FormatError) as error:
        result.fail(f"{name}: {error}")
    return result


def _member(entry: index.ShardIndex, tar: io.BufferedReader, row: int) -> bytes:
    """Raises ValueError where the bytes are not those of the index."""
    offset, length = int(entry.members["offset"][row]), int(entry.members["length"][row])
    tar.seek(offset)
    data = tar.read(length)
    if len(data) < length or (entry.checksums and index.crc32c(data) != entry.members["crc"][row]):
        raise ValueError(f"byte {offset}: does not match its checksum")
    return data


def _from_json(entry: index.ShardIndex, tar: io.BufferedReader, result: Levels) -> Iterator[tuple[str, float]]:
    for clip, row in enumerate(entry.column("json")):
        key = entry.clips["key"][clip].decode(errors="replace")
        if row < 0:
            continue
        try:
            yield from levels_in(json.loads(_member(entry, tar, int(row)))).items()
        except (ValueError, RecursionError) as error:
            result.fail(f"{entry.name}, {key}.json: {error}")


def levels_in(facts: Any) -> dict[str, float]:
    """The RMS values of a clip's json; none where it holds none.

    Raises:
        ValueError: they are no levels.
    """
    levels = facts.get("rms", {}) if isinstance(facts, dict) else None
    if not isinstance(levels, dict) or not all(_is_level(value) for value in levels.values()):
        raise ValueError("holds no levels: `rms` must map ears to numbers of 0 or more")
    return {ear: float(value) for ear, value in levels.items()}


def _is_level(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= _LOUDEST


def _from_sound(entry: index.ShardIndex, tar: io.BufferedReader, result: Levels) -> Iterator[tuple[str, float]]:
    kinds = [(pair, pair_extension(pair, kind)) for pair in PAIRS for kind in ("wav", "flac")]
    columns = [(pair, extension, entry.column(extension)) for pair, extension in kinds if extension in entry.extensions]
    for clip in range(len(entry)):  # clip by clip, as they lie in the tar
        for pair, extension, column in columns:
            if column[clip] < 0:
                continue
            try:
                left, right = rms(sound(_member(entry, tar, int(column[clip]))))
            except ValueError as error:
                result.fail(f"{entry.name}, {entry.clips['key'][clip].decode(errors='replace')}.{extension}: {error}")
                continue
            yield from ((f"{pair}.L", left), (f"{pair}.R", right))


def sound(data: bytes) -> np.ndarray:
    """(samples, 2) int16 of a WAV or FLAC file of 16 bits, float64 in [−1, 1] of any other.

    Raises:
        ValueError: it cannot be decoded, is empty, or has not two channels.
    """
    import soundfile

    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            pcm = file.read(dtype="int16" if file.subtype == "PCM_16" else "float64", always_2d=True)
    except (soundfile.LibsndfileError, OSError) as error:
        raise ValueError(f"cannot be decoded: {error}") from error
    if not len(pcm) or pcm.shape[1] != 2:
        raise ValueError(f"has {len(pcm)} samples of {pcm.shape[1]} channels; a pair has two")
    return pcm


def rms(pcm: np.ndarray) -> list[float]:
    """RMS of each channel of (samples, channels), of full scale: √(Σx² / n) / 32768 for int16, whose sum of squares is exact."""
    exact = pcm.dtype == np.int16
    squares = np.zeros(pcm.shape[1], object if exact else np.float64)  # Python's integers do not overflow
    for at in range(0, len(pcm), _EXACT):
        part = pcm[at : at + _EXACT].astype(np.float64)
        total = np.einsum("nc,nc->c", part, part)  # without the threads of a BLAS, whose number would show in float sound
        squares += total.astype(np.int64) if exact else total
    return [math.sqrt(total / len(pcm)) / (32768.0 if exact else 1.0) for total in squares]
