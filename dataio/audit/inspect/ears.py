"""The sound of a clip: waveform, spectrum and level of each ear, and the first pair to listen to."""

import io
import math
from typing import Any

import numpy as np

from dataio.audit.facts import dbfs, level, plain, rounded
from dataio.audit.inspect.figures import sounds
from dataio.audit.inspect.members import SOUNDS, Clip, Members
from dataio.audit.inspect.text import short, uri
from dataio.format.clip import PAIRS

_SECONDS = 10.0  # of a sound that are shown


def ears(clip: Clip, members: Members) -> dict[str, Any]:
    """Waveform, spectrum and level of each ear, and the first pair to listen to."""
    ours = [f"{pair}.{kind}" for pair in PAIRS for kind in ("wav", "flac") if f"{pair}.{kind}" in clip.members]
    names = ours + [n for n in clip.members if n.endswith(SOUNDS) and n not in ours][:8]
    heard = [(name, *sound) for name in names if (sound := members.show(name, _decode)) is not None]
    found = []
    for name, samples, rate in heard:
        side = ("left ear", "right ear") if name in ours and samples.shape[1] == 2 else [f"channel {i + 1}" for i in range(8)]
        for channel, said in zip(samples.T, side, strict=False):
            found.append((f"{short(name.rpartition('.')[0] or name)}, {said}", channel, rate, sounds.spectrum(channel)))
    if not found:
        return {}
    peak = max(float(np.abs(channel).max()) for _, channel, _, _ in found)
    top = max(float(np.percentile(decibels, 99.9)) for *_, decibels in found)
    views = [
        {
            "name": name,
            "wave": sounds.envelope(channel, peak),
            "uri": uri("jpeg", sounds.spectrum_picture(decibels, top)),
            "level": level(rounded(dbfs(math.sqrt(float(np.mean(channel.astype(np.float64) ** 2)))))),
            "khz": rate / 2000,
            "seconds": len(channel) / rate,
        }
        for name, channel, rate, decibels in found
    ]
    name, samples, rate = heard[0]
    return {
        "ears": views,
        "peak": level(rounded(dbfs(peak))),
        "top": f"{top:.0f} dB".replace("-", "−"),
        "listen": _listen(plain(name), samples, rate),
    }


def _decode(data: bytes) -> tuple[np.ndarray, int]:
    """(samples, channels) float32 of full scale, the first ten seconds; rate in Hz."""
    import soundfile

    with soundfile.SoundFile(io.BytesIO(data)) as file:
        samples = file.read(int(_SECONDS * file.samplerate), dtype="float32", always_2d=True)
        if not len(samples):
            raise ValueError("holds no sound")
        return np.nan_to_num(samples), file.samplerate


def _listen(name: str, samples: np.ndarray, rate: int) -> dict[str, Any] | None:
    """The sound as an MP3 of 48 kHz, which every browser plays, raised to a peak of −3 dB; None where it is silent."""
    import soundfile

    count = round(len(samples) * 48_000 / rate)
    if count < 2 or float(np.abs(samples[:, :2]).max()) <= 0:
        return None
    # by Fourier transform, which suits a short piece and takes any rate
    lines = np.fft.rfft(samples[:, :2].astype(np.float64), axis=0)[: count // 2 + 1]
    sound = np.fft.irfft(lines, count, axis=0)
    buffer = io.BytesIO()
    gain = 10 ** (-3 / 20) / float(np.abs(sound).max())
    soundfile.write(buffer, sound * gain, 48_000, format="MP3", subtype="MPEG_LAYER_III")
    return {"name": name, "uri": uri("mpeg", buffer.getvalue(), "audio"), "gain": 20 * math.log10(gain)}
