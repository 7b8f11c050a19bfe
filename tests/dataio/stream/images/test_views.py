"""Whole views against torchvision's transforms given the same numbers."""

import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional

from dataio.stream.images.draws import Draws, boxes, choose
from dataio.stream.images.spec import ViewSpec, evaluation
from dataio.stream.images.views import Views
from tests.dataio.stream.images.stills import photo

STEPS = (functional.adjust_brightness, functional.adjust_contrast, functional.adjust_saturation, functional.adjust_hue)


def views(spec: ViewSpec, picture: np.ndarray, draws: Draws, maker: Views | None = None) -> np.ndarray:
    """(V, 3, size, size)."""
    out = np.full((spec.views, 3, spec.size, spec.size), np.nan, np.float32)
    (maker or Views(spec)).write(picture, draws, list(out))
    return out


def torchvisions(spec: ViewSpec, picture: np.ndarray, draws: Draws) -> np.ndarray:
    """The same by torchvision, step by step, in float after the resize."""
    found = []
    crops = boxes(spec, draws, np.array([picture.shape[0]]), np.array([picture.shape[1]]))[0]
    for v, box in enumerate(crops.tolist()):
        x = functional.resized_crop(torch.from_numpy(picture).permute(2, 0, 1), *box, [spec.size] * 2, antialias=True).float() / 255
        for step in draws.order[0, v]:
            factor = float(draws.factors[0, v, step])
            x = STEPS[step](x, factor) if factor != (0 if step == 3 else 1) else x
        x = functional.rgb_to_grayscale(x, 3) if draws.grey[0, v] else x
        x = functional.gaussian_blur(x, 23, float(draws.sigma[0, v])) if draws.sigma[0, v] else x
        x = functional.hflip(x) if draws.flip[0, v] else x
        found.append(functional.normalize(x, list(spec.mean), list(spec.std)).numpy())
    return np.stack(found)


def levels(difference: np.ndarray, spec: ViewSpec) -> np.ndarray:
    return np.abs(difference) * 255 * np.array(spec.std).reshape(3, 1, 1)


@pytest.mark.parametrize("size", [64, 96])
def test_mocos_views_are_torchvisions(size):
    spec = ViewSpec(size=size)
    for clip in range(10):
        picture, draws = photo(90 + clip, 130 - 2 * clip, clip), choose(spec, 0, 0, np.array([clip]))
        difference = levels(views(spec, picture, draws) - torchvisions(spec, picture, draws), spec)
        assert difference.max() < 0.1 and difference.mean() < 0.005


@pytest.mark.parametrize(("height", "width"), [(80, 100), (100, 80), (64, 64), (31, 200), (40, 40), (72, 71)])
def test_what_is_evaluated_is_torchvisions(height, width):
    spec = evaluation(size=56, short=64)
    assert (spec.views, spec.names) == (1, ("view0",))
    picture = photo(height, width)
    steps = [
        v2.Resize(64, antialias=True),
        v2.CenterCrop(56),
        v2.ToDtype(torch.float32, scale=True),
        v2.Normalize(spec.mean, spec.std),
    ]
    theirs = v2.Compose(steps)(torch.from_numpy(picture).permute(2, 0, 1)).numpy()
    assert levels(views(spec, picture, choose(spec, 0, 0, np.array([0])))[0] - theirs, spec).max() < 1e-3


@pytest.mark.parametrize("shape", [(1, 9000), (9000, 1), (1, 1), (3, 2)])
@pytest.mark.parametrize("augment", [True, False])
def test_odd_shapes_become_views_in_bounded_memory(shape, augment):
    spec = ViewSpec(size=32, short=36, views=2 if augment else 1, augment=augment)
    for clip in range(8):
        draws = choose(spec, 0, 0, np.array([clip]))
        assert np.isfinite(views(spec, np.full((*shape, 3), 200, np.uint8), draws)).all()


def test_a_view_is_the_same_in_any_thread():
    spec = ViewSpec(size=64)
    picture = photo(100, 120)
    maker = Views(spec)
    names = set()

    def make(clip: int) -> np.ndarray:
        names.add(threading.get_ident())
        return views(spec, picture, choose(spec, 0, 0, np.array([clip])), maker)

    alone = [make(clip) for clip in range(40)]
    with ThreadPoolExecutor(4) as pool:
        assert all(np.array_equal(a, b) for a, b in zip(alone, pool.map(make, range(40)), strict=True))
    assert len(names) > 1
