"""The graph by which DALI decodes the frames of a whole batch as one flat list of parts."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from dataio.stream.decode import graphs
from dataio.stream.decode.form import suspicious_jpeg
from dataio.stream.decode.safe import Build
from dataio.stream.spec import ClipSpec, SpecError


@dataclass(frozen=True)
class Flat:
    """build: makes the pipeline for so many parts. name: of its input. parts: a clip. Its output is F pictures a clip, in order.
    suspicious: whether a part should be tried alone first.
    """

    build: Build
    name: str
    parts: int
    suspicious: Callable[[np.ndarray], bool]


def flat(kinds: set[str], spec: ClipSpec, device: str, threads: int) -> Flat:
    """The graph for sets whose pictures are of these kinds.

    Raises:
        SpecError: of more than one kind; one graph decodes them all.
    """
    if len(kinds) > 1:
        raise SpecError(f"frames={spec.frames}: DALI decodes sets of one kind of picture at a time, these are {sorted(kinds)}")
    return Flat(partial(_frames, device, threads), "jpeg", spec.frames, suspicious_jpeg)


def _frames(device: str, threads: int, batch: int):
    return graphs.frames(device, batch=batch, threads=threads)
