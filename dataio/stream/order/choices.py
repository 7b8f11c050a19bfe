"""The random choices of a clip: yaw, quarter turn, mirror, tilt, sound windows. Pure functions of (seed, epoch, clip)."""

from dataclasses import dataclass

import numpy as np

from dataio.format.clip import PAIRS
from dataio.stream.order.random import below, draw, key
from dataio.stream.spec import ClipSpec


@dataclass(frozen=True)
class Choices:
    """What was drawn for each clip of a batch, each (B,) int64, pitch and roll float64.

    yaw: the class that the batch reports, after mirroring. start: first sample of the sound window. turn: q, quarters of a circle.
    mirror: 0 or 1. shift: columns of the finished picture: column x shows column (x + shift) mod W, before any mirroring.
    partner_start: first sample of the partner's sound window, of whichever clip is the partner.
    pitch, roll: degrees, 0 unless the spec tilts; before any mirroring.
    """

    yaw: np.ndarray
    start: np.ndarray
    turn: np.ndarray
    mirror: np.ndarray
    shift: np.ndarray
    partner_start: np.ndarray
    pitch: np.ndarray
    roll: np.ndarray


def choose(spec: ClipSpec, clip_samples: int, seed: int, epochs: int | np.ndarray, clips: np.ndarray) -> Choices:
    """Draw for these clips of one set.

    Args:
        clip_samples: length of a clip's sound. epochs: (B,) of the set, or one for all. clips: (B,) ids within the set.
    """
    numbers, at = np.unique(epochs, return_inverse=True)
    at = np.broadcast_to(at.reshape(np.shape(epochs)), len(clips))  # a batch may end one epoch of its set and begin the next

    def drawn(name: str, bound: int) -> np.ndarray:
        return below(np.array([key(seed, epoch, name) for epoch in numbers.tolist()], np.uint64)[at], clips, bound)

    def angle(name: str) -> np.ndarray:
        """Uniform in ±tilt, in 2⁵³ steps."""
        if not spec.tilt:
            return np.zeros(len(clips))
        keys = np.array([key(seed, epoch, name) for epoch in numbers.tolist()], np.uint64)[at]
        return ((draw(keys, clips) >> np.uint64(11)) * 2.0**-52 - 1) * spec.tilt

    zero, starts = np.zeros(len(clips), np.int64), clip_samples - spec.samples + 1
    yaw = drawn("yaw", spec.yaw_classes) if spec.yaw_classes else zero
    start = drawn("window", starts) if spec.pairs else zero
    turn = drawn("turn", 4) if "turn" in spec.augment else zero
    mirror = drawn("mirror", 2) if "mirror" in spec.augment else zero
    partner_start = drawn("partner window", starts) if spec.partner else zero
    width = spec.size[1]
    shift = (yaw * (width // (spec.yaw_classes or 1)) + turn * width // 4) % width
    if spec.yaw_classes:  # the mirrored world is turned the other way
        yaw = np.where(mirror == 1, (-yaw) % spec.yaw_classes, yaw)
    return Choices(yaw, start, turn, mirror, shift, partner_start, angle("pitch"), angle("roll"))


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
