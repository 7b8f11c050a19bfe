"""What a walk has found, by columns, and what is said of it one by one."""

from dataclasses import dataclass, field

import numpy as np

from dataio.format.compiled import cached_part
from dataio.format.tar import dali
from dataio.format.tar.columns import END, KEY_AT, KEY_LENGTH, NAME, TEXT_AT, TEXT_LENGTH


@dataclass(frozen=True)
class Walk:
    """What a tar holds.

    size (bytes), crc: of the whole file; crc is 0 without checksums. skipped: regular files of no sample (hidden, or without an
    extension). others: links, folders and devices. rows: (members, columns) int64, and clips: (clips, columns) int64, see
    columns.py. names: bytes that places in them mean. extensions, recordings: in order of appearance; a clip whose key does not
    end in a hyphen and six digits has recording −1. texts: bytes of `json` members. block_crc: of PCM members, from FIRST_BLOCK on.
    """

    size: int
    crc: int
    skipped: int
    others: int
    rows: np.ndarray = field(repr=False)
    clips: np.ndarray = field(repr=False)
    names: np.ndarray = field(repr=False)
    texts: np.ndarray = field(repr=False)
    block_crc: np.ndarray = field(repr=False)
    extensions: tuple[str, ...] = ()
    recordings: tuple[str, ...] = ()

    def name(self, member: int) -> str:
        """The name of a member, as the tar has it."""
        return self.names[self.rows[member, NAME] : self.rows[member, END]].tobytes().decode()

    def key(self, clip: int) -> str:
        at = self.clips[clip, KEY_AT]
        return self.names[at : at + self.clips[clip, KEY_LENGTH]].tobytes().decode()

    def clip_keys(self) -> np.ndarray:
        """Keys of all clips, (clips,) bytes."""
        keys = np.zeros((len(self.clips), max(1, int(self.clips[:, KEY_LENGTH].max(initial=0)))), np.uint8)
        _write_keys(self.names, self.clips, keys)
        return keys.view(f"S{keys.shape[1]}")[:, 0]

    def dali_idx(self) -> bytes:
        """What `index.dali_idx` says of the same clips."""
        return dali.lines(self.rows, self.names, len(self.clips))

    def text(self, clip: int) -> bytes | None:
        """The `json` member of a clip; None where it has none, or one that has to be read: it is long, or there are very many."""
        at, length = self.clips[clip, TEXT_AT], self.clips[clip, TEXT_LENGTH]
        return self.texts[at : at + length].tobytes() if at >= 0 and length >= 0 else None


@cached_part
def _write_keys(names, clips, keys):
    for clip in range(len(clips)):
        at = clips[clip, KEY_AT]
        for i in range(clips[clip, KEY_LENGTH]):
            keys[clip, i] = names[at + i]
