"""What is drawn for views, against torchvision's own transforms, and that it depends on nothing but seed, epoch, clip and view."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from torchvision.transforms import v2

from dataio.stream.images.draws import ORDERS, boxes, choose
from dataio.stream.images.spec import ViewSpec

N = 4000
SPEC = ViewSpec()
SIGNIFICANT = 1e-3  # with fixed seeds these tests pass always or never; a wrong distribution gives far less


@pytest.fixture(scope="module")
def drawn():
    return choose(SPEC, 0, 0, np.arange(N))


def cut(spec: ViewSpec, size: tuple[int, int], n: int = N) -> np.ndarray:
    """Boxes of n views: (n, 4)."""
    draws = choose(spec, 1, 0, np.arange(n))
    return boxes(spec, draws, np.full(n, size[0]), np.full(n, size[1]))[:, 0]


@pytest.mark.parametrize("size", [(375, 500), (256, 256), (640, 300)])
def test_crops_are_those_of_random_resized_crop(size):
    torch.manual_seed(0)
    picture = torch.empty((3, *size), device="meta")
    crop = v2.RandomResizedCrop(SPEC.size, SPEC.scale, SPEC.ratio)
    theirs = np.array([[p[k] for k in ("top", "left", "height", "width")] for p in (crop.make_params([picture]) for _ in range(N))])
    mine = cut(SPEC, size)
    assert (mine[:, :2] >= 0).all() and (mine[:, :2] + mine[:, 2:] <= size).all()
    for of in (
        lambda b: b[:, 2] * b[:, 3],
        lambda b: b[:, 3] / b[:, 2],
        lambda b: b[:, 0],
        lambda b: b[:, 1],
        lambda b: b[:, 0] / np.maximum(1, size[0] - b[:, 2]),
        lambda b: b[:, 1] / np.maximum(1, size[1] - b[:, 3]),
    ):
        assert stats.ks_2samp(of(mine), of(theirs)).pvalue > SIGNIFICANT


@pytest.mark.parametrize("size", [(10, 1000), (1000, 10), (1, 1), (2, 900), (100, 130)])
def test_what_no_try_fits_is_cut_as_torchvision_does(size):
    """With crops that cover everything, only the middle is left where the ratio of the picture is not allowed."""
    spec = ViewSpec(scale=(1.0, 1.0))
    picture = torch.empty((3, *size), device="meta")
    crop = v2.RandomResizedCrop(spec.size, spec.scale, spec.ratio)
    theirs = {tuple(crop.make_params([picture]).values()) for _ in range(200)}
    mine = set(map(tuple, cut(spec, size, 200).tolist()))
    if size != (100, 130):
        assert mine == theirs and len(mine) == 1
    assert all(0 < h <= size[0] and 0 < w <= size[1] for _, _, h, w in mine)


def test_jitter_is_that_of_color_jitter(drawn):
    torch.manual_seed(0)
    jitter = v2.ColorJitter(*SPEC.jitter)
    params = [jitter.make_params([]) for _ in range(N)]
    names = ("brightness_factor", "contrast_factor", "saturation_factor", "hue_factor")
    applied = (drawn.factors != [1, 1, 1, 0]).any(-1)
    assert abs(applied.mean() - SPEC.jitter_p) < 4 * (0.8 * 0.2 / applied.size) ** 0.5
    for step, name in enumerate(names):
        theirs = np.array([float(p[name]) for p in params])
        assert stats.ks_2samp(drawn.factors[..., step][applied], theirs).pvalue > SIGNIFICANT
    orders = [tuple(order) for order in drawn.order.reshape(-1, 4).tolist()]
    counts = [orders.count(tuple(order)) for order in ORDERS.tolist()]
    assert sum(counts) == 2 * N and stats.chisquare(counts).pvalue > SIGNIFICANT
    assert {tuple(p["fn_idx"].tolist()) for p in params} == set(orders)


def test_blur_is_that_of_gaussian_blur(drawn):
    torch.manual_seed(0)
    theirs = [v2.GaussianBlur(23, SPEC.blur).make_params([])["sigma"][0] for _ in range(N)]
    mine = drawn.sigma[drawn.sigma > 0]
    assert stats.ks_2samp(mine, theirs).pvalue > SIGNIFICANT
    assert abs((drawn.sigma > 0).mean() - SPEC.blur_p) < 4 * (0.25 / drawn.sigma.size) ** 0.5


@pytest.mark.parametrize(("field", "p"), [("grey", 0.2), ("flip", 0.5)])
def test_coins(drawn, field, p):
    found = getattr(drawn, field)
    assert abs(found.mean() - p) < 4 * (p * (1 - p) / found.size) ** 0.5


def test_numbers_of_a_view_are_independent_of_each_other_and_of_the_other_view(drawn):
    flat = np.concatenate([drawn.tries[:, :, 0].reshape(N, 2, 4), drawn.factors[:, :, :1], drawn.sigma[..., None]], 2)
    coins = np.stack([drawn.grey, drawn.flip], 2)
    columns = np.concatenate([flat, coins], 2).reshape(N, -1)
    correlation = np.corrcoef(columns.T) - np.eye(columns.shape[1])
    assert np.abs(correlation).max() < 4.5 / N**0.5


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**40),
    clips=st.lists(st.integers(0, 2**40), min_size=1, max_size=6),
    epochs=st.lists(st.integers(0, 50), min_size=6, max_size=6),
    views=st.integers(1, 3),
)
def test_draws_depend_on_seed_epoch_clip_and_view_alone(seed, clips, epochs, views):
    spec = ViewSpec(views=views)
    epochs = np.array(epochs[: len(clips)])
    together = choose(spec, seed, epochs, np.array(clips))
    more = choose(ViewSpec(views=views + 2), seed, epochs, np.array(clips))
    for i, clip in enumerate(clips):
        alone = choose(spec, seed, int(epochs[i]), np.array([clip]))
        for field in ("tries", "order", "factors", "grey", "sigma", "flip"):
            assert np.array_equal(getattr(together.row(i), field), getattr(alone, field))
            assert np.array_equal(getattr(more, field)[i, :views], getattr(alone, field)[0])


def test_another_epoch_seed_clip_or_view_is_another_draw():
    base = choose(SPEC, 0, 0, np.arange(100))
    for other in (choose(SPEC, 1, 0, np.arange(100)), choose(SPEC, 0, 1, np.arange(100)), choose(SPEC, 0, 0, np.arange(100, 200))):
        assert not np.isin(other.tries, base.tries).any()
    assert not np.isin(base.tries[:, 0], base.tries[:, 1]).any()


def test_these_numbers_must_not_change():
    """Or a run that is resumed would see other views."""
    draws = choose(SPEC, 7, 3, np.array([12345]))
    assert boxes(SPEC, draws, np.array([375]), np.array([500]))[0].tolist() == [[0, 133, 298, 349], [32, 60, 309, 233]]
    assert draws.order[0].tolist() == [[2, 1, 3, 0], [3, 0, 2, 1]]
    assert draws.flip[0].tolist() == [True, True] and draws.grey[0].tolist() == [True, False]
    assert draws.factors[0, 1].tolist() == pytest.approx([0.7337264, 0.8144514, 0.7790178, -0.01934682], abs=1e-6)
    assert draws.sigma[0].tolist() == pytest.approx([0.79581591, 0])
