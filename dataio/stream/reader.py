"""From clip ids to checked bytes: which members, which ranges, and proof that they are the right ones."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from dataio.format.clip import frame_extension, pair_extension
from dataio.format.index import BLOCK, ShardIndex, crc32c
from dataio.stream.buffers import BufferPool
from dataio.stream.errors import CorruptClipError
from dataio.stream.order.choices import heard
from dataio.stream.spec import ClipSpec, SpecError
from dataio.stream.store.errors import CutShortError
from dataio.stream.store.store import Store

__all__ = ["ClipReader", "CorruptClipError", "Picture", "RawClip", "Sound"]

_GAP = 64 * 1024  # bytes: two ranges nearer than this are read in one go; a second request costs more than the bytes between
_CONTAINERS = ("mp4", "webm")


@dataclass(frozen=True)
class Sound:
    """The sound windows of a clip. pairs: one a pair of the spec, (samples, 2) int16, what is to be heard left in column 0.
    gains: (P, 2) float32, of the ears in the same order.
    """

    pairs: list[np.ndarray]
    gains: np.ndarray


@dataclass(frozen=True)
class Picture:
    """The encoded frames of a clip: F JPEGs, or one container; `offset` is where the clip begins in it, seconds (None: it holds
    just the clip).
    """

    parts: list[np.ndarray]
    offset: float | None = None


@dataclass(frozen=True)
class RawClip:
    """The bytes of a clip that a batch needs.

    recording: global id within its set. seconds: where the clip begins in its recording. maps: `flow`, `mask`, `labels` → PNG.
    """

    shard: int
    row: int
    recording: int
    seconds: float
    picture: Picture = Picture([])
    sound: Sound | None = None
    maps: dict[str, np.ndarray] = field(default_factory=dict)

    @property
    def bytes(self) -> int:
        """That were asked for; blocks of checksums and what lies between members come on top."""
        parts = [*self.picture.parts, *self.maps.values(), *(self.sound.pairs if self.sound else ())]
        return sum(part.nbytes for part in parts)


@dataclass(frozen=True)
class _Range:
    """Bytes [low, high) of a member, which are whole checksum units. low, high: from the member's first byte."""

    member: int
    low: int
    high: int


class ClipReader:
    """Reads the members that a spec needs, and no others. Safe to use from several threads.

    Raises:
        SpecError: the set lacks what the spec asks for.
    """

    def __init__(self, store: Store, spec: ClipSpec) -> None:
        spec.check(store.manifest)
        self.store, self.spec = store, spec
        self._buffers = BufferPool()
        media = store.manifest.media
        self._jpegs = media.picture == "jpeg"
        self._copied = media.picture == "copy"
        self._kind = "flac" if media.sound == "flac" else "wav"
        self._frames = [frame_extension(i * media.frames // spec.frames) for i in range(spec.frames)] if self._jpegs else []

    @property
    def buffer_bytes(self) -> int:
        """Memory that is kept for the bytes of clips."""
        return self._buffers.bytes

    def locate(self, clip: int) -> tuple[int, int]:
        """Shard and row in its index of a clip by its id within the set."""
        first = self.store.manifest.first_clip
        shard = int(np.searchsorted(first, clip, side="right")) - 1
        return shard, clip - int(first[shard])

    def read(self, clip: int, start: int, turn: int, mirror: bool) -> RawClip:
        """All that the spec asks for of a clip, by its id within the set.

        Args:
            start: first sample of the sound window. turn, mirror: as in `choices`.

        Raises:
            CorruptClipError: a checksum or a fact is wrong, or the shard ends too early. OSError: the storage failed.
            SpecError: this clip has no such member.
        """
        return self._read(clip, start, turn, mirror, seen=True)

    def listen(self, clip: int, start: int, turn: int, mirror: bool) -> RawClip:
        """The sound alone, for a partner. Raises what `read` raises."""
        return self._read(clip, start, turn, mirror, seen=False)

    def _read(self, clip: int, start: int, turn: int, mirror: bool, *, seen: bool) -> RawClip:
        shard, row = self.locate(clip)
        index = self.store.index(shard)
        if self.spec.partner and not np.isfinite(index.clips["start"][row]):
            member = self._member(index, row, pair_extension(self.spec.pairs[0], self._kind), "pairs")
            raise self._corrupt(index, row, member, "its clip says no time at which it begins, so no gap can be told")
        pictures = self._pictures(index, row) if seen and self.spec.frames else []
        maps = [self._map(index, row, name) for name in self.spec.maps] if seen else []
        facts = [self._whole(index, row, "json", "frames")] if self._copied and pictures else []
        heard_pairs = heard(self.spec.pairs, turn, mirror)
        windows = [self._window(index, row, pair, start) for pair, _ in heard_pairs]
        wanted = [*pictures, *maps, *facts, *windows]
        data = self._fetch(shard, index, row, wanted)
        offset = self._offset(index, row, facts[0].member, data[len(pictures) + len(maps)]) if facts else None
        sound = self._sound(index, row, heard_pairs, windows, data[len(wanted) - len(windows) :], start) if windows else None
        return RawClip(
            shard=shard,
            row=row,
            recording=int(self.store.manifest.shard_recordings(shard)[index.clips["recording"][row]]),
            seconds=float(index.clips["start"][row]),
            picture=Picture(data[: len(pictures)], offset),
            sound=sound,
            maps=dict(zip(self.spec.maps, data[len(pictures) :], strict=False)) if maps else {},
        )

    # which ranges

    def _member(self, index: ShardIndex, row: int, extension: str, field: str) -> int:
        member = int(index.column(extension)[row])
        if member < 0:
            raise SpecError(f"{field}: clip {index.clips['key'][row].decode()} of {index.name} has no member {extension}")
        return member

    def _whole(self, index: ShardIndex, row: int, extension: str, field: str) -> _Range:
        member = self._member(index, row, extension, field)
        return _Range(member, 0, int(index.members["length"][member]))

    def _pictures(self, index: ShardIndex, row: int) -> list[_Range]:
        if self._jpegs:
            ranges = [self._whole(index, row, extension, "frames") for extension in self._frames]
        else:
            kept = [extension for extension in _CONTAINERS if index.column(extension)[row] >= 0]
            ranges = [self._whole(index, row, kept[0] if kept else _CONTAINERS[0], "frames")]
        for r in ranges:
            self._check_size(index, row, r.member)
        return ranges

    def _map(self, index: ShardIndex, row: int, name: str) -> _Range:
        found = self._whole(index, row, f"{name}.png", name)
        self._check_size(index, row, found.member)
        return found

    def _check_size(self, index: ShardIndex, row: int, member: int) -> None:
        """Before anything is decoded: a hostile picture could claim gigabytes."""
        size = self.store.manifest.media.size
        if size == (0, 0):  # copied packets keep the size of their recording
            return
        if (index.members["height"][member], index.members["width"][member]) != size:
            raise self._corrupt(index, row, member, f"picture is not {size[0]}x{size[1]}, as the manifest says")

    def _window(self, index: ShardIndex, row: int, pair: str, start: int) -> _Range:
        """The range of a sound window, widened to whole checksum blocks; of FLAC, everything."""
        member = self._member(index, row, pair_extension(pair, self._kind), "pairs")
        facts, samples = index.members, self.spec.samples
        held, length = int(facts["samples"][member]), int(facts["length"][member])
        short = f"holds no window of {samples} samples from {start} of 2 channels"
        if facts["channels"][member] != 2 or start + samples > held:
            raise self._corrupt(index, row, member, short)
        if self._kind == "flac":
            return _Range(member, 0, length)
        begin = int(facts["data"][member]) + 4 * start
        end = begin + 4 * samples
        if end > length:
            raise self._corrupt(index, row, member, short)
        return _Range(member, begin // BLOCK * BLOCK, min(-(-end // BLOCK) * BLOCK, length))

    # their bytes

    def _fetch(self, shard: int, index: ShardIndex, row: int, wanted: Sequence[_Range]) -> list[np.ndarray]:
        """The checked bytes of every range, with as few reads as there are gaps between them."""
        offset = index.members["offset"]
        begins = [int(offset[r.member]) + r.low for r in wanted]
        ends = [begin + r.high - r.low for begin, r in zip(begins, wanted, strict=True)]
        order = sorted(range(len(wanted)), key=lambda i: begins[i])
        result: list[np.ndarray] = [_NOTHING] * len(wanted)
        at = 0
        while at < len(order):
            to, end = at + 1, ends[order[at]]
            while to < len(order) and begins[order[to]] - end <= _GAP:
                end, to = max(end, ends[order[to]]), to + 1
            low = begins[order[at]]
            run = self._buffers.bytes_of(end - low)
            members = [(i, begins[i] - low, ends[i] - low) for i in order[at:to]]
            self._read_run(shard, index, row, low, run, [(wanted[i], run[a:b]) for i, a, b in members])
            for i, a, b in members:
                result[i] = run[a:b]
            at = to
        return result

    def _read_run(
        self, shard: int, index: ShardIndex, row: int, low: int, run: np.ndarray, parts: list[tuple[_Range, np.ndarray]]
    ) -> None:
        """Fill a run and check its parts. What does not match is read once more, past any cache: maybe it was hurt on the way."""
        wrong: CorruptClipError | None = None
        for attempt in range(2):
            try:
                self.store.read(shard, low, run, fresh=attempt > 0)
            except CutShortError as error:
                raise self._beyond(index, row, parts, error) from error
            wrong = next((found for r, data in parts if (found := self._mismatch(index, row, r, data))), None)
            if wrong is None:
                return
        assert wrong is not None
        raise wrong

    def _mismatch(self, index: ShardIndex, row: int, r: _Range, data: np.ndarray) -> CorruptClipError | None:
        if not index.checksums:
            return None
        first = int(index.members["block"][r.member])
        if first < 0:
            if crc32c(data) != index.members["crc"][r.member]:
                return self._corrupt(index, row, r.member, "checksum mismatch")
            return None
        for i, at in enumerate(range(0, r.high - r.low, BLOCK), r.low // BLOCK):
            if crc32c(data[at : at + BLOCK]) != index.block_crc[first + i]:
                return self._corrupt(index, row, r.member, f"checksum mismatch in block {i}")
        return None

    def _beyond(
        self, index: ShardIndex, row: int, parts: list[tuple[_Range, np.ndarray]], error: CutShortError
    ) -> CorruptClipError:
        """The first part that a shard which ends too early does not hold."""
        ends = [int(index.members["offset"][r.member]) + r.high for r, _ in parts]
        lost = next((r for (r, _), end in zip(parts, ends, strict=True) if end > error.end), parts[-1][0])
        return self._corrupt(index, row, lost.member, f"the shard ends at byte {error.end}, before this member does")

    def _sound(
        self, index: ShardIndex, row: int, pairs: list[tuple[str, bool]], windows: list[_Range], data: list[np.ndarray], start: int
    ) -> Sound:
        found, gains = [], []
        for (pair, swap), window, raw in zip(pairs, windows, data, strict=True):
            if self._kind == "flac":
                pcm = self._decoded(index, row, window.member, raw, start)
            else:
                begin = int(index.members["data"][window.member]) + 4 * start - window.low
                pcm = raw[begin : begin + 4 * self.spec.samples].view(np.int16).reshape(-1, 2)
            gain = [0.1 / max(self.store.manifest.mean_rms[f"{pair}.{ear}"], 1e-9) for ear in "LR"]
            found.append(pcm[:, ::-1] if swap else pcm)
            gains.append(gain[::-1] if swap else gain)
        return Sound(found, np.array(gains, np.float32))

    def _decoded(self, index: ShardIndex, row: int, member: int, data: np.ndarray, start: int) -> np.ndarray:
        from dataio.stream.decode import flac
        from dataio.stream.decode.errors import DecodeError

        try:
            return flac.window(data, start, self.spec.samples)
        except DecodeError as error:
            raise self._corrupt(index, row, member, error.reason) from error

    def _offset(self, index: ShardIndex, row: int, member: int, data: np.ndarray) -> float:
        try:
            return float(json.loads(bytes(data))["offset"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._corrupt(index, row, member, "does not say where in its file the clip begins") from error

    # what is wrong with them

    def _corrupt(self, index: ShardIndex, row: int, member: int, reason: str) -> CorruptClipError:
        extension = index.extensions[index.members["extension"][member]]
        return CorruptClipError(
            index.name, index.clips["key"][row].decode(), extension, int(index.members["offset"][member]), reason
        )

    def broken(self, raw: RawClip, field: str, part: int, reason: str) -> CorruptClipError:
        """The error for a clip whose bytes are as they were written, and yet cannot be decoded.

        Args:
            field: `frames`, or the name of a map. part: which of the JPEGs.
        """
        index = self.store.index(raw.shard)
        if field != "frames":
            member = self._member(index, raw.row, f"{field}.png", field)
        else:
            member = self._pictures(index, raw.row)[part if self._jpegs else 0].member
        return self._corrupt(index, raw.row, member, reason)


_NOTHING = np.zeros(0, np.uint8)
