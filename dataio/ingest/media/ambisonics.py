"""First-order ambisonics heard by four heads: the decoder from ambiX to the binaural pairs front, right, back and left.

AmbiX (Nachbar, Zotter, Deleflie, Sontacchi: "ambiX – a suggested ambisonics format", 2011) orders the channels W, Y, Z, X (ACN) and
normalises them to SN3D: a plane wave s from the unit vector (x, y, z), to the front, left and up, is W = s, Y = y·s, Z = z·s and
X = x·s.

Eight virtual loudspeakers stand in the corners v of a cube and play

    ⅛ · (k₀·W + k₁·(x·X + y·Y + z·Z)),        basic, low frequencies: k₀ = 1, k₁ = 3        (pressure and velocity as recorded)
                                              max-rE, high ones: k₀ = √2, k₁ = √6           (energy most concentrated)

(Gerzon, "General metatheory of auditory localisation", 92nd AES Convention, 1992; max-rE weighs first order by 1/√3, and √2 keeps
the loudspeakers' total energy.) The gains cross over as m = 1 / (1 + (f/700 Hz)⁴) without any phase: above it the head is no longer
small against the wave, and a first-order field is right in an ever smaller place. A cube, because its few loudspeakers blur the
high frequencies less than many would, and because a quarter turn maps it onto itself, so that all four heads hear alike.

Each ear hears each loudspeaker through the rigid sphere of Brown and Duda ("A structural model for binaural sound synthesis", IEEE
Transactions on Speech and Audio Processing 6(5), 1998), of radius a = 8.75 cm:

    H(ω, θ) = (1 + jα(θ)ω/2ω₀) / (1 + jω/2ω₀) · exp(−jωT(θ)),                                ω₀ = c/a
    α(θ) = (1 + α₀/2) + (1 − α₀/2)·cos(180°·θ/150°),                                          α₀ = 0.1
    T(θ) = −a/c·cos θ for θ < 90°,  a/c·(θ − 90°) beyond                                      (Woodworth)

T counts from the ear's place at ±90°; α counts from an axis that leans 25° to where the head looks, because an outer ear opens
forwards: without it, front and back would sound the same. All of this is linear, so it collapses into one short filter for each
channel and ear.
"""

import math
from functools import cache

import numpy as np
from scipy import fft

from dataio.format.clip import PAIRS
from dataio.ingest.errors import SourceError
from dataio.ingest.media.track import Track

CHANNELS = 4  # W, Y, Z, X
HEAD_RADIUS = 0.0875  # metres
SPEED_OF_SOUND = 343.0  # metres per second
CROSSOVER = 700.0  # Hz, from basic to max-rE
PINNA = 25.0  # degrees
GAIN = math.sqrt(0.5)
"""A source beside an ear is up to 6 dB louder there than in the open. 3 dB less all over leave a frontal one within 2 dB of what it
was, and most others unclipped."""

_DARKEST, _DARKEST_ANGLE = 0.1, math.radians(150.0)  # α₀, and the angle at which α is as small
_LEAST_SECONDS = 0.01  # of a filter; the longest delay is 0.66 ms, and the crossover rings for less than 3 ms
_OVERSAMPLED = 4  # the spectrum is sampled this much finer than the filter is long, so that nothing folds back into it
_BLOCK = 16  # filter lengths per Fourier transform


@cache
def filters(rate: int) -> np.ndarray:
    """Filters of the two ears of the head that looks to the front, for sound at `rate` Hz.

    Returns:
        (4, 2, taps) float32, for W, Y, Z, X and the left and the right ear; read-only. Tap taps // 2 stands for time 0: there lies
        the centre of the energy of what an ear hears of a click in front.
    """
    taps = 2 ** math.ceil(math.log2(rate * _LEAST_SECONDS))
    hertz = fft.rfftfreq(taps * _OVERSAMPLED, 1 / rate)
    corners = np.array([(x, y, z) for x in (1, -1) for y in (1, -1) for z in (1, -1)]) / math.sqrt(3)
    basic = 1 / (1 + (hertz / CROSSOVER) ** 4)
    k0, k1 = basic + (1 - basic) * math.sqrt(2), basic * 3 + (1 - basic) * math.sqrt(6)
    spectra = np.empty((CHANNELS, 2, len(hertz)), complex)
    for ear, side in enumerate((1, -1)):
        heard = np.array([head_response(hertz, corner, side) for corner in corners])
        spectra[0, ear] = k0 * heard.mean(0)
        for channel, axis in ((1, 1), (2, 2), (3, 0)):  # Y, Z, X
            spectra[channel, ear] = k1 * (corners[:, axis, None] * heard).mean(0)
    spectra *= GAIN * np.exp(2j * math.pi * hertz * _lateness(spectra[0, 0] + spectra[3, 0], rate))
    response = np.roll(fft.irfft(spectra), taps // 2, -1)[..., :taps]
    result = (response * _taper(taps)).astype(np.float32)
    result.setflags(write=False)
    return result


def head_response(hertz: np.ndarray, direction: np.ndarray, side: int) -> np.ndarray:
    """H of one ear for a plane wave.

    Args:
        hertz: (n,) frequencies.
        direction: (3,) unit vector to the source: front, left, up.
        side: 1 for the left ear, −1 for the right one.

    Returns:
        (n,) complex128.
    """
    lean = math.radians(PINNA)
    axis = (math.sin(lean), side * math.cos(lean), 0.0)
    brightness = _angle(direction, axis) / _DARKEST_ANGLE * math.pi
    alpha = 1 + _DARKEST / 2 + (1 - _DARKEST / 2) * math.cos(brightness)
    theta = _angle(direction, (0.0, side, 0.0))
    late = HEAD_RADIUS / SPEED_OF_SOUND * (-math.cos(theta) if theta < math.pi / 2 else theta - math.pi / 2)
    omega = 2 * math.pi * hertz
    s = 1j * omega * HEAD_RADIUS / (2 * SPEED_OF_SOUND)
    return (1 + alpha * s) / (1 + s) * np.exp(-1j * omega * late)


def rotated(front: np.ndarray, quarters: int) -> np.ndarray:
    """The same filters for a head turned clockwise, seen from above, by `quarters` · 90°; exact, both (4, ears, taps).

    A head that looks along azimuth ψ has X′ = X·cos ψ − Y·sin ψ before it and Y′ = Y·cos ψ + X·sin ψ to its left.
    """
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[quarters % 4]
    w, y, z, x = front
    return np.stack([w, cos * y - sin * x, z, cos * x + sin * y])


@cache
def _spectra(rate: int) -> np.ndarray:
    """Spectra of all filters, (4, 8, bins), ears in the order of `dataio.format.clip.EARS`."""
    front = filters(rate)
    heads = np.concatenate([rotated(front, quarters) for quarters in range(len(PAIRS))], 1)
    return fft.rfft(heads.astype(np.float64), front.shape[-1] * _BLOCK)


class BinauralTrack:
    """A track of four channels W, Y, Z, X, read as eight: front L, front R, right L, … left R.

    Sound is filtered in blocks that begin at fixed places, so what is read does not depend on where earlier reads were cut.
    """

    def __init__(self, track: Track) -> None:
        self._track = track
        self.rate, self.seconds = track.rate, track.seconds

    def read(self, start: int, count: int) -> np.ndarray:
        """(count, 8) float32; silence where the track has none, but for the filters' few milliseconds.

        Raises:
            SourceError: the track cannot be read, or has not four channels.
        """
        out = np.empty((count, 2 * len(PAIRS)), np.float32)
        step = filters(self.rate).shape[-1] * (_BLOCK - 1)
        for block in range(start // step * step, start + count, step):
            low, high = max(block, start), min(block + step, start + count)
            out[low - start : high - start] = self._block(block, step)[low - block : high - block]
        return out

    def _block(self, block: int, step: int) -> np.ndarray:
        """Samples block … block + step − 1 of the ears, by overlap-save: the ends that wrap round are not kept."""
        taps = filters(self.rate).shape[-1]
        first = taps - 1
        source = self._track.read(block + taps // 2 - first, step + taps)
        if source.shape[1] != CHANNELS:
            raise SourceError(f"ambisonic sound has {CHANNELS} channels W, Y, Z, X; this has {source.shape[1]}")
        scaled = source.astype(np.float64) / (32768.0 if source.dtype == np.int16 else 1.0)
        ears = np.einsum("ceb,bc->be", _spectra(self.rate), fft.rfft(scaled, axis=0))
        return fft.irfft(ears, step + taps, axis=0)[first : first + step]

    def close(self) -> None:
        self._track.close()


def _angle(a, b) -> float:
    return math.acos(min(1.0, max(-1.0, float(np.dot(a, b)))))


def _lateness(spectrum: np.ndarray, rate: int) -> float:
    """Seconds from time 0 to the centre of the energy of a response that lies around it."""
    response = fft.fftshift(fft.irfft(spectrum)) ** 2
    return float(np.sum((np.arange(len(response)) - len(response) // 2) * response) / np.sum(response)) / rate


def _taper(taps: int) -> np.ndarray:
    """One in the middle half, a raised cosine down to zero in the outer quarters; symmetric about tap taps // 2."""
    distance = np.abs(np.arange(taps) - taps // 2) / (taps / 2)
    return 0.5 + 0.5 * np.cos(np.pi * np.clip(2 * distance - 1, 0, 1))
