"""Masks: the same pixels from each encoding, COCO's text read as COCO reads it, and what is unsound told apart."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from train.downstream.detection.masks import _run_lengths, encode_mask, fault, mask_pixels


def plain(pixels: np.ndarray) -> list[int]:
    """Run lengths down the columns, beginning with those outside."""
    flat = pixels.ravel(order="F")
    edges = np.flatnonzero(np.diff(np.concatenate([[0], flat]))).tolist()
    return np.diff([0, *edges, len(flat)]).tolist()


@given(arrays(np.uint8, st.tuples(st.integers(1, 40), st.integers(1, 40)), elements=st.integers(0, 1)))
def test_text_and_plain_run_lengths_give_the_pixels_back(pixels):
    height, width = pixels.shape
    text = encode_mask(pixels.astype(bool))
    assert text["counts"] == coco.encode(np.asfortranarray(pixels))["counts"].decode()
    assert _run_lengths(text["counts"]) == plain(pixels)
    for mask in (text, {"size": [height, width], "counts": plain(pixels)}):
        assert fault(mask, height, width) is None
        assert np.array_equal(mask_pixels(mask, height, width), pixels)


def written(counts: list[int]) -> str:
    """COCO's text, as maskApi.c writes it; there numbers of six characters end one byte behind what was allocated for them."""
    text = ""
    for i, count in enumerate(counts):
        rest, more = count - counts[i - 2] if i > 2 else count, True
        while more:
            bits, rest = rest & 31, rest >> 5
            more = rest != (-1 if bits & 16 else 0)
            text += chr(48 + bits + 32 * more)
    return text


@given(st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=12))
def test_numbers_in_text(counts):
    text = coco.frPyObjects({"size": [1, 1], "counts": counts}, 1, 1)["counts"].decode()
    assert written(counts) == text
    assert _run_lengths(text) == counts


@given(st.lists(st.integers(0, 2**31 - 1), min_size=1, max_size=12))
def test_large_numbers_in_text(counts):
    assert _run_lengths(written(counts)) == counts


def test_polygons_are_joined():
    square = [10.0, 10.0, 20.0, 10.0, 20.0, 20.0, 10.0, 20.0]
    pixels = mask_pixels([square, [30.0, 0.0, 40.0, 0.0, 40.0, 5.0, 30.0, 5.0]], 30, 50)
    assert pixels[10:20, 10:20].all() and pixels[0:5, 30:40].all() and pixels.sum() == 150


@pytest.mark.parametrize(
    "mask",
    [
        None,
        [],
        [[]],
        [[1, 2, 3, 4]],  # pycocotools would take it for a box
        [[0, 0, 1, 1, 2]],
        [[0, 0, 1, 1, 2, "x"]],
        [[0, 0, 1, 1, 2, float("nan")]],
        [[0, 0, 1, 1, 2, 1e12]],  # terabytes
        [[[0, 0], [1, 1], [2, 2]]],
        [0, 0, 1, 1, 2, 2],
        {"size": [4, 6], "counts": [20]},
        {"size": [6, 4], "counts": [24]},
        {"size": [4, 6], "counts": [30, -6]},
        {"size": [4, 6], "counts": [12.0, 12.0]},
        {"size": [4, 6], "counts": None},
        {"size": [4, 6], "counts": "0P"},  # a number that does not end: C would read on behind the text
        {"size": [4, 6], "counts": "é"},
        {"size": [4, 6], "counts": "oooooooooooooooo0"},
        {"size": [4, 6], "counts": "1"},
        {"counts": [24]},
        "polygon",
        7,
    ],
)
def test_unsound_masks(mask):
    assert fault(mask, 4, 6) is not None


def test_sound_masks():
    for mask in ([[0, 0, 5, 0, 5, 3]], {"size": [4, 6], "counts": [24]}, {"size": [4, 6], "counts": [0, 24]}):
        assert fault(mask, 4, 6) is None
