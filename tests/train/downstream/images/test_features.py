"""Pictures go through the protocol's two resizes, and maps become vectors of 2 × 2 cells."""

from itertools import product

import numpy as np
import pytest
import torch
from PIL import Image

from models.image import ImageEncoder
from train.downstream.images.features import AHEAD, _batches, cells, picture_features, read_picture


@pytest.fixture
def pictures(tmp_path):
    """11 pictures of noise of different shapes."""
    draw, paths = np.random.default_rng(0), []
    for number in range(11):
        pixels = draw.integers(0, 256, (40 + 3 * number, 70 - 2 * number, 3), np.uint8)
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_resnet50_gives_the_protocols_8192_numbers():
    features = torch.rand(2, 2048, 7, 7)
    vectors = cells(features)
    assert vectors.shape == (2, 8192)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2), atol=1e-4, rtol=0)
    by_hand = torch.stack([features[:, :, r : r + 6, c : c + 6].mean((2, 3)) for r, c in product((0, 1), (0, 1))], 2)
    by_hand = by_hand.flatten(1)
    torch.testing.assert_close(vectors, by_hand / (by_hand.norm(dim=1, keepdim=True) + 1e-5))
    assert ImageEncoder("resnet50").out_size(224, 224) == (7, 7)


def test_other_maps_keep_two_by_two_cells_and_silence_stays_finite():
    assert cells(torch.rand(1, 3, 2, 5)).shape == (1, 12)
    assert torch.equal(cells(torch.zeros(1, 3, 4, 4)), torch.zeros(1, 12))
    for shape in ((1, 3, 1, 5), (1, 3, 4)):
        with pytest.raises(ValueError, match="2 × 2 cells or more"):
            cells(torch.rand(*shape))


@pytest.mark.parametrize("size", [(300, 500), (500, 300), (64, 64)])
def test_the_short_side_becomes_256_then_both_224(tmp_path, size):
    """Against Pillow itself, resized by hand; width, height."""
    pixels = np.random.default_rng(1).integers(0, 256, (size[1], size[0], 3), np.uint8)
    Image.fromarray(pixels).save(tmp_path / "a.png")
    between = [int(256 * side / min(size)) for side in size]
    expected = Image.fromarray(pixels).resize(between, Image.Resampling.BILINEAR).resize((224, 224), Image.Resampling.BILINEAR)
    found = read_picture(tmp_path / "a.png")
    assert found.shape == (3, 224, 224) and found.dtype == torch.float32
    mean, spread = (np.array(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    np.testing.assert_allclose(found.numpy() * spread + mean, np.asarray(expected).transpose(2, 0, 1) / 255, atol=1e-6)


def test_grey_and_transparent_pictures_are_read_as_colour(tmp_path):
    for mode in ("L", "LA", "RGBA", "P", "CMYK"):
        path = tmp_path / f"{mode}.tiff"
        Image.new("RGB", (40, 30), (90, 90, 90)).convert(mode).save(path)
        assert read_picture(path).shape == (3, 224, 224)


def test_features_are_in_order_whatever_the_batch_size_and_the_threads(pictures, colours):
    alone = torch.cat([cells(colours(read_picture(path)[None])) for path in pictures]).detach()
    assert not torch.allclose(alone[0], alone[1], atol=1e-4)
    for batch_size, threads in ((1, 1), (3, 2), (4, 5), (100, 2)):
        found = picture_features(colours, pictures, batch_size=batch_size, threads=threads)
        assert found.dtype == torch.float32 and not found.requires_grad
        torch.testing.assert_close(found, alone, atol=1e-6, rtol=1e-5)


def test_the_encoder_is_judged_in_evaluation_mode_and_float32_and_left_as_it_was(pictures):
    torch.manual_seed(0)
    encoder = ImageEncoder("resnet18").train()
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with torch.autocast("cpu"):
        found = picture_features(encoder, pictures[:3], batch_size=2)
    assert encoder.training and found.shape == (3, 4 * 512)
    assert all(torch.equal(before[name], value) for name, value in encoder.state_dict().items())
    with torch.no_grad():
        expected = cells(encoder.eval()(torch.stack([read_picture(path) for path in pictures[:3]])))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


class Watched(list):
    """Paths that know how far they have been handed out."""

    furthest = 0

    def __getitem__(self, part):
        self.furthest = max(self.furthest, part.stop)
        return super().__getitem__(part)


def test_no_more_is_decoded_ahead_than_a_few_batches(pictures):
    paths = Watched(pictures)
    for number, _ in enumerate(_batches(paths, 1, 2)):
        assert paths.furthest == min(11, number + 1 + AHEAD)


def test_progress_is_told_at_each_tenth(pictures, colours):
    told = []
    picture_features(colours, pictures, batch_size=2, say=told.append)
    assert told == [f"features of {done} of 11 pictures" for done in (2, 4, 6, 8, 10, 11)]


@pytest.mark.parametrize("damage", [lambda data: data[:200], lambda data: b"", lambda data: b"hello " * 9])
def test_a_broken_picture_is_named(pictures, colours, damage):
    pictures[5].write_bytes(damage(pictures[5].read_bytes()))
    with pytest.raises(ValueError, match="5.png is no readable picture"):
        picture_features(colours, pictures)


def test_settings_that_cannot_be_are_named(tmp_path, pictures, colours):
    Image.new("RGB", (500, 4)).save(tmp_path / "long.png")
    with pytest.raises(ValueError, match="long.png is 500 × 4: one side may be 40 times the other at most"):
        read_picture(tmp_path / "long.png")
    with pytest.raises(ValueError, match="there is no picture"):
        picture_features(colours, [])
    with pytest.raises(ValueError, match="batch_size=0 and threads=2 must be 1 or more"):
        picture_features(colours, pictures, batch_size=0)
