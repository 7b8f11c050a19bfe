"""Maps lie on the frames as `rotate` writes them: against NumPy, sums written out, and frames in which a dot moves."""

import io
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from dataio.format.clip import frame_extension
from dataio.format.flow import decode_flow
from dataio.format.sphere import resize_table
from dataio.ingest.build import BuildOptions, build
from dataio.ingest.encode import EncodeOptions
from dataio.ingest.executors import local
from dataio.ingest.scenes import write_recordings
from dataio.stream.decode import png
from dataio.stream.kernels import maps, rotate
from tests.clips import members_in

MANY = settings(deadline=None, max_examples=60)
SIZE = st.tuples(st.integers(1, 9), st.integers(1, 40))


def _labels(labels: np.ndarray, shift: int, mirror: bool, size: tuple[int, int]) -> np.ndarray:
    out = np.full(size, 77, np.uint8)
    maps.turn_labels(labels, shift, mirror, out)
    return out


def _flow(flow: np.ndarray, valid: np.ndarray, shift: int, mirror: bool, size: tuple[int, int]) -> np.ndarray:
    out = np.full((2, *size), np.nan, np.float32)
    maps.turn_flow(flow, valid, shift, mirror, out)
    return out


def _field(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 5, (height, width, 2)).astype(np.float32), rng.random((height, width)) < 0.7


@MANY
@given(seed=st.integers(0, 99), size=SIZE, shift=st.integers(-80, 80), mirror=st.booleans())
def test_turn_is_roll_and_mirror_is_reversal(seed: int, size: tuple[int, int], shift: int, mirror: bool) -> None:
    labels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    flow, valid = _field(seed, *size)
    turned = np.roll(labels, -shift, 1)
    known = np.roll(np.where(valid[..., None], flow, 0), -shift, 1)
    if mirror:
        turned, known = turned[:, ::-1], known[:, ::-1] * np.float32([-1, 1])
    assert np.array_equal(_labels(labels, shift, mirror, size), turned)
    assert np.array_equal(_flow(flow, valid, shift, mirror, size), known.transpose(2, 0, 1))


@MANY
@given(seed=st.integers(0, 99), size=SIZE, shift=st.integers(0, 39))
def test_mirrored_twice_is_as_before(seed: int, size: tuple[int, int], shift: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 256, size, np.uint8)
    flow, valid = _field(seed, *size)
    assert np.array_equal(_labels(_labels(labels, shift, True, size), shift, True, size), labels)
    once = _flow(flow, valid, shift, True, size).transpose(1, 2, 0)
    assert np.array_equal(
        _flow(once, np.ones(size, bool), shift, True, size), np.where(valid[..., None], flow, 0).transpose(2, 0, 1)
    )


@MANY
@given(seed=st.integers(0, 99), stored=SIZE, size=SIZE, shift=st.integers(-50, 50), mirror=st.booleans())
def test_resized_labels_are_the_nearest_and_no_new_ones(
    seed: int, stored: tuple[int, int], size: tuple[int, int], shift: int, mirror: bool
) -> None:
    labels = np.random.default_rng(seed).choice(np.array([0, 3, 7, 255], np.uint8), stored)
    got = _labels(labels, shift, mirror, size)
    assert set(np.unique(got)) <= set(np.unique(labels))
    rows, columns = (np.floor((np.arange(n) + 0.5) * m / n).astype(int) for n, m in zip(size, stored, strict=True))
    expected = np.roll(labels[rows[:, None], columns], -shift, 1)
    assert np.array_equal(got, expected[:, ::-1] if mirror else expected)


def _dense(table: tuple[np.ndarray, np.ndarray], length: int) -> np.ndarray:
    """(n_out, n_in): what each output pixel takes from each input pixel."""
    matrix = np.zeros((len(table[0]), length))
    for i, (index, weight) in enumerate(zip(*table, strict=True)):
        np.add.at(matrix[i], index, weight)
    return matrix


@MANY
@given(seed=st.integers(0, 99), stored=SIZE, size=SIZE, shift=st.integers(-50, 50), mirror=st.booleans())
def test_resized_flow_is_the_weighted_mean_of_what_is_known(
    seed: int, stored: tuple[int, int], size: tuple[int, int], shift: int, mirror: bool
) -> None:
    flow, valid = _field(seed, *stored)
    got = _flow(np.where(valid[..., None], flow, np.float32(np.nan)), valid, shift, mirror, size)  # what is unknown may be anything
    rows = _dense(resize_table(stored[0], size[0], wrap=False), stored[0])
    columns = _dense(resize_table(stored[1], size[1], wrap=True), stored[1])
    total = np.einsum("yr,xc,rc->yx", rows, columns, valid)
    mean = np.einsum("yr,xc,rcd,rc->dyx", rows, columns, flow, valid) / np.where(total > 0, total, 1)
    expected = np.roll(mean * np.array([size[1] / stored[1], size[0] / stored[0]])[:, None, None], -shift, 2)
    expected = expected[..., ::-1] * np.array([-1, 1])[:, None, None] if mirror else expected
    faint = np.roll(total < 1e-6, -shift, 1)  # in float32, the rounding of a weight there is no longer small against it
    faint = faint[:, ::-1] if mirror else faint
    assert np.isfinite(got).all()
    assert np.abs(np.where(faint, 0, got - expected)).max() < 2e-4 * (1 + np.abs(expected).max())
    assert not got[:, (faint & (expected == 0).all(0))].any()


def test_what_is_known_does_not_fade_towards_its_edge() -> None:
    flow, valid = np.full((32, 64, 2), 8, np.float32), np.zeros((32, 64), bool)
    valid[8:24, 20:50] = True
    got = _flow(flow, valid, 5, False, (16, 32))
    assert set(np.unique(np.rint(got * 1e4))) == {0, 4e4}
    assert 8 * 15 <= np.count_nonzero(got[0]) <= 10 * 17


def _centre(picture: np.ndarray) -> tuple[float, float]:
    """Row and column of the dot in (H, W), the column on the circle."""
    light = picture - picture.min()
    light[light < 0.05 * light.max()] = 0
    angle = 2 * np.pi * np.arange(light.shape[1]) / light.shape[1]
    column = np.angle((light * np.exp(1j * angle)).sum()) / (2 * np.pi) * light.shape[1]
    return float((light.sum(1) * np.arange(len(light))).sum() / light.sum()), float(column % light.shape[1])


@MANY
@given(
    row=st.integers(12, 24),
    column=st.integers(0, 79),
    u=st.integers(-20, 20),
    v=st.integers(-6, 6),
    shift=st.integers(0, 79),
    mirror=st.booleans(),
    size=st.sampled_from([(40, 80), (20, 40), (30, 60), (60, 96)]),
)
def test_flow_leads_to_where_the_dot_goes_in_the_turned_frames(
    row: int, column: int, u: int, v: int, shift: int, mirror: bool, size: tuple[int, int]
) -> None:
    """Also across the edge of the file, and with flow that is known at the dot alone."""
    stored, half = (40, 80), 3
    frames = np.zeros((2, *stored, 3), np.uint8)
    labels, flow, valid = np.zeros(stored, np.uint8), np.zeros((*stored, 2), np.float32), np.zeros(stored, bool)
    around = np.arange(-half, half + 1)
    for frame, (y, x) in zip(frames, ((row, column), (row + v, column + u)), strict=True):
        frame[(y + around)[:, None], (x + around) % 80] = 255
    here = (row + around)[:, None], (column + around) % 80
    flow[here], valid[here], labels[here] = (u, v), True, 9
    shown = np.empty((3, 2, *size), np.float32)
    rotate.rotate(frames, shift, mirror, rotate.plan(stored, size), shown)
    (y0, x0), (y1, x1) = _centre(shown[0, 0].astype(float)), _centre(shown[0, 1].astype(float))
    at = round(y0) % size[0], round(x0) % size[1]
    got = _flow(flow, valid, shift, mirror, size)[:, at[0], at[1]]
    lead = (x1 - x0 + size[1] / 2) % size[1] - size[1] / 2
    assert np.allclose(got, (lead, y1 - y0), atol=0.08)
    assert _labels(labels, shift, mirror, size)[at] == 9


def test_every_layout_of_memory_is_read_alike() -> None:
    flow, valid = _field(0, 8, 16)
    labels = np.random.default_rng(0).integers(0, 9, (8, 16), np.uint8)
    for size in ((8, 16), (5, 12)):
        assert np.array_equal(_labels(np.asfortranarray(labels), 3, True, size), _labels(labels, 3, True, size))
        turned = _flow(np.asfortranarray(flow), np.asfortranarray(valid), 3, True, size)
        assert np.array_equal(turned, _flow(flow, valid, 3, True, size))


def test_wrong_shapes_are_named() -> None:
    flow, valid = _field(0, 8, 16)
    for labels in (np.zeros((8, 16, 1), np.uint8), np.zeros((8, 16), np.int64), np.zeros((0, 16), np.uint8)):
        with pytest.raises(ValueError, match=r"labels are .*; expected uint8 \(h, w\)"):
            _labels(labels, 0, False, (8, 16))
    with pytest.raises(ValueError, match=r"out is float32 .*; expected uint8"):
        maps.turn_labels(np.zeros((8, 16), np.uint8), 0, False, np.zeros((8, 16), np.float32))
    for wrong in (flow[..., :1], flow.astype(np.float64), flow[..., 0]):
        with pytest.raises(ValueError, match=r"flow is .*; expected float32 \(h, w, 2\)"):
            _flow(wrong, valid, 0, False, (8, 16))
    with pytest.raises(ValueError, match=r"valid is .*; expected bool \(8, 16\)"):
        _flow(flow, valid[1:], 0, False, (8, 16))
    with pytest.raises(ValueError, match=r"out is .*; expected float32 \(2, H, W\)"):
        maps.turn_flow(flow, valid, 0, False, np.zeros((1, 8, 16), np.float32))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, bytes]]:
    """Clips of 64x128 of synthetic scenes, with all maps."""
    folder = tmp_path_factory.mktemp("maps")
    write_recordings(folder / "raw", recordings=2, seconds=4, seed=3, size=(128, 256))
    options = EncodeOptions(size=(64, 128), rate=8000, flow=True, mask=True)
    build(folder / "raw", folder / "set", BuildOptions(options, split="train=1"), local(1))
    return list(members_in(folder / "set").values())


@pytest.mark.parametrize(("shift", "mirror"), [(0, False), (40, False), (17, True), (99, True)])
def test_the_builders_flow_leads_from_frame_to_frame_however_they_are_turned(
    clips: list[dict[str, bytes]], shift: int, mirror: bool
) -> None:
    """Where it is known and something moves, the first frame looks like the second at the place that flow leads to."""
    still, led = [], []
    for clip in clips:
        pair = json.loads(clip["json"])["flow_frames"]
        frames = np.array([Image.open(io.BytesIO(clip[frame_extension(i)])).convert("RGB") for i in pair])
        shown = np.empty((3, 2, 64, 128), np.float32)
        rotate.rotate(frames, shift, mirror, rotate.plan((64, 128), (64, 128)), shown)
        u, v = np.rint(_flow(*decode_flow(clip["flow.png"]), shift, mirror, (64, 128))).astype(int)
        y, x = np.nonzero(np.hypot(u, v) >= 2)
        ahead = np.clip(y + v[y, x], 0, 63), (x + u[y, x]) % 128
        still += np.abs(shown[:, 0, y, x] - shown[:, 1, y, x]).mean(0).tolist()
        led += np.abs(shown[:, 0, y, x] - shown[:, 1, ahead[0], ahead[1]]).mean(0).tolist()
    assert len(led) > 50
    assert np.mean(led) < 0.6 * np.mean(still)


def test_the_builders_masks_and_classes_are_read_and_turned_as_pillow_shows_them(clips: list[dict[str, bytes]]) -> None:
    found = set()
    for clip in clips:
        for name in ("mask", "labels"):
            expected = np.asarray(Image.open(io.BytesIO(clip[f"{name}.png"])))
            assert np.array_equal(_labels(png.decode(clip[f"{name}.png"]), 30, False, (64, 128)), np.roll(expected, -30, 1))
            found.add((name, expected.any()))
    assert found >= {("mask", True), ("labels", True)}
