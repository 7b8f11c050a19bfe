"""How DALI decodes the frames of a whole batch as one flat list of parts: the graph, and what it is fed of every clip."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dataio.format.manifest import Media
from dataio.stream.decode import graphs
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.form import suspicious_jpeg
from dataio.stream.decode.safe import Build, Encoded
from dataio.stream.reader import Picture
from dataio.stream.spec import ClipSpec, SpecError

_LONGEST = 16_384  # pixels a side, as everywhere


@dataclass(frozen=True)
class Flat:
    """build: makes the pipeline for so many parts. parts: a clip. Its output is F pictures a clip, in order: one each for a JPEG,
    all F for a container. encode: what the pipeline gets of a clip of a set; it looks at the bytes and decodes nothing, and raises
    DecodeError where they are not what the set says.
    """

    build: Build
    parts: int
    encode: Callable[[Picture, Media], Encoded]


def flat(sets: list[Media], spec: ClipSpec, device: str, threads: int) -> Flat:
    """The graph for these sets.

    Raises:
        SpecError: one graph cannot decode them all.
    """
    kinds = {media.picture for media in sets}
    if not spec.frames or kinds == {"jpeg"}:
        return Flat(partial(_jpegs, device, threads), spec.frames, _jpeg_parts)
    mixed = "jpeg" in kinds or ("copy" in kinds and len(kinds) > 1)
    if mixed or ("copy" not in kinds and len({media.frames for media in sets}) > 1):
        raise SpecError(f"frames={spec.frames}: DALI decodes sets of one kind of picture at a time, these are {sorted(kinds)}")
    copied = kinds == {"copy"}
    numbers = None if copied else [i * sets[0].frames // spec.frames for i in range(spec.frames)]
    return Flat(
        partial(_containers, device, threads, numbers), 1, partial(_copied_part, spec.frames) if copied else _container_part
    )


def _jpegs(device: str, threads: int, batch: int):
    return graphs.frames(device, batch=batch, threads=threads)


def _containers(device: str, threads: int, numbers: list[int] | None, batch: int):
    from dataio.stream.decode.containers_dali import containers

    return containers(device, batch=batch, threads=threads, numbers=numbers)


def _jpeg_parts(picture: Picture, media: Media) -> Encoded:
    from dataio.stream.images.size import jpeg_size

    for i, data in enumerate(picture.parts):
        try:
            height, width = jpeg_size(data)
        except DecodeError as error:
            raise DecodeError(error.reason, i) from error
        if (height, width) != media.size:  # the kernels trust it
            of = f"{media.size[0]}x{media.size[1]}"
            raise DecodeError(f"the picture is {height}x{width}, where all of the set are {of} (height x width)", i)
    return Encoded({"jpeg": picture.parts}, any(suspicious_jpeg(data) for data in picture.parts))


def _container_part(picture: Picture, media: Media) -> Encoded:
    from dataio.stream.decode.demux import opened, stamps_of

    (data,) = picture.parts
    with opened(data) as (stream, packets):
        shape, held = (stream.codec_context.height, stream.codec_context.width), len(stamps_of(packets))
    if shape != media.size:
        raise DecodeError(
            f"the picture of the container has {shape[0]}x{shape[1]} pixels; expected {media.size[0]}x{media.size[1]}"
        )
    if held != media.frames:
        raise DecodeError(f"the container holds {held} frames; expected {media.frames}")
    return Encoded({"data": [data]})


def _copied_part(frames: int, picture: Picture, media: Media) -> Encoded:
    from dataio.stream.decode.container import numbers_at
    from dataio.stream.decode.demux import opened

    (data,) = picture.parts
    assert picture.offset is not None
    with opened(data) as (stream, _):
        shape = (stream.codec_context.height, stream.codec_context.width)
    if not 1 <= min(shape) <= max(shape) <= _LONGEST:
        raise DecodeError(f"the picture of the container has {shape[0]}x{shape[1]} pixels; expected 1 … {_LONGEST} a side")
    times = [picture.offset + i * media.clip_seconds / frames for i in range(frames)]
    return Encoded({"data": [data], "numbers": [np.array(numbers_at(data, times), np.int32)]})
