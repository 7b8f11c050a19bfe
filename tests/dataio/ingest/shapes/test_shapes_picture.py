"""Pictures: what they depend on, what their classes are, and that colour, brightness and place tell nothing of the class."""

import hashlib
import math
from dataclasses import replace

import numpy as np
import pytest

from dataio.ingest.shapes import CLASSES, SPLITS, picture
from dataio.ingest.shapes.colours import BRIGHT, DARK, GROUND, draw_palette
from dataio.ingest.shapes.picture import DIAMETERS, generator
from dataio.ingest.shapes.shapes import AREA, RADIUS
from dataio.ingest.shapes.textures import TEXTURES
from dataio.ingest.shapes.thing import Thing, draw_thing, paint, shape_of, texture_of

LUMA = np.array([0.299, 0.587, 0.114])


def test_classes_are_shapes_by_textures() -> None:
    assert len(CLASSES) == 20 and list(CLASSES) == sorted(set(CLASSES))
    assert [f"{shape_of(k)}-{texture_of(k)}" for k in range(20)] == list(CLASSES)
    assert len(RADIUS) == 5 and len(TEXTURES) == 4


def test_a_picture_depends_on_seed_split_and_number() -> None:
    keys = [(seed, split, number) for seed in (0, 7) for split in SPLITS for number in (0, 20, 40)]
    seen = {hashlib.sha256(picture(*key)[0].tobytes()).digest() for key in keys}
    assert len(seen) == len(keys)
    for key in keys:
        pixels, class_id = picture(*key)
        assert (pixels.shape, pixels.dtype, class_id) == ((96, 96, 3), np.uint8, 0)
        np.testing.assert_array_equal(picture(*key)[0], pixels)


def test_any_run_of_numbers_is_balanced() -> None:
    class_ids = [picture(1, "val", number, 32)[1] for number in range(13, 73)]
    assert np.bincount(class_ids).tolist() == [3] * 20


def test_a_split_that_is_none_is_named() -> None:
    with pytest.raises(ValueError, match="split='test' is not allowed: the splits are train, val"):
        picture(0, "test", 0)


@pytest.mark.parametrize("class_id", range(20))
def test_an_object_covers_what_its_diameter_says(class_id: int) -> None:
    for number in range(8):
        thing = draw_thing(generator(3, 0, number), class_id, DIAMETERS)
        assert DIAMETERS[0] <= thing.diameter <= DIAMETERS[1]
        pixels, classes = np.zeros((96, 96, 3)), np.zeros((96, 96), np.uint8)
        paint(thing, np.full((2, 3), 100.0), pixels, classes)
        assert set(np.unique(classes)) == {0, 1 + class_id}
        whole = AREA * (96 * thing.diameter) ** 2
        assert 0.93 * whole < np.count_nonzero(classes) < 1.02 * whole
        # coverage and class map are of the same outline: half a pixel's worth of colour is where the class begins
        np.testing.assert_array_equal(classes > 0, pixels[:, :, 0] >= 50.0 - 1e-9)
        assert pixels[:, :, 0].sum() / 100.0 == pytest.approx(np.count_nonzero(classes), rel=0.02)
        assert thing.period * 96 >= 8.0


def test_an_object_is_painted_where_it_is_and_larger_pictures_show_the_same() -> None:
    thing = replace(draw_thing(generator(0, 0, 0), CLASSES.index("disc-dots"), DIAMETERS), x=0.3, y=0.6)
    small, large = (_painted(thing, size) for size in (64, 256))
    for (pixels, classes), size in ((small, 64), (large, 256)):
        rows, columns = np.nonzero(classes)
        assert (columns.mean() + 0.5) / size == pytest.approx(0.3, abs=0.01)
        assert (rows.mean() + 0.5) / size == pytest.approx(0.6, abs=0.01)
    shrunk = large[0].reshape(64, 4, 64, 4, 3).mean((1, 3))
    assert np.abs(shrunk - small[0]).mean() < 1.5


def _painted(thing: Thing, size: int) -> tuple[np.ndarray, np.ndarray]:
    pixels, classes = np.full((size, size, 3), 20.0), np.zeros((size, size), np.uint8)
    paint(thing, np.array([[200.0, 150.0, 100.0], [60.0, 90.0, 120.0]]), pixels, classes)
    return pixels, classes


def test_an_object_beyond_the_edge_is_cut_off() -> None:
    disc = CLASSES.index("disc-plain")
    thing = replace(draw_thing(generator(0, 0, 0), disc, DIAMETERS), x=0.0, y=0.5, diameter=0.5)
    _, classes = _painted(thing, 96)
    assert np.count_nonzero(classes) == pytest.approx(AREA * 48**2 / 2, rel=0.02)
    assert not _painted(replace(thing, x=-3.0), 96)[1].any()


def test_colours_place_and_everything_else_are_drawn_without_regard_to_the_class() -> None:
    """From the same random numbers, objects of two classes share all but outline, pattern and the room that the outline needs."""
    for number in range(20):
        drawn = []
        for class_id in (0, 5, 19):
            rng = generator(9, 1, number)
            palette, thing = draw_palette(rng, 1), draw_thing(rng, class_id, DIAMETERS)
            drawn.append((palette.ground.tolist(), palette.objects.tolist(), *_looks(thing), rng.random()))
        assert drawn[0] == drawn[1] == drawn[2]


def _looks(thing: Thing) -> tuple[object, ...]:
    return thing.diameter, thing.turn, thing.grain, thing.period, thing.phase


def test_mean_colour_does_not_tell_the_class() -> None:
    """Analysis of variance of each channel's mean, 20 classes of 60: F(19, 1180) stays under its 99.9 % quantile, 2.34."""
    means = np.array([picture(2, "train", number, 32)[0].mean((0, 1)) for number in range(1200)]).reshape(60, 20, 3)
    between = 60 * ((means.mean(0) - means.mean((0, 1))) ** 2).sum(0) / 19
    within = ((means - means.mean(0)) ** 2).sum((0, 1)) / (1200 - 20)
    assert (between / within < 2.34).all()


def test_colours_have_every_hue_and_keep_their_brightness() -> None:
    palettes = [draw_palette(generator(0, 0, number), 1) for number in range(400)]
    colours = np.array([[p.ground, *p.objects[0]] for p in palettes])
    assert colours.min() >= 6.0 - 1e-9 and colours.max() <= 249.0 + 1e-9
    luma = np.sort(colours @ LUMA, 1)
    for level, (low, high) in enumerate((DARK, GROUND, BRIGHT)):
        assert luma[:, level].min() > low - 0.01 and luma[:, level].max() < high + 0.01
    assert (np.abs(luma[:, 1] - colours[:, 0] @ LUMA) < 1e-9).all()  # the ground lies between
    assert 160 < np.count_nonzero((colours @ LUMA).argmax(1) == 1) < 240  # either colour of the object may be the brighter
    for part in range(3):
        blue, red = (colours[:, part] @ row for row in ([-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]))
        sectors = np.histogram(np.arctan2(red, blue), 8, (-math.pi, math.pi))[0]
        assert sectors.min() > 25 and sectors.max() < 80


def test_an_object_stands_out_in_grey() -> None:
    """The ground differs in brightness from either colour of the object."""
    for number in range(200):
        palette = draw_palette(generator(0, 0, number), 1)
        assert np.abs(palette.objects[0] @ LUMA - palette.ground @ LUMA).min() > 25.0
        assert abs(np.diff(palette.objects[0] @ LUMA)[0]) > 25.0
