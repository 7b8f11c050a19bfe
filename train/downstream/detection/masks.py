"""Masks in COCO's two encodings: polygons, and run lengths down the columns, plain or as text.

pycocotools turns both into pixels, in C and without looking: what it is given must be sound.
"""

from typing import Any

import numpy as np


def fault(mask: Any, height: int, width: int) -> str | None:
    """What is wrong with an object's `segmentation` in a picture of this size, or None."""
    if isinstance(mask, dict):
        return _fault_runs(mask, height, width)
    if not isinstance(mask, list) or not mask:
        return "segmentation should hold polygons or run lengths"
    far = 2 * max(height, width)
    for polygon in mask:
        try:
            points = np.asarray(polygon, np.float64)
        except (TypeError, ValueError, OverflowError):
            return "a polygon should be a list of numbers"
        if points.ndim != 1 or len(points) < 6 or len(points) % 2:
            return "a polygon should be a list x1, y1, x2, y2, x3, y3, … of three points or more"
        if not (np.abs(points) <= far).all():  # NaN too; and pycocotools takes memory in proportion to the edges' length
            return f"a polygon has a point that is more than {far} pixels away"
    return None


def mask_pixels(mask: Any, height: int, width: int) -> np.ndarray:
    """The pixels of a sound `segmentation`: (height, width) uint8, 1 inside."""
    from pycocotools import mask as coco

    if isinstance(mask, list):
        return coco.decode(coco.merge(coco.frPyObjects(mask, height, width)))
    if isinstance(mask["counts"], list):
        return coco.decode(coco.frPyObjects(mask, height, width))
    return coco.decode(mask)


def encode_mask(pixels: np.ndarray) -> dict[str, Any]:
    """(height, width) bool to run lengths as text, what `loadRes` and a file of results want."""
    from pycocotools import mask as coco

    runs = coco.encode(np.asfortranarray(pixels, np.uint8))
    return {"size": [int(side) for side in runs["size"]], "counts": runs["counts"].decode("ascii")}


def _fault_runs(mask: dict[str, Any], height: int, width: int) -> str | None:
    if mask.get("size") != [height, width]:
        return f"run lengths of size {mask.get('size')!r} in a picture of {height} × {width}"
    counts = mask.get("counts")
    if isinstance(counts, str):
        counts = _run_lengths(counts)
    if not isinstance(counts, list) or any(type(count) is not int or count < 0 for count in counts):
        return "run lengths should be whole numbers, or COCO's text for them"
    if sum(counts) != height * width:
        return f"the run lengths add up to {sum(counts)} pixels, and {height} × {width} are {height * width}"
    return None


def _run_lengths(text: str) -> list[int] | None:
    """The numbers in COCO's text, None where it is none: five bits a character, from 48, lowest first; bit 5 says that more come.

    From the fourth number on, what is written is the difference to the number two before.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 30:
            return None
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:
            continue
        if bits & 16:
            value -= 1 << shift  # negative
        counts.append(value + counts[-2] if len(counts) > 2 else value)
        value = shift = 0
    return None if shift else counts
