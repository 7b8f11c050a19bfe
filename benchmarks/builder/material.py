"""Recordings to build from: 360° video with texture everywhere and something moving, four binaural pairs; made once a run."""

import os
import struct
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

RATE = 96_000
_X264 = "threads=1:lookahead-threads=1:scenecut=0:bframes={b}:keyint={gop}"


def recordings(folder: Path, *, count: int, seconds: float, size: tuple[int, int], fps: int, gop: int, b_frames: int) -> None:
    """Write `count` recordings of one content under different names, as the `folder` layout wants them.

    The video is encoded once and the sounds are drawn once; the others are links to them, so that the disk cache holds all.
    """
    folder.mkdir(parents=True)
    video(folder / "r00.mp4", seconds=seconds, size=size, fps=fps, gop=gop, b_frames=b_frames)
    for i, pair in enumerate(("front", "right", "back", "left")):
        noise = np.random.default_rng(i).normal(0, 2000, (round(seconds * RATE), 2)).astype("<i2")
        (folder / f"r00.{pair}.wav").write_bytes(_wav_head(len(noise)) + noise.tobytes())
    for k in range(1, count):
        for path in sorted(folder.glob("r00.*")):
            os.link(path, folder / path.name.replace("r00", f"r{k:02d}"))


def video(path: Path, *, seconds: float, size: tuple[int, int], fps: int, gop: int, b_frames: int = 0) -> None:
    """An H.264 file whose texture drifts to the right, with camera noise, at a rate of the kind that cameras write."""
    import av

    height, width = size
    pictures = _scene(height, width)
    with av.open(str(path), "w") as container:
        options = {"preset": "veryfast", "crf": "20", "x264-params": _X264.format(b=b_frames, gop=gop)}
        stream: Any = container.add_stream("libx264", rate=fps, options=options)
        stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
        stream.codec_context.thread_count = 1
        for k in range(round(seconds * fps)):
            base = pictures[k % len(pictures)]
            frame = av.VideoFrame.from_ndarray(np.roll(base, 2 * k % width, 1), format="rgb24").reformat(format="yuv420p")
            frame.pts, frame.time_base = k, Fraction(1, fps)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def _scene(height: int, width: int) -> list[np.ndarray]:
    """Four pictures of one texture, with different noise on each."""
    rng = np.random.default_rng(0)
    coarse = rng.integers(40, 216, (height // 16, width // 16, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    fine = rng.integers(0, 24, (height // 2, width // 2, 1), np.uint8).repeat(2, 0).repeat(2, 1)
    noise = [rng.integers(0, 8, (height, width, 1), np.uint8) for _ in range(4)]
    return [np.ascontiguousarray(coarse + fine + n) for n in noise]


LONG = {"gop_seconds": 5, "b_frames": 2, "pairs": 4, "rate": 48_000}
"""How a long recording is made."""


def long_recording(folder: Path, *, hours: float, size: tuple[int, int], fps: int) -> None:
    """One long recording: the packets of ten seconds of video, remuxed again and again, with four silent (sparse) pairs."""
    import av

    folder.mkdir(parents=True)
    short, seconds = folder / ".short.mp4", 10
    video(short, seconds=seconds, size=size, fps=fps, gop=fps * LONG["gop_seconds"], b_frames=LONG["b_frames"])
    repeats = round(hours * 3600 / seconds)
    with av.open(str(short)) as source, av.open(str(folder / "long.mp4"), "w") as out:
        stream = source.streams.video[0]
        target = out.add_stream_from_template(stream)
        packets = [(bytes(p), p.pts, p.dts, p.duration, p.is_keyframe) for p in source.demux(stream) if p.size]
        assert stream.time_base is not None
        length = round(seconds / stream.time_base)
        for k in range(repeats):
            for data, pts, dts, duration, key in packets:
                packet = av.Packet(data)
                packet.stream, packet.time_base, packet.is_keyframe = target, stream.time_base, key
                packet.pts, packet.dts, packet.duration = (pts or 0) + k * length, (dts or 0) + k * length, duration
                out.mux(packet)
    short.unlink()
    samples = repeats * seconds * LONG["rate"]
    with open(folder / "long.front.wav", "wb") as file:
        file.write(_wav_head(samples, LONG["rate"]))
        file.truncate(44 + 4 * samples)
    for pair in ("right", "back", "left"):
        os.link(folder / "long.front.wav", folder / f"long.{pair}.wav")


def _wav_head(samples: int, rate: int = RATE) -> bytes:
    sizes = 4 * samples
    head = struct.pack("<IHHIIHH", 16, 1, 2, rate, 4 * rate, 4, 16)
    return b"RIFF" + struct.pack("<I", 36 + sizes) + b"WAVEfmt " + head + b"data" + struct.pack("<I", sizes)
