"""Turning, mirroring and resizing against NumPy, torch and Pillow."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.stream.kernels import rotate

MEAN, STD = np.array(rotate.MEAN), np.array(rotate.STD)


def run(frames: np.ndarray, shift: int, mirror: bool, size: tuple[int, int]) -> np.ndarray:
    out = np.full((3, len(frames), *size), np.nan, np.float32)
    rotate.rotate(frames, shift, mirror, rotate.plan(frames.shape[1:3], size), out)
    return out


def levels(out: np.ndarray) -> np.ndarray:
    """Undo normalisation and layout: (F, H, W, 3) in grey levels."""
    return (out.transpose(1, 2, 3, 0) * STD + MEAN) * 255


def pictures(seed: int, frames: int, height: int, width: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), np.uint8)


@settings(deadline=None, max_examples=60)
@given(
    seed=st.integers(0, 99),
    frames=st.integers(1, 3),
    height=st.integers(1, 9),
    width=st.integers(1, 70),
    shift=st.integers(-80, 80),
    mirror=st.booleans(),
)
def test_turn_is_roll(seed, frames, height, width, shift, mirror):
    stored = pictures(seed, frames, height, width)
    expected = np.roll(stored, -shift, axis=2)
    if mirror:
        expected = expected[:, :, ::-1]
    assert np.abs(levels(run(stored, shift, mirror, (height, width))) - expected).max() < 1e-3


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 99), size=st.tuples(st.integers(2, 20), st.integers(2, 30)), shift=st.integers(0, 29), mirror=st.booleans()
)
def test_resizing_and_turning_commute(seed, size, shift, mirror):
    stored = pictures(seed, 2, 12, 24)
    turned = run(stored, shift, mirror, size)
    expected = np.roll(run(stored, 0, False, size), -shift, axis=3)
    assert np.allclose(turned, expected[..., ::-1] if mirror else expected, atol=1e-5)


@pytest.mark.parametrize("size", [(16, 32), (7, 24), (64, 96), (40, 20)])
def test_resize_is_torch_antialiased_away_from_the_seam(size):
    stored = pictures(3, 1, 32, 64)
    image = torch.from_numpy(stored).permute(0, 3, 1, 2).double()
    reference = torch.nn.functional.interpolate(image, size, mode="bilinear", antialias=True).permute(0, 2, 3, 1).numpy()
    rim = -(-size[1] // 8)  # torch ends at the edges, where ours goes round
    assert np.abs(levels(run(stored, 0, False, size)) - reference)[:, :, rim:-rim].max() < 0.02


def test_resize_has_no_seam():
    """A picture turned before it is resized is the resized picture turned: the edge of the file is nowhere to be seen."""
    stored = pictures(4, 1, 16, 64)
    whole = run(stored, 0, False, (8, 32))
    assert np.allclose(run(np.roll(stored, -32, 2), 0, False, (8, 32)), np.roll(whole, -16, 3), atol=1e-5)


def definition(stored: np.ndarray, shift: int, mirror: bool, plan: rotate.Resize) -> np.ndarray:
    """What resize_table says, in float64 and with matrices: (F, height, width, 3) in grey levels."""
    rows, columns = np.zeros((plan.size[0], plan.stored[0])), np.zeros((plan.size[1], plan.stored[1]))
    for matrix, index, weight in ((rows, plan.rows, plan.row_weights), (columns, plan.columns, plan.column_weights)):
        np.add.at(matrix, (np.arange(len(matrix))[:, None], index), weight)
    resized = np.einsum("yh,fhwc,xw->fyxc", rows, stored.astype(float), columns)
    turned = np.roll(resized, -shift, 2)
    return turned[:, :, ::-1] if mirror else turned


@settings(deadline=None, max_examples=100)
@given(
    seed=st.integers(0, 99),
    stored=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    size=st.tuples(st.integers(1, 40), st.integers(1, 70)),
    shift=st.integers(-80, 80),
    mirror=st.booleans(),
)
def test_every_size_is_resized_as_the_tables_say(seed, stored, size, shift, mirror):
    frames, plan = pictures(seed, 2, *stored), rotate.plan(stored, size)
    assert np.abs(levels(run(frames, shift, mirror, size)) - definition(frames, shift, mirror, plan)).max() < 2e-3


@pytest.mark.parametrize("size", [(24, 48), (16, 40), (3, 5)])
def test_one_picture_is_one_frame_and_nothing_else(size):
    stored, plan = pictures(5, 3, 24, 48), rotate.plan((24, 48), size)
    whole, out = run(stored, 7, True, size), np.full((3, 3, *size), np.nan, np.float32)
    rotate.rotate_one(stored[1], 1, 7, True, plan, out)
    assert np.array_equal(out[:, 1], whole[:, 1])
    assert np.isnan(out[:, [0, 2]]).all()


@pytest.mark.parametrize("size", [(16, 33), (16, 32), (8, 16), (16, 15)])
def test_nothing_beyond_the_batch_is_touched(size):
    """The kernels address memory themselves, so what lies around the output must stay as it was."""
    height, width = size
    for stored_size in (size, (16, 32)):
        stored = np.full((2 + 16 * 33 * 3,), 255, np.uint8)
        stored = stored[1 : 1 + stored_size[0] * stored_size[1] * 3].reshape(*stored_size, 3)
        stored[:] = pictures(6, 1, *stored_size)[0]
        room = np.full(3 * height * width + 64, np.nan, np.float32)
        out = room[32:-32].reshape(3, 1, height, width)
        for shift in range(width):
            for mirror in (False, True):
                rotate.rotate(stored[None], shift, mirror, rotate.plan(stored_size, size), out)
                assert np.isnan(room[:32]).all()
                assert np.isnan(room[-32:]).all()
                assert np.isfinite(out).all()


def test_read_only_and_strided_pictures_are_as_good():
    stored = pictures(7, 2, 16, 32)
    expected = run(stored, 3, False, (16, 32))
    strided = np.repeat(stored, 2, axis=3)[..., ::2]
    stored.flags.writeable = False
    assert np.array_equal(run(stored, 3, False, (16, 32)), expected)
    assert np.array_equal(run(strided, 3, False, (16, 32)), expected)


def test_threads_do_not_meet():
    from concurrent.futures import ThreadPoolExecutor

    stored = [pictures(i, 2, 32, 64) for i in range(8)]
    for size in ((32, 64), (24, 40)):
        with ThreadPoolExecutor(4, "sonosphere-test") as pool:
            together = list(pool.map(lambda frames, size=size: run(frames, 5, True, size), stored))
        assert all(np.array_equal(out, run(frames, 5, True, size)) for frames, out in zip(stored, together, strict=True))


def test_wrong_shapes_are_named():
    frames, plan = pictures(0, 1, 8, 16), rotate.plan((8, 16), (8, 16))
    with pytest.raises(ValueError, match=r"out is float32 .* expected float32 \(3, 1, 8, 16\)"):
        rotate.rotate(frames, 0, False, plan, np.empty((1, 3, 8, 16), np.float32))
    with pytest.raises(ValueError, match=r"frames are .*expected uint8 \(1, 8, 16, 3\)"):
        rotate.rotate(frames[:, :4], 0, False, plan, np.empty((3, 1, 8, 16), np.float32))
    out = np.empty((3, 2, 8, 16), np.float32)
    with pytest.raises(ValueError, match=r"picture is float32 .*expected uint8 \(8, 16, 3\)"):
        rotate.rotate_one(frames[0].astype(np.float32), 0, 0, False, plan, out)
    with pytest.raises(ValueError, match=r"out is float64 .*expected float32 \(3, F, 8, 16\)"):
        rotate.rotate_one(frames[0], 0, 0, False, plan, out.astype(float))
    with pytest.raises(ValueError, match="f=2: out holds frames 0 to 1"):
        rotate.rotate_one(frames[0], 2, 0, False, plan, out)
    with pytest.raises(ValueError, match="is not contiguous"):
        rotate.rotate_one(frames[0], 0, 0, False, plan, np.empty((3, 2, 16, 8), np.float32).transpose(0, 1, 3, 2))
