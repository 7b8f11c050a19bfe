"""Where an object is at a time: the one function that picture, sound and truth share."""

import math
from dataclasses import astuple, dataclass

import numpy as np
from numba import njit


@dataclass(frozen=True)
class Path:
    """A way around the rig. At time t (seconds), with τ = 2π,

    azimuth = azimuth + speed·t + swing·sin(τ·t / swing_period + swing_phase)    degrees, clockwise
    distance = distance + reach·sin(τ·t / reach_period + reach_phase)            metres, in space
    elevation = arcsin(height / distance)                                        degrees

    Something parked has speed, swing and reach of zero.
    """

    azimuth: float
    speed: float
    distance: float
    height: float
    swing: float = 0.0
    swing_period: float = 1.0
    swing_phase: float = 0.0
    reach: float = 0.0
    reach_period: float = 1.0
    reach_phase: float = 0.0

    def row(self) -> np.ndarray:
        """The path as (10,) float64, in the order of the fields, for compiled code."""
        return np.array(astuple(self), np.float64)


@njit(cache=True, nogil=True)
def locate(row: np.ndarray, seconds: float) -> tuple[float, float, float]:
    """Azimuth in [−180, 180) and elevation in degrees, and distance in metres, of the path `Path.row()` at a time."""
    azimuth, speed, distance, height, swing, swing_period, swing_phase, reach, reach_period, reach_phase = row
    azimuth += speed * seconds + swing * math.sin(2.0 * math.pi * seconds / swing_period + swing_phase)
    distance += reach * math.sin(2.0 * math.pi * seconds / reach_period + reach_phase)
    return (azimuth + 180.0) % 360.0 - 180.0, math.degrees(math.asin(height / distance)), distance


@njit(cache=True, nogil=True)
def direction(azimuth: float, elevation: float) -> tuple[float, float, float]:
    """Unit vector (right, front, up) towards an azimuth and an elevation in degrees."""
    azimuth, elevation = math.radians(azimuth), math.radians(elevation)
    return math.cos(elevation) * math.sin(azimuth), math.cos(elevation) * math.cos(azimuth), math.sin(elevation)
