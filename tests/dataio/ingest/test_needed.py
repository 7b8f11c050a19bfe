"""Leaving out what is not wanted changes no wanted frame, whatever refers to whatever; and it does leave something out."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from dataio.ingest.media.picture import frames_at
from dataio.media import needed

FRAMES, SIZE, FPS = 100, (64, 128), 25

X264 = "threads=1:lookahead-threads=1:scenecut=0:"
FORMS = {
    "intra": ("libx264", X264 + "keyint=1", "mp4"),
    "P only": ("libx264", X264 + "bframes=0:keyint=25", "mp4"),
    "B": ("libx264", X264 + "bframes=2:b-pyramid=none:keyint=12:ref=1", "mp4"),
    "pyramid": ("libx264", X264 + "bframes=7:b-pyramid=normal:b-adapt=0:keyint=30", "mkv"),
    "open": ("libx264", X264 + "bframes=3:open-gop=1:b-adapt=0:keyint=10", "mkv"),
    "one group": ("libx264", X264 + "bframes=3:keyint=infinite", "mp4"),
    "hevc": ("libx265", "bframes=4:b-adapt=0:open-gop=1:keyint=16:log-level=none:pools=1:frame-threads=1", "mp4"),
    "vp9": ("libvpx-vp9", None, "webm"),
    "mjpeg": ("mjpeg", None, "mov"),
}


def _scene() -> list[np.ndarray]:
    """Noise that drifts: every frame differs from its neighbours, and all of them are worth referring to."""
    rng = np.random.default_rng(3)
    wide = rng.integers(0, 256, (SIZE[0] // 4, SIZE[1] // 4 + FRAMES, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    return [np.ascontiguousarray(wide[:, 4 * k : 4 * k + SIZE[1]]) for k in range(FRAMES)]


@pytest.fixture(scope="module", params=FORMS)
def video(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    codec, params, suffix = FORMS[request.param]
    path = tmp_path_factory.mktemp("video") / f"{request.param}.{suffix}"
    options = {"x264-params": params} if codec == "libx264" else {"x265-params": params} if params else {"g": "20"}
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=FPS, options=options)
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for k, rgb in enumerate(_scene()):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = k, Fraction(1, FPS)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def _all(path: Path) -> list[av.VideoFrame]:
    with av.open(str(path)) as container:
        return list(container.decode(video=0))


@pytest.mark.parametrize("step", [1, 2, 3.3, 6.25, 19, 32.5, 60])
@pytest.mark.parametrize("offset", [0.0, 0.7])
def test_every_wanted_frame_is_the_one_that_full_decoding_shows(video: Path, step: float, offset: float) -> None:
    every = _all(video)
    times = [(offset + i * step) / FPS for i in range(int((FRAMES - offset) / step))]
    shown = list(frames_at(video, times))
    assert len(shown) == len(times)
    for time, got in zip(times, shown, strict=True):
        expected = every[int(time * FPS + 1e-3)]
        assert got.time == pytest.approx(float((expected.pts - every[0].pts) * expected.time_base), abs=1e-6)
        assert np.array_equal(got.picture.to_ndarray(), expected.to_ndarray()), f"at {time} s"


def _decoded(path: Path, times: list[float], monkeypatch: pytest.MonkeyPatch) -> tuple[int, int]:
    """How many packets reach the decoder for these times, and how many of them as wanted."""
    seen = []
    original = needed.planned

    def counting(*args):
        for step in original(*args):
            seen.append(step.wanted)
            yield step

    monkeypatch.setattr(needed, "planned", counting)
    list(frames_at(path, times))
    return len(seen), sum(seen)


def test_what_is_left_out(video: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    times = [i * 0.5 for i in range(8)]  # every 12.5 frames, the last at 87.5
    sent, wanted = _decoded(video, times, monkeypatch)
    assert wanted <= 8 + 3  # with the flush, and the first packets, before the clock is known
    if video.stem in ("intra", "mjpeg"):
        assert sent <= 8 + 3
    if video.stem in ("B", "open", "P only", "hevc"):
        assert sent < FRAMES - 5  # the ends of the groups
    if video.stem == "one group":
        assert sent <= FRAMES
