"""What the blocks of the resizing kernel are told to do is, added up, what the tables of the resize say."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dataio.stream.kernels import rotate
from dataio.stream.kernels.rotate_strips import PITCH, SHARED, WORD, Strips, strips

SIDE = st.integers(1, 300)


def rows_of(plan: Strips, height_in: int, height: int) -> np.ndarray:
    """(height, height_in): the weights of rows, block by block as the kernel adds them up."""
    steps, found = plan.steps, np.full((height, height_in), np.nan)
    for top in range(0, height, plan.band):
        bottom = min(top + plan.band, height)
        this, following = np.zeros(height_in), np.zeros(height_in)
        for y in range(top - (steps.carry if top else 0), bottom):
            for k in range(steps.at[y], steps.at[y + 1]):
                this[steps.rows[k]] += steps.weights[k, 0]
                following[steps.rows[k]] += steps.weights[k, 1]
            if y >= top:
                found[y] = this
            this, following = following, np.zeros(height_in)
    return found


def columns_of(plan: Strips, width_in: int, width: int) -> np.ndarray:
    """(width, width_in): the weights of columns, from the words that the threads of a block hold."""
    found = np.zeros((width, width_in))
    for x in range(width):
        strip = x // plan.columns
        piece = (plan.first[strip] + np.arange(plan.words)) % (3 * width_in // WORD)
        byte = (WORD * piece[:, None] + np.arange(WORD)).reshape(-1)
        for tap, weight in enumerate(plan.weights[:, x]):
            at = plan.start[x] + 3 * tap
            assert (byte[at : at + 3] % 3).tolist() == [0, 1, 2] and len(set((byte[at : at + 3] // 3).tolist())) == 1
            found[x, byte[at] // 3] += weight
    return found


def dense(index: np.ndarray, weight: np.ndarray, length: int) -> np.ndarray:
    matrix = np.zeros((len(index), length))
    np.add.at(matrix, (np.arange(len(index))[:, None], index), weight)
    return matrix


@settings(deadline=None, max_examples=60)
@given(height_in=SIDE, eighths=st.integers(1, 40), height=SIDE, width=SIDE, band=st.integers(1, 40))
def test_every_weight_is_used_once(height_in: int, eighths: int, height: int, width: int, band: int) -> None:
    resize = rotate.plan((height_in, 8 * eighths), (height, width))
    plan = strips(resize, band)
    if plan is None:
        assert resize.columns.shape[1] > 200  # hundreds of taps a column: only then
        return
    assert np.allclose(rows_of(plan, height_in, height), dense(resize.rows, resize.row_weights, height_in), atol=1e-6)
    assert np.allclose(columns_of(plan, 8 * eighths, width), dense(resize.columns, resize.column_weights, 8 * eighths), atol=1e-6)
    assert plan.words <= plan.threads <= PITCH // WORD and plan.threads % 32 == 0 and plan.shared <= SHARED
    assert plan.count == -(-width // plan.columns)


@pytest.mark.parametrize(
    ("stored", "size", "count", "carry"),
    [
        ((256, 512), (224, 448), 1, 1),
        ((960, 1920), (256, 512), 4, 1),
        ((1920, 3840), (256, 512), 8, 1),
        ((1920, 3840), (64, 64), 8, 1),
        ((64, 128), (224, 448), 1, 0),
        ((256, 512), (1080, 1920), 2, 0),
    ],
)
def test_common_sizes_are_dealt_well(stored: tuple[int, int], size: tuple[int, int], count: int, carry: int) -> None:
    """Few strips, and each input row mixed once where it can be."""
    plan = strips(rotate.plan(stored, size))
    assert plan is not None and (plan.count, plan.steps.carry) == (count, carry)
    assert not carry or len(plan.steps.rows) == stored[0]


def test_what_cannot_be_dealt_is_left_to_the_plain_kernel() -> None:
    assert strips(rotate.plan((8, 12), (4, 8))) is None  # rows of 36 bytes
    assert strips(rotate.plan((1920, 3840), (8, 1))) is None  # 3840 taps


def test_loads_that_run_ahead_stay_within_the_frame() -> None:
    plan = strips(rotate.plan((30, 16), (7, 8)))
    assert plan is not None
    packed = plan.steps.packed(6).reshape(-1, 2)
    assert len(packed) == len(plan.steps.rows) + 2
    assert packed[:, 1].tolist() == [*(6 * plan.steps.rows).tolist(), 6 * 29, 6 * 29]
    weights = packed[:, 0].copy().view(np.float32).reshape(-1, 2)
    assert np.array_equal(weights[:-2], plan.steps.weights) and not weights[-2:].any()
