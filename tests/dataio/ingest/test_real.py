"""A real 360° recording, where it lies beside the repository; what it proves is proven with generated twins elsewhere too."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from dataio.format import manifest
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.executors import local
from tests.clips import clips_in

REAL = Path(__file__).parents[4] / "shared" / "real"

pytestmark = pytest.mark.skipif(not (REAL / "alcatraz360.mp4").is_file(), reason=f"no real recording at {REAL}")


def test_forty_real_seconds_are_twenty_clips(tmp_path: Path) -> None:
    report = build(REAL, tmp_path / "shards", BuildOptions(), local(1))
    assert (report["recordings"], report["clips"], report["skipped"], report["splits"]) == (1, 20, {}, {"train": 20})
    assert report["tail_seconds"] == {"alcatraz360": pytest.approx(0.067, abs=0.001)}
    assert manifest.load(tmp_path / "shards").media == manifest.Media(2.0, 8, (256, 512), 96_000, ("front",))
    clips = clips_in(tmp_path / "shards")
    sound, rate = soundfile.read(REAL / "alcatraz360.flac", dtype="int16")
    assert rate == 96_000
    for i in range(20):
        clip = clips[f"alcatraz360-{i:06d}"]
        assert np.array_equal(clip.pcm["front"], sound[i * 192_000 : (i + 1) * 192_000])  # two seconds: 257 × 601 and more
        assert clip.json["frame_times"] == pytest.approx([2 * i + np.floor(7.5 * k + 1e-6) / 30 for k in range(8)], abs=1e-3)
        assert clip.frames.shape == (8, 256, 512, 3)
        assert clip.frames.std() > 10
