"""The sound of a recording, clip by clip: every binaural pair as 16-bit PCM at the rate of the shards."""

import io
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from dataio.format import index
from dataio.format.clip import pair_extension
from dataio.format.writer import SegmentWriter
from dataio.ingest.encode.options import EncodeOptions
from dataio.ingest.media.sound import Track, open_track, window
from dataio.ingest.sources.recording import Recording


class Ears:
    """Reads the ears of a recording; a file that holds several is read once for all of them.

    seconds: for which every ear is heard. shortest: name of the file that ends first.

    Raises:
        SourceError: a sound cannot be read, or not brought to the rate.
    """

    def __init__(self, recording: Recording, options: EncodeOptions) -> None:
        self._pairs, self._options = recording.pairs, options
        self._tracks: dict[Path, Track] = {}
        with ExitStack() as stack:  # those already open, if one of the next fails
            for path in dict.fromkeys(ear.path for pair in recording.pairs.values() for ear in pair):
                self._tracks[path] = open_track(path, options.rate, ambisonic=recording.ambisonic)
                stack.callback(self._tracks[path].close)
            self._close = stack.pop_all().close
        first = min(self._tracks, key=lambda path: self._tracks[path].seconds)
        self.shortest, self.seconds = first.name, self._tracks[first].seconds

    def __enter__(self) -> "Ears":
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def add_to(self, clip: SegmentWriter, number: int) -> dict[str, float]:
        """Add every pair of clip `number`, and tell the RMS of each ear, of full scale."""
        options = self._options
        heard = {
            path: window(track, number * options.samples, options.samples, options.rate) for path, track in self._tracks.items()
        }
        levels: dict[str, float] = {}
        for pair, ears in self._pairs.items():
            pcm = np.stack([heard[ear.path][:, ear.channel] for ear in ears], 1)
            if options.sound == "flac":
                facts = index.Facts(rate=options.rate, channels=2, samples=len(pcm))
                clip.add(pair_extension(pair, "flac"), flac(pcm, options.rate), facts)
            else:
                clip.pcm(pair_extension(pair), pcm, options.rate)
            levels |= {f"{pair}.{ear}": rms(pcm[:, side]) for side, ear in enumerate("LR")}
        return levels


def rms(samples: np.ndarray) -> float:
    """Root mean square of int16 samples, of full scale. The sum of squares is exact up to 8 million samples, in any order."""
    wide = samples.astype(np.float64)
    return float(np.sqrt(wide @ wide / len(wide)) / 32768.0)


def flac(pcm: np.ndarray, rate: int) -> bytes:
    """(samples, channels) int16 as a FLAC file."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
