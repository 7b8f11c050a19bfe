"""The bench of image views: what is measured, and that the contenders do the same work. No figure is judged here."""

import json

import numpy as np
import pytest
import torch

from benchmarks.images import BOTH, DECODE, LOADER, VIEWS, dali, images, peers, stages
from benchmarks.images.photos import photo, photo_set
from dataio.stream.images.decode import decoder
from dataio.stream.images.draws import Draws, choose
from dataio.stream.images.spec import ViewSpec
from dataio.stream.images.views import Views
from dataio.stream.spec import SpecError

SPEC = ViewSpec(size=32)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return photo_set(tmp_path_factory.mktemp("photos"), pictures=24, size=(60, 80))


@pytest.fixture(scope="module")
def result(photos):
    return images(photos, SPEC, batch_size=8, threads=2, rounds=1, seconds=0.05)


def test_the_ceiling_is_made_of_the_stages(result):
    rates = {name: rate["median"] for name, rate in result["pictures_per_second"].items()}
    assert set(rates) == {
        DECODE,
        VIEWS,
        BOTH,
        LOADER,
        "DALI, each picture decoded once",
        "DALI, the region of each view decoded",
        "torch DataLoader, torchvision v2, tensor",
        "torch DataLoader, torchvision v2, pillow",
    }
    assert result["ceiling"] == pytest.approx(1 / (1 / rates[DECODE] + 1 / rates[VIEWS]))
    assert result["share"] == pytest.approx(rates[LOADER] / result["ceiling"])
    assert len(result["times"]) == 4 and all(result["times"][name] == rates[LOADER] / rates[name] for name in result["times"])
    assert json.loads(json.dumps(result))["spec"]["size"] == 32


def test_what_cannot_be_measured(photos, shards):
    with pytest.raises(ValueError, match="holds 24 pictures, fewer than batch_size=25"):
        images(photos, SPEC, batch_size=25)
    with pytest.raises(SpecError, match="no set of single pictures"):
        images(shards, SPEC, batch_size=2)


@pytest.mark.parametrize("once", [True, False])
def test_dali_makes_the_same_views_up_to_its_colours(photos, once):
    jpegs = [np.fromfile(path, np.uint8) for path in sorted((photos.parent / "pictures").rglob("*.jpg"))[:6]]
    drawn = choose(SPEC, 0, 0, np.arange(6))
    calm = Draws(**vars(drawn) | {"factors": drawn.factors * 0 + np.array([1, 1, 1, 0], np.float32)})
    outputs = dali.contender(SPEC, calm, jpegs, [(60, 80)] * 6, 1, once=once)()
    theirs = np.stack([np.array(output.as_tensor()) for output in outputs], 1) if once else np.array(outputs[0].as_tensor())
    theirs = theirs.reshape(6, 2, 3, 32, 32)
    for i, data in enumerate(jpegs):
        out = np.empty((2, 3, 32, 32), np.float32)
        Views(SPEC).write(decoder()[1](data), calm.row(i), list(out))
        levels = np.abs(out - theirs[i])[..., 4:-4, 4:-4] * 58
        assert levels.mean() < 1.5 and np.quantile(levels, 0.99) < 6  # rounded between its steps


@pytest.mark.parametrize("backend", peers.BACKENDS)
def test_torchvisions_views_look_like_ours(photos, backend):
    """Means and spreads of many views; the numbers themselves are torchvision's own."""
    torch.manual_seed(0)
    dataset = peers.Pictures(photos, SPEC, backend)
    theirs = torch.stack([view for i in range(24) for _ in range(6) for view in dataset[i]])
    ours = np.empty((24 * 6, 2, 3, 32, 32), np.float32)
    for i in range(24 * 6):
        picture = decoder()[1](np.fromfile(photos.parent / "pictures/train" / f"class{i % 24 % 8}" / f"{i % 24:05d}.jpg", np.uint8))
        Views(SPEC).write(picture, choose(SPEC, 0, 0, np.array([i])), list(ours[i]))
    assert theirs.shape == (24 * 12, 3, 32, 32) and theirs.dtype == torch.float32
    assert float(theirs.mean()) == pytest.approx(ours.mean(), abs=0.1) and float(theirs.std()) == pytest.approx(ours.std(), rel=0.1)
    contrast = ours.reshape(-1, 3, 1024).std(-1).mean()
    assert float(theirs.reshape(-1, 3, 1024).std(-1).mean()) == pytest.approx(contrast, rel=0.1)


def test_photos_are_as_heavy_as_imagenets():
    """ImageNet's average picture is about 110 kB for 500 by 375 pixels."""
    import simplejpeg

    sizes = [len(simplejpeg.encode_jpeg(photo(375, 500, seed), 90, "RGB", "420")) for seed in range(3)]
    assert 80_000 < np.mean(sizes) < 150_000


def test_stages_of_what_is_evaluated_have_no_dali(photos):
    from concurrent.futures import ThreadPoolExecutor

    jpegs = [np.fromfile(path, np.uint8) for path in sorted((photos.parent / "pictures").rglob("*.jpg"))[:2]]
    with ThreadPoolExecutor(1) as pool:
        found = stages(pool, ViewSpec(size=32, short=36, views=1, augment=False), jpegs, 1)
        assert set(found) == {DECODE, VIEWS, BOTH} and all(run() is not None for run in found.values())
