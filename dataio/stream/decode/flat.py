"""The graph by which DALI decodes the frames of a whole batch as one flat list of parts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dataio.format.manifest import Media
from dataio.stream.decode import graphs
from dataio.stream.decode.errors import DecodeError
from dataio.stream.decode.form import suspicious_jpeg
from dataio.stream.decode.safe import Build
from dataio.stream.spec import ClipSpec, SpecError


@dataclass(frozen=True)
class Flat:
    """build: makes the pipeline for so many parts. name: of its input. parts: a clip. Its output is F pictures a clip, in order:
    one each for a JPEG, all F for a container. suspicious: whether a part should be tried alone first.
    """

    build: Build
    name: str
    parts: int
    suspicious: Callable[[np.ndarray], bool]


def flat(sets: list[Media], spec: ClipSpec, device: str, threads: int) -> Flat:
    """The graph for these sets.

    Raises:
        SpecError: one graph cannot decode them all.
    """
    kinds = {media.picture for media in sets}
    if not spec.frames or kinds == {"jpeg"}:
        return Flat(partial(_jpegs, device, threads), "jpeg", spec.frames, suspicious_jpeg)
    if len(kinds) > 1 or len({media.frames for media in sets}) > 1:
        raise SpecError(f"frames={spec.frames}: DALI decodes sets of one kind of picture at a time, these are {sorted(kinds)}")
    if kinds == {"copy"}:
        raise SpecError(f"frames={spec.frames}: on {device} packets copied from recordings are not decoded; build the set anew")
    numbers = [i * sets[0].frames // spec.frames for i in range(spec.frames)]
    return Flat(partial(_containers, device, threads, numbers), "data", 1, _suspicious_container)


def _jpegs(device: str, threads: int, batch: int):
    return graphs.frames(device, batch=batch, threads=threads)


def _containers(device: str, threads: int, numbers: list[int], batch: int):
    from dataio.stream.decode.containers_dali import containers

    return containers(device, batch=batch, threads=threads, numbers=numbers)


def _suspicious_container(data: np.ndarray) -> bool:
    """Whether its packets cannot be found; nothing is decoded."""
    from dataio.stream.decode import container

    try:
        container.numbers_at(data, [0.0])
    except DecodeError:
        return True
    return False
