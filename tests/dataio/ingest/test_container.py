"""One clip in one container: every codec gives back the frames, in the structure that was promised, always as the same bytes."""

import hashlib
import io
import os
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
import simplejpeg
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from dataio.ingest.encode.container import EXTENSIONS, crf, encode_video
from dataio.ingest.media.container import probe
from dataio.ingest.media.picture import frames_at
from tests.media import make_sound, make_video, noise, numbered, read_number

ROOT = Path(__file__).parents[3]
REAL = ROOT.parent / "shared" / "real" / "alcatraz360.mp4"
CODECS = tuple(EXTENSIONS)
CAREFUL = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND  # colour interpolated, as libjpeg does


def _decoded(data: bytes) -> list[av.VideoFrame]:
    with av.open(io.BytesIO(data)) as container:
        return list(container.decode(video=0))


def _rgb(data: bytes) -> np.ndarray:
    return np.array([frame.to_ndarray(format="rgb24", interpolation=CAREFUL) for frame in _decoded(data)])


def _packets(data: bytes) -> list[av.Packet]:
    with av.open(io.BytesIO(data)) as container:
        return [packet for packet in container.demux(video=0) if packet.size]


def _boxes(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        yield kind.decode()
        at += size


def _psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / np.mean((np.float64(a) - np.float64(b)) ** 2)))


def _texture(count: int = 8, height: int = 96, width: int = 192, seed: int = 0) -> np.ndarray:
    """Frames (count, height, width, 3) uint8 of a drifting texture with detail at all sizes, more of it in light than in colour."""
    rng = np.random.default_rng(seed)
    wide = width + 2 * count
    scene = np.full((height, wide, 3), 128.0)
    for size in (2, 4, 8, 16, 32):
        cells = rng.standard_normal((height // size + 1, wide // size + 1, 1)) * size**0.8 * 4
        cells = cells + rng.standard_normal((height // size + 1, wide // size + 1, 3)) * (size**0.8 if size > 4 else 0)
        smooth = av.VideoFrame.from_ndarray(np.clip(128 + cells, 0, 255).astype(np.uint8), format="rgb24")
        scene += smooth.reformat(wide, height, interpolation="BICUBIC").to_ndarray().astype(float) - 128
    scene = np.clip(scene, 0, 255).astype(np.uint8)
    return np.array([scene[:, 2 * k : 2 * k + width] for k in range(count)])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize(("count", "gop", "fps"), [(12, 5, 4), (8, 8, 4.0), (7, 1, 30000 / 1001), (3, 60, Fraction(7, 3))])
def test_frames_come_back_in_the_promised_structure(codec: str, count: int, gop: int, fps: float) -> None:
    data = encode_video([numbered(k * 3) for k in range(count)], fps=fps, codec=codec, gop=gop)
    assert [read_number(frame.to_ndarray(format="rgb24")) for frame in _decoded(data)] == [k * 3 for k in range(count)]
    packets = _packets(data)
    assert [packet.is_keyframe for packet in packets] == [k % gop == 0 for k in range(count)]
    assert [packet.pts for packet in packets] == [packet.dts for packet in packets]
    facts = probe(data)
    assert (facts.codec, facts.height, facts.width, facts.frames) == (codec, 64, 128, count)
    assert (facts.gop, facts.reordered) == (min(gop, count), False)
    assert facts.times == pytest.approx([k / float(fps) for k in range(count)], abs=0.51e-3 if codec == "vp9" else 1e-6)
    with av.open(io.BytesIO(data)) as container:
        (stream,) = container.streams
        context = stream.codec_context
        assert (context.pix_fmt, context.color_range, context.colorspace) == ("yuv420p", ColorRange.MPEG, 6)
        assert (context.color_primaries, context.color_trc) == (1, 13)
        assert float(stream.average_rate) == pytest.approx(float(fps), rel=1e-3)
    if EXTENSIONS[codec] == "mp4":
        assert list(_boxes(data)) == ["ftyp", "moov", "free", "mdat"]
        assert b"edts" not in data


@pytest.mark.parametrize("codec", CODECS)
def test_every_group_is_closed(codec: str) -> None:
    """A decoder that gets one group alone shows what a decoder shows that got everything."""
    data = encode_video(_texture(11), fps=4, codec=codec, quality=75, gop=4)
    whole = [frame.to_ndarray() for frame in _decoded(data)]
    for first in (4, 8):
        with av.open(io.BytesIO(data)) as container:
            stream = container.streams.video[0]
            alone = []
            for packet in [p for p in container.demux(stream) if p.size][first : first + 4]:
                alone += stream.codec_context.decode(packet)
            alone += stream.codec_context.decode(None)
        assert len(alone) == min(4, 11 - first)
        assert all(np.array_equal(a.to_ndarray(), b) for a, b in zip(alone, whole[first:], strict=False))


@pytest.mark.parametrize("codec", CODECS)
def test_neither_cuts_nor_the_source_move_key_frames(codec: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    cuts = [rng.integers(0, 256, (64, 128, 3), np.uint8) for _ in range(10)]
    make_video(tmp_path / "intra.mp4", cuts, fps=10, gop=1)
    with av.open(str(tmp_path / "intra.mp4")) as container:
        frames = list(container.decode(video=0))
    before = [(frame.pts, frame.time_base, frame.pict_type, frame.colorspace) for frame in frames]
    data = encode_video(frames, fps=10, codec=codec, gop=6)
    assert [packet.is_keyframe for packet in _packets(data)] == [k in (0, 6) for k in range(10)]
    assert before == [(frame.pts, frame.time_base, frame.pict_type, frame.colorspace) for frame in frames]


SCRIPT = """
import hashlib, sys
import numpy as np
from dataio.ingest.encode.container import EXTENSIONS, encode_video
frames = np.random.default_rng(5).integers(0, 256, (5, 64, 128, 3), np.uint8)
for codec in EXTENSIONS:
    data = encode_video(frames, fps=4, codec=codec, gop=3)
    print(hashlib.sha256(data).hexdigest())
"""


def test_two_processes_say_nothing_and_give_the_same_bytes() -> None:
    runs = []
    for zone in ("UTC", "Asia/Tokyo"):
        environment = {k: v for k, v in os.environ.items() if k != "SVT_LOG"} | {"TZ": zone, "PYTHONHASHSEED": "random"}
        run = subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True)
        assert (run.returncode, run.stderr) == (0, "")
        runs.append(run.stdout.split())
    frames = np.random.default_rng(5).integers(0, 256, (5, 64, 128, 3), np.uint8)
    here = [encode_video(frames, fps=4, codec=codec, gop=3) for codec in CODECS]
    assert runs[0] == runs[1] == [hashlib.sha256(data).hexdigest() for data in here]
    for data in here:
        assert not [word for word in (b"x264", b"x265", b"Lavc", b"SVT", b"Lavf6") if word in data]


def _against_jpeg(frames: np.ndarray, codec: str, quality: int) -> tuple[float, float]:
    """By how many dB the codec is better than 4:2:0 JPEGs of the same quality, and its bytes by theirs."""
    jpegs = [simplejpeg.encode_jpeg(np.ascontiguousarray(frame), quality, "RGB", "420") for frame in frames]
    data = encode_video(frames, fps=4, codec=codec, quality=quality)
    stills = np.array([simplejpeg.decode_jpeg(jpeg) for jpeg in jpegs])
    return _psnr(_rgb(data), frames) - _psnr(stills, frames), len(data) / sum(map(len, jpegs))


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("quality", [50, 75, 90, 95])
def test_quality_means_what_it_means_for_jpeg(codec: str, quality: int) -> None:
    grain = np.random.default_rng(9).normal(0, 1.5, (8, 96, 192, 1))
    gain, share = _against_jpeg(np.clip(_texture(8) + grain, 0, 255).astype(np.uint8), codec, quality)
    assert -0.7 < gain < 3.2  # a drifting texture is foreseen better than life is
    assert share < 0.65


@pytest.mark.skipif(not REAL.is_file(), reason=f"no real recording at {REAL}")
@pytest.mark.parametrize("codec", CODECS)
def test_quality_of_a_real_recording(codec: str) -> None:
    shown = frames_at(REAL, [k / 4 for k in range(8)])
    frames = np.array([each.rgb(256, 512) for each in shown])
    for quality in (50, 75, 90, 95):
        gain, share = _against_jpeg(frames, codec, quality)
        assert abs(gain) < 1.2
        assert share < 0.75


@pytest.mark.parametrize("codec", CODECS)
def test_better_quality_is_never_a_coarser_quantiser(codec: str) -> None:
    factors = [crf(codec, quality) for quality in range(1, 101)]
    assert factors == sorted(factors, reverse=True)
    assert 1 <= factors[-1] < factors[49] < factors[0] <= 63


def _colours(height: int = 64, width: int = 128) -> np.ndarray:
    """Eight upright stripes: black, blue, green, …, white, none quite saturated."""
    stripes = np.array([[20 + 200 * bool(k & bit) for bit in (4, 2, 1)] for k in range(8)], np.uint8)
    return np.broadcast_to(stripes.repeat(width // 8, 0), (height, width, 3)).copy()


def _middles(picture: np.ndarray) -> np.ndarray:
    step = picture.shape[1] // 8
    return np.array([picture[8:-8, k * step + 4 : (k + 1) * step - 4].mean((0, 1)) for k in range(8)])


@pytest.mark.parametrize("codec", CODECS)
def test_colours_survive_with_and_without_the_tags(codec: str) -> None:
    frames = [_colours()] * 3
    for frame in _decoded(encode_video(frames, fps=4, codec=codec)):
        assert np.abs(_middles(frame.to_ndarray(format="rgb24")) - _middles(frames[0])).max() < 4
        untold = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
        assert np.abs(_middles(untold.to_ndarray(format="rgb24")) - _middles(frames[0])).max() < 4


def test_dali_reads_vp9_as_it_is() -> None:
    dali = pytest.importorskip("nvidia.dali")
    frames = np.concatenate([[_colours()], [numbered(k) for k in (3, 77, 200)]])
    data = encode_video(frames, fps=4, codec="vp9")

    @dali.pipeline_def(batch_size=1, num_threads=1, device_id=None)
    def pipeline():
        raw = dali.fn.external_source(source=lambda: [np.frombuffer(data, np.uint8)])
        return dali.fn.decoders.video(raw, device="cpu")

    pipe = pipeline()
    pipe.build()
    shown = np.array(pipe.run()[0][0])
    assert shown.shape == frames.shape
    assert [read_number(frame) for frame in shown[1:]] == [3, 77, 200]
    assert np.abs(_middles(shown[0]) - _middles(frames[0])).max() < 4


@pytest.mark.parametrize(
    ("format", "matrix", "span"),
    [("yuv420p", Colorspace.ITU709, ColorRange.MPEG), ("yuvj420p", Colorspace.ITU601, ColorRange.JPEG), ("yuv444p", None, None)],
)
def test_decoded_frames_keep_the_colours_that_jpegs_of_them_have(format: str, matrix: int | None, span: int | None) -> None:
    colours = av.VideoFrame.from_ndarray(_colours(), format="rgb24")
    frame = colours.reformat(format=format, dst_colorspace=matrix, dst_color_range=span)
    expected = _middles(frame.to_ndarray(format="rgb24"))
    for given in (frame, frame.to_ndarray(format="rgb24")):
        got = _middles(_rgb(encode_video([given] * 2, fps=4, codec="h264", quality=95))[1])
        assert np.abs(got - expected).max() < 4


def test_frames_of_another_size_are_scaled(tmp_path: Path) -> None:
    make_video(tmp_path / "a.mp4", (numbered(k, 120, 240) for k in range(8)), fps=4)
    shown = [each.picture for each in frames_at(tmp_path / "a.mp4", [k / 4 for k in range(8)])]
    for size in ((64, 128), (160, 320)):
        for frames in (shown, [frame.to_ndarray(format="rgb24") for frame in shown]):
            data = encode_video(frames, fps=4, codec="h264", size=size)
            assert (probe(data).height, probe(data).width) == size
            assert [read_number(rgb) for rgb in _rgb(data)] == list(range(8))
    same = encode_video([shown[3]] * 4, fps=4, codec="h264")  # a frozen picture is one object, several times
    assert [read_number(rgb) for rgb in _rgb(same)] == [3] * 4


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"codec": "theora"}, "codec 'theora' is unknown; there are h264, hevc, vp9, av1"),
        ({"size": (63, 128)}, "size 63x128: h264 needs even sides"),
        ({"size": (64, 127)}, "size 64x127: h264 needs even sides"),
        ({"size": (0, 0)}, "size 0x0"),
        ({"quality": 0}, "quality 0 is outside 1 … 100"),
        ({"quality": 101}, "quality 101"),
        ({"gop": 0}, "gop 0"),
        ({"fps": 0}, "fps 0"),
        ({"frames": []}, "at least one frame"),
        ({"size": (2, 2), "codec": "hevc"}, "hevc cannot encode 2x2 at 4 frames per second: "),
        ({"size": (2, 2), "codec": "av1"}, "av1 cannot encode 2x2 at 4 frames per second: "),
    ],
)
def test_wrong_values_are_named(wrong: dict, message: str) -> None:
    how = {"frames": [numbered(1)], "fps": 4, "codec": "h264"} | wrong
    with pytest.raises(ValueError, match=message):
        encode_video(how.pop("frames"), **how)


def test_probe_refuses_what_is_no_clip(tmp_path: Path) -> None:
    whole = encode_video(_texture(8), fps=4, codec="h264")
    webm = encode_video(_texture(8), fps=4, codec="vp9")
    (tmp_path / "inner.mp4").write_bytes(whole)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{tmp_path / 'inner.mp4'}\n#EXT-X-ENDLIST\n".encode()
    with av.open(str(tmp_path / "sound.mp4"), "w") as container:
        stream = container.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(noise(0.1, 48_000).T.copy(), format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    make_sound(tmp_path / "a.wav", noise(0.1))
    for data, message in {
        b"": "neither MP4 nor WebM",
        playlist: "neither MP4 nor WebM",
        (tmp_path / "a.wav").read_bytes(): "neither MP4 nor WebM",
        (tmp_path / "sound.mp4").read_bytes(): "without video",
        whole[: len(whole) * 2 // 3]: "cannot be read|damaged",
        whole[:100]: "cannot be read|without video",
        webm[:60]: "cannot be read|without video",
    }.items():
        with pytest.raises(ValueError, match=message):
            probe(data)


def test_no_flipped_byte_breaks_the_probe() -> None:
    chance = np.random.default_rng(2)
    for codec in ("h264", "vp9"):
        data = encode_video(_texture(4), fps=4, codec=codec, quality=20)
        for at in chance.integers(0, len(data), 150):
            spoiled = bytearray(data)
            spoiled[at] ^= 1 << int(chance.integers(8))
            with suppress(ValueError):
                assert probe(bytes(spoiled)).frames <= 10_000


PRIORITIES = """
import os, sys
import numpy as np
from dataio.ingest.encode import container
before, seen = set(os.listdir("/proc/self/task")), []
def look(*args, picture=container._picture):
    tasks = os.listdir("/proc/self/task")
    seen.append((len(set(tasks) - before), {os.sched_getscheduler(int(task)) for task in tasks} == {os.SCHED_OTHER}))
    return picture(*args)
container._picture = look
container.encode_video([np.full((64, 64, 3), level, np.uint8) for level in range(4)], fps=4, codec=sys.argv[1])
print(seen[0][0], all(ordinary for _, ordinary in seen), os.sched_getscheduler(0) == os.SCHED_OTHER)
"""


@pytest.mark.parametrize("codec", CODECS)
def test_an_encoder_takes_no_priority_over_others(codec: str) -> None:
    """Run by root, a process would keep real-time priority, and hand it on to all that it starts."""
    done = subprocess.run([sys.executable, "-c", PRIORITIES, codec], cwd=ROOT, capture_output=True, text=True, check=True)
    threads, *ordinary = done.stdout.split()
    assert ordinary == ["True", "True"]
    assert codec != "av1" or int(threads) > 0, "the threads of SVT-AV1 were looked at too"
