"""JPEGs to pixels: one meaning for every decoder, every kind of damage named, and clips written from many threads at once."""

import io
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataio.ingest.encode.pictures import jpeg as build_jpeg
from dataio.stream.decode import jpeg
from dataio.stream.decode.errors import DecodeError
from dataio.stream.kernels import rotate

pytest.importorskip("simplejpeg")

STORED = (64, 128)
REAL = Path(__file__).parents[5] / "shared" / "real" / "alcatraz360.mp4"
EVERY = pytest.mark.parametrize("decoder", jpeg.available())


def picture(seed: int, height: int = STORED[0], width: int = STORED[1]) -> np.ndarray:
    """Edges, gradients and noise in all three channels: (height, width, 3) uint8."""
    rng = np.random.default_rng(seed)
    small = Image.fromarray(rng.integers(0, 256, (8, 16, 3), np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.NEAREST if seed % 2 else Image.Resampling.BICUBIC))
    return np.clip(smooth + rng.normal(0, 6, smooth.shape), 0, 255).astype(np.uint8)


def coded(pixels: np.ndarray, **options) -> np.ndarray:
    """As Pillow writes it, which can do more than the builder does."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", **({"quality": 85} | options))
    return np.frombuffer(buffer.getvalue(), np.uint8)


def built(seed: int, quality: int = 85) -> np.ndarray:
    return np.frombuffer(build_jpeg(picture(seed), quality), np.uint8)


def decoded(data: np.ndarray, decoder: jpeg.Decoder = "turbo", shape: tuple[int, int] = STORED) -> np.ndarray:
    out = np.zeros((*shape, 3), np.uint8)
    jpeg.decode(data, out, decoder)
    return out


KINDS = {
    "built": built(0),
    "4:4:4": coded(picture(1), subsampling=0),
    "4:2:2": coded(picture(2), subsampling=1),
    "progressive": coded(picture(3), progressive=True),
    "grey": coded(picture(4)[:, :, 0]),
    "restart markers": coded(picture(5), restart_marker_rows=1),
    "optimised tables": coded(picture(6), optimize=True, quality=97),
    "trailing bytes": np.append(built(7), np.zeros(9, np.uint8)),
}


@pytest.mark.parametrize("kind", KINDS)
def test_decoders_agree_bit_for_bit(kind):
    data = KINDS[kind]
    expected = np.asarray(Image.open(io.BytesIO(data.tobytes())).convert("RGB"))  # Pillow brings a libjpeg-turbo of its own
    for decoder in jpeg.available():
        assert np.array_equal(decoded(data, decoder), expected), decoder


def test_dali_agrees():
    graphs = pytest.importorskip("dataio.stream.decode.graphs")
    files = [built(seed) for seed in range(4)]
    pipe = graphs.frames("cpu", batch=len(files), threads=1)
    pipe.feed_input("jpeg", files)
    theirs = np.asarray(pipe.run()[0].as_tensor())
    assert np.array_equal(theirs, np.stack([decoded(data) for data in files]))


def test_real_frames_agree():
    """On real pictures, built as the builder builds them, every decoder gives the same."""
    if not REAL.exists():
        pytest.skip(f"{REAL.name} is not here")
    import av

    with av.open(str(REAL)) as container:
        shown = [frame.to_ndarray(format="rgb24") for frame, _ in zip(container.decode(video=0), range(3), strict=False)]
    for pixels in shown:
        data = np.frombuffer(build_jpeg(pixels, 85), np.uint8)
        results = [decoded(data, decoder, pixels.shape[:2]) for decoder in jpeg.available()]
        assert all(np.array_equal(results[0], other) for other in results)
        assert np.abs(results[0].astype(int) - pixels).mean() < 4


@EVERY
@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (built(0)[:0], "empty"),
        (built(0)[: len(built(0)) // 2], "(?i)premature|truncated"),
        (built(0)[:-2], "(?i)premature|truncated"),
        (built(0)[:100], "(?i)cut short|truncated"),
        (np.frombuffer(b"RIFF\0\0\0\0WAVE" * 40, np.uint8), "(?i)no JPEG|not a JPEG"),
        (coded(picture(0, 32, 64)), "the picture is 32x64, where all of the set are 64x128"),
        (coded(picture(0, 128, 64)), "the picture is 128x64, where"),
        (coded(picture(0, 128, 128)), "the picture is 128x128, where"),
    ],
    ids=["empty", "half", "no end", "header", "foreign", "smaller", "turned", "larger"],
)
def test_what_is_no_picture_of_the_set_is_named(decoder, data, reason):
    with pytest.raises(DecodeError, match=reason):
        decoded(data, decoder)


def test_damage_that_libjpeg_warns_of_is_refused():
    data = built(0).copy()
    data[len(data) // 2 : len(data) // 2 + 2] = 0xFF, 0xD9  # an end of image in the middle
    with pytest.raises(DecodeError, match=r"(?i)corrupt|premature"):
        decoded(data)


@settings(deadline=None, max_examples=200)
@given(seed=st.integers(0, 3), at=st.floats(0, 1), bits=st.integers(1, 255), cut=st.one_of(st.none(), st.floats(0, 1)))
def test_damaged_bytes_give_a_picture_or_a_decode_error(seed, at, bits, cut):
    data = built(seed).copy()
    data[int(at * (len(data) - 1))] ^= bits
    try:
        reason = None if decoded(data if cut is None else data[: int(cut * len(data))]).size else "nothing"
    except DecodeError as error:
        reason = error.reason
    assert reason is None or (reason and "\n" not in reason)


def levels(out: np.ndarray) -> np.ndarray:
    return (out.transpose(1, 2, 3, 0) * np.array(rotate.STD) + np.array(rotate.MEAN)) * 255


@EVERY
@pytest.mark.parametrize(("shift", "mirror"), [(0, False), (32, False), (5, True)])
def test_frames_are_the_turned_pictures(decoder, shift, mirror):
    files = [built(seed) for seed in range(3)]
    out = np.full((3, 3, *STORED), np.nan, np.float32)
    seconds = jpeg.JpegFrames(STORED, STORED, decoder).write(files, shift, mirror, out)
    expected = np.roll(np.stack([decoded(data) for data in files]), -shift, 2)
    assert np.abs(levels(out) - (expected[:, :, ::-1] if mirror else expected)).max() < 1e-3
    assert min(seconds) >= 0


def test_frames_are_resized_as_rotate_does():
    files = [built(seed) for seed in range(2)]
    size = (28, 56)
    out, expected = np.empty((3, 2, *size), np.float32), np.empty((3, 2, *size), np.float32)
    jpeg.JpegFrames(STORED, size).write(files, 3, True, out)
    rotate.rotate(np.stack([decoded(data) for data in files]), 3, True, rotate.plan(STORED, size), expected)
    assert np.array_equal(out, expected)


def test_the_culprit_is_named_and_the_next_clip_is_none_the_worse():
    frames = jpeg.JpegFrames(STORED, STORED)
    files = [built(seed) for seed in range(4)]
    out, clean = np.empty((3, 4, *STORED), np.float32), np.empty((3, 4, *STORED), np.float32)
    frames.write(files, 0, False, clean)
    with pytest.raises(DecodeError) as caught:
        frames.write([*files[:2], files[2][:-40], files[3]], 0, False, out)
    assert caught.value.part == 2
    frames.write(files, 0, False, out)
    assert np.array_equal(out, clean)


def test_many_threads():
    frames = jpeg.JpegFrames(STORED, (32, 64))
    clips = [[built(4 * clip + i) for i in range(4)] for clip in range(6)]

    def write(clip: int) -> np.ndarray:
        out = np.empty((3, 4, 32, 64), np.float32)
        for _ in range(5):
            frames.write(clips[clip], 16, False, out)
        return out

    with ThreadPoolExecutor(4, "sonosphere-test") as pool:
        together = list(pool.map(write, range(6)))
    assert all(np.array_equal(write(clip), out) for clip, out in enumerate(together))


def test_wrong_arguments_are_named():
    with pytest.raises(ValueError, match=r"expected \(3, 1, height, width\)"):
        jpeg.JpegFrames(STORED, STORED).write([built(0)], 0, False, np.empty((3, 2, *STORED), np.float32))
    with pytest.raises(ValueError, match="decoder='gd' does not decode JPEGs here"):
        jpeg.JpegFrames(STORED, STORED, "gd")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="torchvision decodes whole pictures only"):
        jpeg.JpegFrames(STORED, STORED, "torchvision", reduced=True)


@pytest.mark.parametrize(
    ("stored", "size", "divisor"),
    [
        ((256, 512), (256, 512), 1),
        ((256, 512), (224, 448), 1),
        ((256, 512), (128, 256), 2),
        ((256, 512), (112, 224), 2),
        ((256, 512), (64, 300), 1),
        ((256, 512), (60, 120), 4),
        ((256, 512), (8, 16), 8),
        ((250, 500), (100, 200), 2),
        ((251, 500), (100, 200), 1),  # half of this is no whole number of rows
    ],
)
def test_reduced_scale_never_falls_below_the_size(stored, size, divisor):
    assert jpeg.JpegFrames(stored, size, reduced=True).divisor == divisor
    assert jpeg.JpegFrames(stored, size).divisor == 1


@pytest.mark.parametrize(("size", "least"), [((32, 64), 32.0), ((28, 56), 36.0), ((16, 32), 29.0), ((14, 28), 36.0)])
def test_reduced_scale_is_near_the_whole_picture(size, least):
    """In dB, on soft pictures: what is left of sharper ones depends on the filter, and theirs is not ours."""
    files = [built(seed) for seed in range(0, 12, 2)]
    whole, reduced = np.empty((3, 6, *size), np.float32), np.empty((3, 6, *size), np.float32)
    jpeg.JpegFrames(STORED, size).write(files, 8, False, whole)
    jpeg.JpegFrames(STORED, size, reduced=True).write(files, 8, False, reduced)
    error = np.square(levels(whole) - levels(reduced)).mean()
    assert error > 0
    assert 10 * np.log10(255**2 / error) > least


def test_reduced_scale_has_the_same_place():
    """No half pixel lost: the centre of a bright spot lies where it lies in the whole picture."""
    pixels = np.zeros((*STORED, 3), np.uint8)
    pixels[20:28, 40:56] = 255
    data, size = [coded(pixels, quality=95, subsampling=0)], (32, 64)
    centres = []
    for reduced in (False, True):
        out = np.empty((3, 1, *size), np.float32)
        jpeg.JpegFrames(STORED, size, reduced=reduced).write(data, 0, False, out)
        light = np.clip(levels(out)[0].mean(-1), 0, None)
        centres.append(((light.sum(1) @ np.arange(size[0])) / light.sum(), (light.sum(0) @ np.arange(size[1])) / light.sum()))
    assert np.allclose(centres[0], centres[1], atol=0.05)


def test_reduced_scale_refuses_what_whole_pictures_refuse():
    frames, out = jpeg.JpegFrames(STORED, (32, 64), reduced=True), np.empty((3, 1, 32, 64), np.float32)
    with pytest.raises(DecodeError, match="the picture is 32x64, where all of the set are 64x128"):
        frames.write([coded(picture(0, 32, 64))], 0, False, out)
    with pytest.raises(DecodeError, match=r"(?i)premature"):
        frames.write([built(0)[:-2]], 0, False, out)
