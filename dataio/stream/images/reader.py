"""From the ids of pictures to their checked bytes and their classes."""

import json
from dataclasses import dataclass

import numpy as np

from dataio.format.index import ShardIndex
from dataio.stream.buffers import BufferPool
from dataio.stream.errors import CorruptClipError
from dataio.stream.images.spec import ViewSpec
from dataio.stream.reader import ClipReader, Picture, RawClip
from dataio.stream.spec import ClipSpec
from dataio.stream.store.store import Store

NOTHING_DRAWN = ClipSpec(frames=1, pairs=())
"""What the order is told about pictures: they have no yaw, no sound window and no partner that would have to be drawn."""


@dataclass(frozen=True)
class StillClip(RawClip):
    """The bytes of a picture: `picture` holds one JPEG. label: row of the manifest's `media.classes`."""

    label: int = -1


class StillReader(ClipReader):
    """Reads the JPEG of a clip and its json, which lie side by side and so cost one read. Safe to use from several threads.

    Raises:
        SpecError: this is no set of pictures.
    """

    def __init__(self, store: Store, views: ViewSpec) -> None:
        views.check(store.manifest)
        self.store, self.spec, self.views = store, NOTHING_DRAWN, views
        self._classes = len(store.manifest.media.classes)
        self._buffers = BufferPool()

    def read(self, clip: int, start: int = 0, turn: int = 0, mirror: bool = False) -> StillClip:
        """A picture by its id within the set. start, turn and mirror are those of clips with sound, and mean nothing here.

        Raises:
            CorruptClipError: a checksum or the json is wrong, or the shard ends too early. OSError: the storage failed.
            SpecError: this clip has no picture.
        """
        shard, row = self.locate(clip)
        index = self.store.index(shard)
        wanted = [self._whole(index, row, "jpg", "views"), self._whole(index, row, "json", "label")]
        jpeg, facts = self._fetch(shard, index, row, wanted)
        return StillClip(
            shard=shard,
            row=row,
            recording=int(self.store.manifest.shard_recordings(shard)[index.clips["recording"][row]]),
            seconds=float(index.clips["start"][row]),
            picture=Picture([jpeg]),
            label=self._label(index, row, wanted[1].member, facts),
        )

    def _label(self, index: ShardIndex, row: int, member: int, data: np.ndarray) -> int:
        try:
            label = json.loads(bytes(data))["label"]
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise self._corrupt(index, row, member, "names no class") from error
        if type(label) is not int or not 0 <= label < self._classes:
            raise self._corrupt(index, row, member, f"its class is no row of the {self._classes} that the manifest names")
        return label

    def broken(self, raw: RawClip, field: str, part: int, reason: str) -> CorruptClipError:
        """The error for a picture whose bytes are as they were written, and yet cannot be decoded."""
        index = self.store.index(raw.shard)
        return self._corrupt(index, raw.row, self._member(index, raw.row, "jpg", "views"), reason)
