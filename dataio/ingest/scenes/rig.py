"""The rig: a cube with two ears on each of its four vertical faces, as under OmniAudio's camera (research/papers.md, 2.1).

Axes: x to the right, y to the front, z up, in metres, with the camera at the origin. Azimuth runs clockwise seen from above.

A binaural pair is a head that looks along its azimuth: its left ear sits on the face to its left, its right ear on the face to
its right, both on the half of the face that is nearer to where the head looks. So the front pair is microphones 2 (front half of
the left face) and 5 (front half of the right face), and the back pair, 6 and 1, sits on the other halves of the same faces.
A turn by 90° and a reflection left to right each map the rig onto itself.
"""

import math

import numpy as np

from dataio.format.clip import EARS, PAIRS

CUBE = 0.18
"""Edge of the cube in metres: about the distance between human ears."""

FORWARD = 0.045
"""How far in front of the middle of its face an ear sits, in metres: the middle of the half face."""

PINNA = 25.0
"""Degrees by which an ear's axis leans from the normal of its face to where its head looks, because an outer ear opens forwards.

Without it the levels at one pair would be nearly the same for a source in front and for its reflection behind.
"""

MICROPHONES = (2, 5, 4, 7, 6, 1, 8, 3)
"""OmniAudio's number of the microphone behind each channel, in the order of `EARS`."""


def ear_positions() -> np.ndarray:
    """Where the ears are: (8, 3) float64, metres, in the order of `EARS`."""
    left, right = (-CUBE / 2, FORWARD, 0.0), (CUBE / 2, FORWARD, 0.0)
    return np.array([_turn(ear, quarters) for quarters in range(len(PAIRS)) for ear in (left, right)])


def ear_axes() -> np.ndarray:
    """Unit vectors along which each ear hears best: (8, 3) float64, in the order of `EARS`."""
    outward, forward = math.cos(math.radians(PINNA)), math.sin(math.radians(PINNA))
    left, right = (-outward, forward, 0.0), (outward, forward, 0.0)
    return np.array([_turn(ear, quarters) for quarters in range(len(PAIRS)) for ear in (left, right)])


def turned_channels(quarters: int) -> list[int]:
    """Which channel of the scene each channel hears once all sources are turned clockwise by `quarters` · 90°.

    `sound_of_turned_scene[c] == sound[turned_channels(q)[c]]` for channels in the order of `EARS`.
    """
    return [(channel - 2 * quarters) % len(EARS) for channel in range(len(EARS))]


def mirrored_channels() -> list[int]:
    """Which channel of the scene each channel hears once all sources are mirrored left to right (azimuth negated)."""
    # the head that looks along +a hears what the head along −a heard, with its ears exchanged
    return [2 * (-(channel // 2) % len(PAIRS)) + 1 - channel % 2 for channel in range(len(EARS))]


def _turn(vector: tuple[float, float, float], quarters: int) -> tuple[float, float, float]:
    """The vector after clockwise quarter turns, exact: no cosine leaves a remainder."""
    x, y, z = vector
    for _ in range(quarters):
        x, y = y, -x
    return x, y, z
