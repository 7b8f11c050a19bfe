"""From clip ids to checked bytes: which members, which ranges, and proof that they are the right ones."""

from dataclasses import dataclass

import numpy as np

from dataio.format.clip import frame_extension, pair_extension
from dataio.format.index import BLOCK, ShardIndex, crc32c
from dataio.stream.buffers import BufferPool
from dataio.stream.order.choices import heard
from dataio.stream.spec import ClipSpec, SpecError
from dataio.stream.store.local import LocalStore

_GAP = 64 * 1024  # bytes: two members nearer than this are read in one go; a second request costs more than the bytes between


class CorruptClipError(ValueError):
    """A member does not match its checksum, or is not what the index says. shard, key, extension, offset tell where."""

    def __init__(self, shard: str, key: str, extension: str, offset: int, reason: str) -> None:
        super().__init__(f"{shard}, byte {offset}, {key}.{extension}: {reason}")
        self.shard, self.key, self.extension, self.offset, self.reason = shard, key, extension, offset, reason


@dataclass(frozen=True)
class RawClip:
    """The bytes of a clip that a batch needs.

    jpegs: F arrays of uint8. pairs: for each pair of the spec, its window (samples, 2) int16, what is to be heard left in column 0.
    gains: (P, 2) float32, of the ears in the same order.
    """

    recording: int
    jpegs: list[np.ndarray]
    pairs: list[np.ndarray]
    gains: np.ndarray


class ClipReader:
    """Reads the members that a spec needs, and no others. Safe to use from several threads.

    Raises:
        SpecError: the set lacks what the spec asks for.
    """

    def __init__(self, store: LocalStore, spec: ClipSpec) -> None:
        spec.check(store.manifest)
        self.store, self.spec = store, spec
        self._buffers = BufferPool()
        stored = store.manifest.media.frames
        self._frames = [frame_extension(i * stored // spec.frames) for i in range(spec.frames)]

    def read(self, clip: int, start: int, turn: int, mirror: bool) -> RawClip:
        """The bytes of a clip by its global id. start: first sample of the sound window. turn, mirror: as in `choices`.

        Raises:
            CorruptClipError: a checksum or a fact is wrong. ReadError, FileNotFoundError: the storage failed.
            SpecError: this clip has no such member.
        """
        manifest = self.store.manifest
        shard = int(np.searchsorted(manifest.first_clip, clip, side="right")) - 1
        row = clip - int(manifest.first_clip[shard])
        index = self.store.index(shard)
        recording = int(manifest.shard_recordings(shard)[index.clips["recording"][row]])
        pairs, gains = [], []
        for pair, swap in heard(self.spec.pairs, turn, mirror):
            pcm = self._window(shard, index, row, pair, start)
            gain = [0.1 / max(manifest.mean_rms[f"{pair}.{ear}"], 1e-9) for ear in "LR"]
            pairs.append(pcm[:, ::-1] if swap else pcm)
            gains.append(gain[::-1] if swap else gain)
        return RawClip(recording, self._jpegs(shard, index, row), pairs, np.array(gains, np.float32))

    def _member(self, index: ShardIndex, row: int, extension: str) -> int:
        member = int(index.column(extension)[row])
        if member < 0:
            field = "frames" if extension.endswith(".jpg") else "pairs"
            raise SpecError(f"{field}: clip {index.clips['key'][row].decode()} of {index.name} has no member {extension}")
        return member

    def _corrupt(self, index: ShardIndex, row: int, member: int, reason: str) -> CorruptClipError:
        extension = index.extensions[index.members["extension"][member]]
        return CorruptClipError(
            index.name, index.clips["key"][row].decode(), extension, int(index.members["offset"][member]), reason
        )

    def _jpegs(self, shard: int, index: ShardIndex, row: int) -> list[np.ndarray]:
        if not self._frames:
            return []
        members = [self._member(index, row, extension) for extension in self._frames]
        offsets, lengths = index.members["offset"][members], index.members["length"][members]
        size = self.store.manifest.media.size
        result: list[np.ndarray] = []
        at = 0
        while at < len(members):  # one read for each run of members that lie close together
            to = at + 1
            while to < len(members) and 0 <= offsets[to] - offsets[to - 1] - lengths[to - 1] <= _GAP:
                to += 1
            run = self._buffers.bytes_of(int(offsets[to - 1] + lengths[to - 1] - offsets[at]))
            self.store.read(shard, int(offsets[at]), run)
            for i in range(at, to):
                data = run[offsets[i] - offsets[at] :][: lengths[i]]
                if index.checksums and crc32c(data) != index.members["crc"][members[i]]:
                    raise self._corrupt(index, row, members[i], "checksum mismatch")
                if (index.members["height"][members[i]], index.members["width"][members[i]]) != size:
                    raise self._corrupt(index, row, members[i], f"picture is not {size[0]}x{size[1]}, as the manifest says")
                result.append(data)
            at = to
        return result

    def _window(self, shard: int, index: ShardIndex, row: int, pair: str, start: int) -> np.ndarray:
        """(samples, 2) int16, a view into one read that was widened to whole checksum blocks."""
        member = self._member(index, row, pair_extension(pair))
        facts = index.members
        stride = 2 * int(facts["channels"][member])
        begin = int(facts["data"][member]) + start * stride
        end = begin + self.spec.samples * stride
        length = int(facts["length"][member])
        if stride != 4 or end > length:
            raise self._corrupt(index, row, member, f"holds no window of {self.spec.samples} samples from {start} of 2 channels")
        low, high = begin // BLOCK * BLOCK, min(-(-end // BLOCK) * BLOCK, length)
        data = self._buffers.bytes_of(high - low)
        self.store.read(shard, int(facts["offset"][member]) + low, data)
        first = int(facts["block"][member]) + low // BLOCK
        for i, at in enumerate(range(0, high - low, BLOCK) if index.checksums else ()):
            if crc32c(data[at : at + BLOCK]) != index.block_crc[first + i]:
                raise self._corrupt(index, row, member, f"checksum mismatch in block {low // BLOCK + i}")
        return data[begin - low : end - low].view(np.int16).reshape(-1, 2)
