"""An album of pictures into clips: a JPEG and its facts each, appended to a spool file as they come."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO

from dataio.format import index
from dataio.format.clip import clip_key, slug
from dataio.format.writer import SegmentWriter, moved
from dataio.ingest.encode.options import EncodeOptions
from dataio.ingest.encode.still import read_picture
from dataio.ingest.errors import SourceError, blame_storage
from dataio.ingest.sources import Album


@dataclass(frozen=True)
class EncodedAlbum:
    """What became of an album. clips: with offsets into the spool. broken: a sentence for each picture that was left out."""

    clips: tuple[index.Clip, ...]
    broken: tuple[str, ...]


def encode_album(
    album: Album,
    options: EncodeOptions,
    spool: BinaryIO,
    *,
    on_clip: Callable[[int, int, int], None] = lambda done, most, size: None,
) -> EncodedAlbum:
    """Append every picture that can be read to `spool`, each as a sample of `.jpg` and `.json`.

    Raises:
        SourceError: not one of them can be read. OSError: the storage of the source failed.
    """
    key, size = slug(album.name), 0
    clips: list[index.Clip] = []
    broken: list[str] = []
    for i, picture in enumerate(album.pictures):
        try:
            data, height, width = read_picture(picture, options.still, options.quality)
        except SourceError as error:
            blame_storage(error, [picture.path], read=False)  # not a whole tar for each picture
            broken.append(str(error))
            continue
        writer = SegmentWriter(clip_key(key, i))
        writer.add("jpg", data, index.Facts(height=height, width=width))
        facts = {"source": picture.source, "label": picture.label, "class": album.classes[picture.label], "split": album.split}
        writer.add("json", json.dumps(facts, sort_keys=True, separators=(",", ":")).encode())
        segment = writer.finish(key, 0.0)
        clips.append(moved(segment.clip, size))
        spool.writelines(segment.parts)
        size += segment.size
        on_clip(i + 1, len(album.pictures), size)
    if not clips:
        raise SourceError(f"no picture of {album.name} can be read; the first: {broken[0]}")
    return EncodedAlbum(tuple(clips), tuple(broken))
