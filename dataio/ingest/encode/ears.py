"""The sound of a recording, clip by clip: every binaural pair as 16-bit PCM at the rate of the shards."""

import io
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from dataio.format import index
from dataio.format.clip import pair_extension
from dataio.format.writer import SegmentWriter
from dataio.ingest.encode.options import EncodeOptions
from dataio.ingest.media.beginning import unseen
from dataio.ingest.media.sound import Track, open_track, window
from dataio.ingest.sources.recording import Ear, Recording

_ROW = 1000  # samples


class Ears:
    """Reads the ears of a recording; a file that holds several is read once for all of them.

    seconds: for which every ear is heard, from the first frame that can be shown on. shortest: name of the file that ends first.
    unseen: seconds of the recording before that frame.

    Raises:
        SourceError: the video or a sound cannot be read, or a sound not brought to the rate.
    """

    def __init__(self, recording: Recording, options: EncodeOptions) -> None:
        self._pairs, self._options = recording.pairs, options
        self._tracks: dict[Path, Track] = {}
        self.unseen = unseen(recording.video)
        with ExitStack() as stack:  # those already open, if one of the next fails
            for path in dict.fromkeys(ear.path for pair in recording.pairs.values() for ear in pair):
                track = open_track(path, options.rate, ambisonic=recording.ambisonic, unseen=self.unseen)
                self._tracks[path] = track
                stack.callback(track.close)
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
            pcm = _together(heard, *ears)
            if options.sound == "flac":
                facts = index.Facts(rate=options.rate, channels=2, samples=len(pcm))
                clip.add(pair_extension(pair, "flac"), flac(pcm, options.rate), facts)
            else:
                clip.pcm(pair_extension(pair), pcm, options.rate)
            levels |= dict(zip((f"{pair}.L", f"{pair}.R"), rms(pcm).tolist(), strict=True))
        return levels


def _together(heard: dict[Path, np.ndarray], left: Ear, right: Ear) -> np.ndarray:
    """(samples, 2) int16; no copy where a stereo file holds just these two."""
    both = heard[left.path]
    if left.path == right.path and (left.channel, right.channel, both.shape[1]) == (0, 1, 2):
        return both
    return np.stack([heard[ear.path][:, ear.channel] for ear in (left, right)], 1)


def rms(pcm: np.ndarray) -> np.ndarray:
    """Root mean square of each channel of (samples, channels) int16, of full scale: (channels,) float64.

    The sums are of integers and so exact, in any order, and take no BLAS, whose threads would spin beside the other workers.
    """
    samples, channels = pcm.shape
    squares = pcm.astype(np.int32)
    squares *= squares
    rows = samples // _ROW * _ROW
    total = squares[rows:].sum(0, dtype=np.int64)
    if rows:  # long rows are summed side by side, by vector instructions; two columns would be summed one by one
        head = squares[:rows].reshape(-1, _ROW * channels).astype(np.int64).sum(0)
        total = total + head.reshape(_ROW, channels).sum(0)
    return np.sqrt(total / samples) / 32768.0


def flac(pcm: np.ndarray, rate: int) -> bytes:
    """(samples, channels) int16 as a FLAC file."""
    import soundfile

    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, rate, format="FLAC", subtype="PCM_16")
    return buffer.getvalue()
