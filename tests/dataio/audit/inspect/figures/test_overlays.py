"""Colours tell directions apart, and nothing is painted where nothing is known."""

import numpy as np

from dataio.audit.inspect.figures import overlays


def test_colour_wheel_tells_directions_apart():
    right, left = (overlays.wheel_colours(np.array([u]), np.array([0.0]), 1.0)[0] for u in (1.0, -1.0))
    assert right[0] > 0.9 and right[2] < 0.1 and left[0] < 0.1
    assert (overlays.wheel_colours(np.zeros(1), np.zeros(1), 1.0) == 1).all()


def test_invalid_flow_leaves_the_frame():
    flow = np.full((4, 8, 2), 9.0, np.float32)
    valid = np.zeros((4, 8), bool)
    over, fastest = overlays.flow_overlay(np.full((4, 8, 3), 200, np.uint8), flow, valid)
    assert fastest == 1.0 and (over == 150).all()
