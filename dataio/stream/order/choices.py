"""The random choices of a clip: yaw, quarter turn, mirror, sound window. Pure functions of (seed, epoch, clip)."""

from dataclasses import dataclass

import numpy as np

from dataio.format.clip import PAIRS
from dataio.stream.order.random import below, key
from dataio.stream.spec import ClipSpec


@dataclass(frozen=True)
class Choices:
    """What was drawn for each clip of a batch, each (B,) int64.

    yaw: the class that the batch reports, after mirroring. start: first sample of the sound window. turn: q, quarters of a circle.
    mirror: 0 or 1. shift: columns of the finished picture: column x shows column (x + shift) mod W, before any mirroring.
    """

    yaw: np.ndarray
    start: np.ndarray
    turn: np.ndarray
    mirror: np.ndarray
    shift: np.ndarray


def choose(spec: ClipSpec, clip_samples: int, seed: int, epoch: int, clips: np.ndarray) -> Choices:
    """Draw for these global clip ids. clip_samples: length of a clip's sound."""
    zero = np.zeros(len(clips), np.int64)
    yaw = below(key(seed, epoch, "yaw"), clips, spec.yaw_classes) if spec.yaw_classes else zero
    start = below(key(seed, epoch, "window"), clips, clip_samples - spec.samples + 1) if spec.pairs else zero
    turn = below(key(seed, epoch, "turn"), clips, 4) if "turn" in spec.augment else zero
    mirror = below(key(seed, epoch, "mirror"), clips, 2) if "mirror" in spec.augment else zero
    width = spec.size[1]
    shift = (yaw * (width // (spec.yaw_classes or 1)) + turn * width // 4) % width
    if spec.yaw_classes:  # the mirrored world is turned the other way
        yaw = np.where(mirror == 1, (-yaw) % spec.yaw_classes, yaw)
    return Choices(yaw, start, turn, mirror, shift)


def heard(pairs: tuple[str, ...], turn: int, mirror: bool) -> list[tuple[str, bool]]:
    """Which stored pair is heard in place of each of `pairs`, and whether its ears change sides.

    Turning the viewer right by q·90° makes the pair that faced q·90° the new front one: pair i is then the stored pair
    (i + q) mod 4. Mirroring afterwards exchanges right and left, and the ears within every pair.
    """
    result = []
    for pair in pairs:
        i = PAIRS.index(pair)
        i = (-i) % 4 if mirror else i
        result.append((PAIRS[(i + turn) % 4], mirror))
    return result
