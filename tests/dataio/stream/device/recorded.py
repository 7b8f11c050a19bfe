"""Sets whose frames lie in containers that DALI decodes without a GPU."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from tests.media import make_sound, make_video, noise


def vp9_set(folder: Path) -> Path:
    """Eight clips of eight frames, 32x64."""
    write_recordings(folder / "recordings", recordings=2, seconds=8.0, seed=5, size=(32, 64))
    encode = EncodeOptions(size=(32, 64), fps=4.0, frames="vp9")
    build(folder / "recordings", folder / "shards", BuildOptions(encode, split="train=1"), local(1))
    return folder / "shards"


def copied_set(folder: Path, sizes: Sequence[tuple[int, int]]) -> Path:
    """Three clips of a recording for each of these sizes, in VP9 of five frames a second whose packets were copied."""
    for number, (height, width) in enumerate(sizes):
        place = folder / "recordings" / f"r{number}"
        place.mkdir(parents=True)
        blocks = np.random.default_rng(number).integers(30, 226, (height // 4, width // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)
        make_video(place / "video.webm", [np.roll(blocks, 2 * k, 1) for k in range(32)], fps=5, codec="libvpx-vp9")
        make_sound(place / "video.front.wav", noise(6.4, seed=number))
    encode = EncodeOptions(fps=5.0, frames="copy")
    build(folder / "recordings", folder / "shards", BuildOptions(encode, split="train=1"), local(1))
    return folder / "shards"
