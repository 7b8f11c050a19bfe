"""A window of a pair that is kept as FLAC: the very samples that the shard would hold as PCM.

libFLAC looks for the frame in which the window begins by halving, so that 1 s of 2 s takes half the time of all (1.4 ms instead of
2.6 for a pair at 96 kHz), wherever it lies.
"""

import io

import numpy as np

from dataio.stream.decode.errors import DecodeError

_MAGIC = b"fLaC"


def window(data: bytes | np.ndarray, start: int, samples: int) -> np.ndarray:
    """Samples [start, start + samples) of a stereo FLAC file of 16 bits, as the builder writes them: (samples, 2) int16.

    Releases the GIL while it decodes.

    Args:
        data: the whole member, bytes or (n,) uint8.

    Raises:
        DecodeError: no FLAC, not two channels of 16 bits, shorter than the window's end, or damaged within the window.
    """
    import soundfile

    file = io.BytesIO(data)  # type: ignore[arg-type]  # an array is a buffer too; stubs say so from Python 3.12 on
    if file.read(4) != _MAGIC:  # libsndfile reads thirty formats, and would take any of them for what it was given
        raise DecodeError("no FLAC")
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            if sound.subtype != "PCM_16" or sound.channels != 2:
                raise DecodeError(f"{sound.channels} channels of {sound.subtype}; read are 2 of PCM_16")
            if not 0 <= start <= start + samples <= sound.frames:
                raise DecodeError(f"holds no window of {samples} samples from {start}: it has {sound.frames}")
            sound.seek(start)
            out = sound.read(samples, dtype="int16", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        said = str(getattr(error, "error_string", error)).removeprefix("Error : ").rstrip(".")
        raise DecodeError(f"the FLAC is damaged or cut short: {said}") from error
    if len(out) != samples:
        raise DecodeError(f"breaks off at sample {start + len(out)}")
    return out
