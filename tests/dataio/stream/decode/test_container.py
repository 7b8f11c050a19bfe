"""Frames out of containers: those that full decoding shows, at the times at which the builder sees them, with no more work."""

import io
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.reformatter import Interpolation
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.ingest.encode.container import EXTENSIONS, encode_video
from dataio.ingest.encode.copy import copied
from dataio.ingest.media.picture import frames_at
from dataio.media import needed
from dataio.stream.decode.container import numbered, numbers_at, reduction, timed
from dataio.stream.decode.errors import DecodeError
from dataio.stream.kernels import rotate
from tests.media import make_video, read_number
from tests.media import numbered as striped

REAL = Path(__file__).parents[5] / "shared" / "real" / "alcatraz360.mp4"
CODECS = tuple(EXTENSIONS)
FPS = 25
CAREFUL = Interpolation.BILINEAR | Interpolation.FULL_CHR_H_INT | Interpolation.ACCURATE_RND


def _scene(count: int, height: int = 64, width: int = 128) -> list[np.ndarray]:
    """Blocks of noise that drift around the circle: every frame differs from its neighbours."""
    rng = np.random.default_rng(3)
    blocks = rng.integers(30, 226, (height // 4, width // 4, 3), np.uint8).repeat(4, 0).repeat(4, 1)
    return [np.ascontiguousarray(np.roll(blocks, 3 * k, 1)) for k in range(count)]


SCENE = _scene(24)


def _clip(codec: str, gop: int, count: int = 24) -> bytes:
    return encode_video(SCENE[:count], fps=12, codec=codec, gop=gop)


def _every(data: bytes, interpolation: int | None = None) -> np.ndarray:
    """All frames, (n, H, W, 3), decoded from front to back."""
    with av.open(io.BytesIO(data)) as file:
        return np.array([frame.to_ndarray(format="rgb24", interpolation=interpolation) for frame in file.decode(video=0)])


@pytest.mark.parametrize("codec", CODECS)
@pytest.mark.parametrize("gop", [1, 5, 24])
def test_frames_are_those_of_full_decoding(codec: str, gop: int) -> None:
    data = _clip(codec, gop)
    every = _every(data)
    for numbers in ([0], [23], [i * 24 // 8 for i in range(8)], [4, 4, 5, 5, 5, 17], range(24), []):
        shown = list(numbered(np.frombuffer(data, np.uint8), numbers, held=24, size=(64, 128)))
        assert len(shown) == len(numbers)
        for number, picture in zip(numbers, shown, strict=True):
            assert (picture.dtype, picture.flags.c_contiguous) == (np.uint8, True)
            assert np.array_equal(picture, every[number]), f"frame {number}"


@pytest.mark.parametrize(
    ("gop", "most"),
    [(1, 4), (6, 4), (8, 7 + 5 + 3), (24, 19)],  # in every group from its key frame to the last that is wanted
)
def test_no_packet_is_decoded_that_is_not_needed(gop: int, most: int, monkeypatch: pytest.MonkeyPatch) -> None:
    sent = []
    original = needed.planned

    def counting(*args):
        for step in original(*args):
            sent.append(step.packet.size > 0)
            yield step

    monkeypatch.setattr(needed, "planned", counting)
    assert len(list(numbered(_clip("h264", gop), [0, 6, 12, 18]))) == 4
    assert sum(sent) <= most


def _recording(path: Path, codec: str, options: dict[str, str], times: Sequence[float]) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=FPS, options=options)
        stream.height, stream.width = 64, 128
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time, rgb in zip(times, _scene(len(times)), strict=True):
            frame = av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format=stream.pix_fmt)
            frame.pts, frame.time_base = round(time * 1000), Fraction(1, 1000)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path


ALONE = "threads=1:lookahead-threads=1:scenecut=0:"
FORMS = {
    "intra.mp4": ("libx264", {"x264-params": ALONE + "keyint=1"}),
    "plain.mkv": ("libx264", {"x264-params": ALONE + "bframes=0:keyint=30"}),
    "b.mp4": ("libx264", {"x264-params": ALONE + "bframes=2:keyint=12"}),
    "pyramid.mkv": ("libx264", {"x264-params": ALONE + "bframes=7:b-pyramid=normal:b-adapt=0:keyint=30"}),
    "open.mp4": ("libx264", {"x264-params": ALONE + "bframes=3:open-gop=1:b-adapt=0:keyint=10"}),
    "hevc.mp4": ("libx265", {"x265-params": "bframes=4:b-adapt=0:open-gop=1:keyint=16:log-level=none:pools=none:frame-threads=1"}),
    "mpeg4.mp4": ("mpeg4", {"g": "14", "bf": "2"}),
    "vp9.webm": ("libvpx-vp9", {"g": "20"}),
    "mjpeg.mov": ("mjpeg", {}),
}
STEADY = [k / FPS for k in range(110)]
UNSTEADY = [0.0, *np.cumsum(np.random.default_rng(8).choice([0.02, 0.04, 0.1, 0.25], 60)).tolist()]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("times", [STEADY, UNSTEADY], ids=["steady", "unsteady"])
def test_copied_clips_show_what_the_builder_sees_of_the_recording(
    form: str, times: list[float], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = _recording(tmp_path / form, *FORMS[form], times)
    seconds = 1.3
    clips = list(copied(path, seconds, 3))
    assert len(clips) == 3
    capfd.readouterr()
    for count in (1, 5, 8, 40):  # of the last there are fewer in the file: some are shown several times
        at = [i * seconds / count for i in range(count)]
        expected = frames_at(path, [number * seconds + time for number in range(3) for time in at])
        for clip in clips:
            wanted = [clip.offset + time for time in at]
            shown = list(timed(clip.data, wanted, size=(64, 128)))
            numbers = numbers_at(clip.data, wanted)
            for picture, seen, number in zip(shown, expected, numbers, strict=False):
                assert np.array_equal(picture, seen.rgb(64, 128))
                assert count != 5 or np.array_equal(picture, _every(clip.data)[number])
            assert len(shown) == len(numbers) == count
    assert capfd.readouterr() == ("", "")


def test_frozen_pictures_and_times_outside(tmp_path: Path) -> None:
    pictures = [striped(k, 32, 64) for k in range(12)]
    path = make_video(tmp_path / "a.mkv", pictures, times=[0, 0.1, 0.2, 0.3, *(3 + k / 10 for k in range(8))], gop=4)
    first, second, third = copied(path, 1.0, 3)
    show = lambda clip, at: [read_number(p) for p in timed(clip.data, [clip.offset + t for t in at])]  # noqa: E731
    assert show(first, [0, 0.05, 0.1, 0.25, 0.9]) == [0, 0, 1, 2, 3]
    assert show(second, [0, 0.5]) == show(third, [0.99]) * 2 == [3, 3]
    assert [read_number(p) for p in timed(first.data, [-1.0, 99.0])] == [0, 3]


@given(height=st.integers(1, 300), width=st.integers(1, 300), least=st.tuples(st.integers(1, 99), st.integers(1, 99)))
def test_reduction_divides_and_leaves_enough(height: int, width: int, least: tuple[int, int]) -> None:
    k = reduction((height, width), least)
    assert k == 1 or (height % k == width % k == 0 and height // k >= least[0] and width // k >= least[1])
    assert not any(height % j == width % j == 0 and height // j >= least[0] and width // j >= least[1] for j in range(k + 1, 301))


def _flat(picture: np.ndarray, k: int) -> np.ndarray:
    height, width = picture.shape[0] // k, picture.shape[1] // k
    return picture.reshape(height, k, width, k, 3).astype(float).mean((1, 3))


@pytest.mark.parametrize("k", [2, 4, 8])
def test_reduced_pictures_are_means_of_blocks_without_a_seam(k: int) -> None:
    """Also at the edges, where a block ends with the picture, and so knows no neighbour beyond."""
    smooth = np.clip(np.rint(_waves(64, 128)), 0, 255).astype(np.uint8)
    data = encode_video([smooth] * 2, fps=4, codec="h264", quality=95)
    shown, full = next(numbered(data, [0], least=(64 // k, 128 // k))), next(numbered(data, [0], interpolate=True))
    assert shown.shape == (64 // k, 128 // k, 3)
    error = np.abs(shown - _flat(full, k))
    assert error.max() <= 4
    assert error.mean() < 0.6


def _waves(height: int, width: int) -> np.ndarray:
    """A picture whose colours go round without an edge."""
    around = 2 * np.pi * np.arange(width) / width
    down = np.linspace(0, 3, height)
    return np.stack([128 + 80 * np.sin(np.add.outer(down * c, c * around)) for c in (1, 2, 3)], 2)


@pytest.mark.skipif(not REAL.is_file(), reason=f"no real recording at {REAL}")
def test_reduced_and_turned_is_near_resized_and_turned() -> None:
    """The tolerance of reading at half size, in grey levels."""
    pictures = [each.rgb(256, 512) for each in frames_at(REAL, [0.0, 0.25])]
    data = encode_video(pictures, fps=4, codec="h264")
    for size, least, shape, most in (
        ((64, 128), (64, 128), (64, 128), 24),
        ((128, 256), (128, 256), (128, 256), 24),
        ((64, 128), (128, 256), (128, 256), 7),
        ((56, 112), (112, 224), (128, 256), 7),
    ):
        outs = []
        for asked in (None, least):
            shown = np.stack(list(numbered(data, [0, 1], least=asked, interpolate=True)))
            out = np.empty((3, 2, *size), np.float32)
            rotate.rotate(shown, 10, True, rotate.plan(shown.shape[1:3], size), out)
            outs.append(out * np.array(rotate.STD)[:, None, None, None] * 255)
        assert shown.shape == (2, *shape, 3)
        assert np.percentile(np.abs(outs[0] - outs[1]), 99.9) < most


@pytest.mark.skipif(not REAL.is_file(), reason=f"no real recording at {REAL}")
@pytest.mark.parametrize("codec", ["h264", "vp9"])
def test_repeated_chroma_is_near_interpolated_chroma(codec: str) -> None:
    """Which is nearer to what was encoded: the tolerance between decoders."""
    pictures = np.array([each.rgb(256, 512) for each in frames_at(REAL, [0.0, 0.25])])
    data = encode_video(pictures, fps=4, codec=codec)
    plain, fine = (np.stack(list(numbered(data, [0, 1], interpolate=how))).astype(int) for how in (False, True))
    assert np.array_equal(fine, _every(data, CAREFUL))
    assert np.abs(plain - fine).mean() < 1.5
    assert np.percentile(np.abs(plain - fine), 99.9) <= 10
    errors = [np.square(shown - pictures).mean() for shown in (fine, plain)]
    assert errors[0] < errors[1] < 1.8 * errors[0]


@settings(deadline=None, max_examples=20)
@given(numbers=st.lists(st.integers(0, 23), max_size=8).map(sorted), codec=st.sampled_from(["h264", "vp9"]))
def test_any_choice_of_frames(numbers: list[int], codec: str) -> None:
    data = _DATA.setdefault(codec, _clip(codec, 7))
    every = _EVERY.setdefault(codec, _every(data))
    assert all(np.array_equal(p, every[n]) for p, n in zip(numbered(data, numbers), numbers, strict=True))


_DATA: dict[str, bytes] = {}
_EVERY: dict[str, np.ndarray] = {}


def test_several_threads_see_the_same_and_start_none() -> None:
    clips = {codec: (_clip(codec, 8), _every(_clip(codec, 8))) for codec in CODECS}
    before = len(list(Path("/proc/self/task").iterdir()))
    most = before

    def look(i: int) -> bool:
        nonlocal most
        data, every = clips[CODECS[i % 4]]
        numbers = [i % 5, 9, 20]
        same = all(np.array_equal(p, every[n]) for p, n in zip(numbered(data, numbers), numbers, strict=True))
        most = max(most, len(list(Path("/proc/self/task").iterdir())))
        return same

    with ThreadPoolExecutor(3) as pool:
        assert all(pool.map(look, range(48)))
    assert most <= before + 3
    assert threading.active_count() < 60


def test_frames_outlive_the_decoder_and_each_other() -> None:
    data = _clip("h264", 8)
    shown = list(numbered(data, range(24)))
    copies = [picture.copy() for picture in shown]
    for _ in range(5):
        list(numbered(_clip("h264", 3), range(24)))
    assert all(np.array_equal(a, b) for a, b in zip(shown, copies, strict=True))


def _sound(path: Path) -> bytes:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("aac", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        file.mux(stream.encode(frame))
        file.mux(stream.encode(None))
    return path.read_bytes()


def test_what_is_no_such_container_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    whole, webm = _clip("h264", 8), _clip("vp9", 8)
    (tmp_path / "inner.mp4").write_bytes(whole)
    playlist = f"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\n{tmp_path / 'inner.mp4'}\n#EXT-X-ENDLIST\n".encode()
    for data, message in {
        b"": "^neither MP4 nor WebM$",
        playlist: "^neither MP4 nor WebM$",
        b"\xff\xd8\xff" + bytes(500): "^neither MP4 nor WebM$",
        _sound(tmp_path / "sound.mp4"): "^a container without video",
        whole[:100]: "^the container is damaged: |^a container without video",
        whole[: len(whole) // 2]: "^the container is damaged: ",
        webm[:60]: "^the container is damaged: |^a container without video",
        webm[: len(webm) // 2]: "^the container ",
    }.items():
        for read in (lambda data: list(numbered(data, range(8), held=24)), lambda data: list(timed(data, [0.0, 1.9]))):
            if data == webm[: len(webm) // 2] and read(webm):
                continue  # a WebM may end anywhere, and be a shorter one
            with pytest.raises(DecodeError, match=message) as caught:
                read(data)
            assert caught.value.reason == str(caught.value)
    assert capfd.readouterr() == ("", "")


def test_another_size_or_number_of_frames_is_damage() -> None:
    data = _clip("h264", 8)
    with pytest.raises(DecodeError, match=r"^the picture of the container has 64x128 pixels; expected 64x126$"):
        list(numbered(data, [0], size=(64, 126)))
    with pytest.raises(DecodeError, match=r"^the container holds 24 frames; expected 25$"):
        list(numbered(data, [0], held=25))
    with pytest.raises(DecodeError, match=r"^the container holds 24 frames; expected 31$"):
        list(numbered(data, [0, 30]))


def test_a_stream_larger_than_its_head_is_not_decoded() -> None:
    """The head of a small clip, and the packets of a large one."""
    small = encode_video([striped(k, 64, 128) for k in range(2)], fps=4, codec="vp9", gop=1)
    large = encode_video([striped(k, 640, 1280) for k in range(2)], fps=4, codec="vp9", gop=1)
    file = io.BytesIO()
    with av.open(io.BytesIO(small)) as head, av.open(io.BytesIO(large)) as source, av.open(file, "w", format="webm") as out:
        stream = out.add_stream_from_template(head.streams.video[0], opaque=True)
        for packet in source.demux(video=0):
            if packet.size:
                packet.stream = stream
                out.mux(packet)
    for shown in (numbered(file.getvalue(), [0, 1]), timed(file.getvalue(), [0, 0.25], size=(64, 128))):
        with pytest.raises(DecodeError, match="^the container is damaged: "):
            list(shown)


@pytest.mark.parametrize("codec", CODECS)
def test_changed_bytes_give_pictures_or_a_sentence(codec: str, capfd: pytest.CaptureFixture[str]) -> None:
    """Few of them are seen by a decoder: that is what the checksums are for."""
    chance = np.random.default_rng(6)
    whole, refused = _clip(codec, 4, 8), 0
    capfd.readouterr()
    for trial in range(80):
        data = bytearray(whole)
        for at in chance.integers(0, len(data) if trial % 2 else 1000, 5):
            data[at] = int(chance.integers(256))
        try:
            shown = list(numbered(bytes(data), range(8), held=8, size=(64, 128)))
        except DecodeError:
            refused += 1
        else:
            assert [picture.shape for picture in shown] == [(64, 128, 3)] * 8
    assert refused > 10
    assert capfd.readouterr() == ("", "")
