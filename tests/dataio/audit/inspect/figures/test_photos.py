"""Turning follows the convention of the loader, and a seam is seen."""

import numpy as np

from dataio.audit.inspect.figures.photos import seam, turned


def test_turning_follows_the_convention():
    """Column x shows column (x + W·ψ/360) mod W; four quarters make a circle."""
    frame = np.arange(8)[None, :, None].repeat(3, 2).astype(np.uint8)
    assert turned(frame, 90)[0, :, 0].tolist() == [2, 3, 4, 5, 6, 7, 0, 1]
    assert (turned(turned(frame, 270), 90) == frame).all()


def test_seam_is_seen():
    x = np.arange(64)
    whole = (127 + 100 * np.sin(2 * np.pi * x / 64))[None, :, None].repeat(4, 0).repeat(3, 2).astype(np.uint8)
    edge, typical = seam(whole)
    assert edge <= 2 * typical + 2
    edge, typical = seam(whole[:, :40])
    assert edge > 2 * typical + 2
