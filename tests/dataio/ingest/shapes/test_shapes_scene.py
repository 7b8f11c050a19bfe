"""Scenes: several objects, what is on their class maps, and that they hardly hide each other."""

import numpy as np

from dataio.ingest.shapes import CLASSES, scene
from dataio.ingest.shapes.scene import DIAMETERS
from dataio.ingest.shapes.shapes import AREA

SCENES = [scene(4, number, 128) for number in range(60)]


def test_a_scene_depends_on_seed_and_number() -> None:
    for one, other in zip(SCENES[7], scene(4, 7, 128), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (scene(5, 7, 128)[0] != SCENES[7][0]).mean() > 0.9
    assert (SCENES[8][0] != SCENES[7][0]).mean() > 0.9


def test_scenes_have_three_to_five_objects_of_different_classes() -> None:
    counts = []
    for pixels, classes in SCENES:
        assert (pixels.shape, pixels.dtype) == ((128, 128, 3), np.uint8)
        assert (classes.shape, classes.dtype) == ((128, 128), np.uint8)
        found = np.setdiff1d(np.unique(classes), [0])
        assert found.max() <= len(CLASSES)
        counts.append(len(found))
    assert set(counts) == {3, 4, 5}


def test_every_class_is_somewhere() -> None:
    pixels = np.bincount(np.concatenate([classes.ravel() for _, classes in SCENES]), minlength=21)
    assert pixels.shape == (21,) and (pixels[1:] > 2000).all()
    assert 0.6 < pixels[0] / pixels.sum() < 0.9


def test_objects_hardly_hide_each_other() -> None:
    """What is seen of an object is most of what an object of the least diameter covers."""
    seen = np.concatenate([np.bincount(classes.ravel(), minlength=21)[1:] for _, classes in SCENES])
    seen = seen[seen > 0] / 128**2
    least, most = (AREA * diameter**2 for diameter in DIAMETERS)
    assert seen.max() < 1.02 * most
    assert seen.min() > 0.5 * least
    assert np.mean(seen < 0.9 * least) < 0.05


def test_a_map_has_the_edges_of_the_picture() -> None:
    """The picture changes more from pixel to pixel where the map does than in the background."""
    for pixels, classes in SCENES[:20]:
        step = np.abs(np.diff(pixels.astype(float).mean(2), axis=1))
        edge, ground = np.diff(classes.astype(int), axis=1) != 0, (classes[:, 1:] == 0) & (classes[:, :-1] == 0)
        assert step[edge].mean() > 3.0 * step[ground].mean()
