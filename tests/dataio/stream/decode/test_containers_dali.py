"""DALI's frames are PyAV's, bit for bit where the conversion of colours is the same; damage is an error, not a black picture."""

import io
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

pytest.importorskip("nvidia.dali")

from dataio.ingest.encode.container import encode_video
from dataio.ingest.encode.copy import copied
from dataio.stream.decode.container import numbered, numbers_at, timed
from dataio.stream.decode.containers_dali import CPU_CODECS, containers

SIZE = (64, 128)


def _scene(count: int, seed: int = 3) -> list[np.ndarray]:
    blocks = np.random.default_rng(seed).integers(30, 226, (16, 32, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    return [np.ascontiguousarray(np.roll(blocks, 3 * k, 1)) for k in range(count)]


def _run(pipe, clips: list[bytes], numbers: list[list[int]] | None = None) -> list[np.ndarray]:
    pipe.feed_input("data", [np.frombuffer(data, np.uint8) for data in clips])
    if numbers is not None:
        pipe.feed_input("numbers", [np.array(each, np.int32) for each in numbers])
    return [np.array(shown) for shown in pipe.run()[0]]


@pytest.mark.parametrize("gop", [1, 5, 20])
def test_frames_are_those_of_pyav(gop: int) -> None:
    clips = [encode_video(_scene(20, seed), fps=10, codec="vp9", gop=gop) for seed in range(3)]
    numbers = [i * 20 // 8 for i in range(8)]
    for data, shown in zip(clips, _run(containers("cpu", batch=3, threads=2, numbers=numbers), clips), strict=True):
        assert shown.shape == (8, *SIZE, 3)
        assert np.array_equal(shown, np.stack(list(numbered(data, numbers, interpolate=True))))


def _recording(path: Path, codec: str) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=25, options={"g": "12"})
        stream.height, stream.width = SIZE
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        for k, rgb in enumerate(_scene(70)):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = k, Fraction(1, 25)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


@pytest.mark.parametrize(("codec", "name"), [("libvpx-vp9", "a.webm"), ("mjpeg", "a.mov")])
def test_copied_clips_with_numbers_of_their_own(codec: str, name: str, tmp_path: Path) -> None:
    clips = list(copied(_recording(tmp_path / name, codec), 1.2, 2))
    times = [[clip.offset + i * 1.2 / 5 for i in range(5)] for clip in clips]
    numbers = [numbers_at(clip.data, each) for clip, each in zip(clips, times, strict=True)]
    pipe = containers("cpu", batch=2, threads=1, numbers=None)
    for clip, each, shown in zip(clips, times, _run(pipe, [clip.data for clip in clips], numbers), strict=True):
        assert np.array_equal(shown, np.stack(list(timed(clip.data, each, interpolate=True))))


def test_what_cannot_be_decoded_is_an_error() -> None:
    whole = encode_video(_scene(12), fps=10, codec="vp9", gop=4)
    foreign = encode_video(_scene(12), fps=10, codec="h264", gop=4)
    for bad in (whole[: len(whole) // 2], whole[:200], b"x", foreign, b"\xff\xd8\xff" + bytes(1000)):
        pipe = containers("cpu", batch=2, threads=1, numbers=[0, 3, 11])
        with pytest.raises(RuntimeError):
            _run(pipe, [whole, bad])
    pipe = containers("cpu", batch=2, threads=1, numbers=[0, 12])
    with pytest.raises(RuntimeError):
        _run(pipe, [whole, whole])


def test_the_codecs_named_are_those_that_dali_decodes_here() -> None:
    for codec in ("h264", "hevc", "vp9", "av1"):
        data = encode_video(_scene(4), fps=4, codec=codec)
        pipe = containers("cpu", batch=1, threads=1, numbers=[0])
        if codec in CPU_CODECS:
            assert _run(pipe, [data])[0].shape == (1, *SIZE, 3)
        else:
            with pytest.raises(RuntimeError):
                _run(pipe, [data])


@pytest.mark.gpu
@pytest.mark.parametrize("codec", ["h264", "hevc", "vp9", "av1"])
def test_the_gpu_shows_what_the_cpu_shows(codec: str) -> None:
    """Within what another conversion of colours makes of them: the planes of a decoder are the same everywhere."""
    pictures = [np.repeat(np.repeat(each[::4, ::4], 32, 0), 32, 1)[:256, :512] for each in _scene(16)]
    data = encode_video(pictures, fps=8, codec=codec)
    numbers = [0, 3, 7, 8, 15]
    pipe = containers("cuda", batch=1, threads=2, numbers=numbers)
    pipe.feed_input("data", [np.frombuffer(data, np.uint8)])
    shown = np.array(pipe.run()[0].as_cpu()[0])
    expected = np.stack(list(numbered(data, numbers, interpolate=True)))
    assert np.abs(shown.astype(int) - expected).mean() < 3
    with av.open(io.BytesIO(data)) as file:
        assert len(list(file.decode(video=0))) == 16
