"""Targets are what torchvision's reader makes of the same files; crowds and empty pictures are left out; files are looked at."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CocoDetection, wrap_dataset_for_transforms_v2

from tests.train.downstream.detection.tiny_coco import CATEGORIES, HEIGHT, WIDTH
from train.downstream.detection.annotations import read_annotations
from train.downstream.detection.data import Examples, check_files, pictures_of, read_example, read_pixels
from train.downstream.detection.judge import as_results
from train.downstream.detection.order import Place


@pytest.fixture
def annotations(tiny):
    return read_annotations(tiny / "instances_train.json")


def test_it_reads_what_torchvision_reads(tiny, annotations):
    theirs = CocoDetection(tiny / "images", tiny / "instances_train.json")
    theirs = wrap_dataset_for_transforms_v2(theirs, target_keys=("image_id", "boxes", "labels", "masks"))
    by_id = {target["image_id"]: (image, target) for image, target in (theirs[i] for i in range(len(theirs)))}
    pictures = pictures_of(annotations, learnt=True)
    assert [picture.id for picture in pictures] == [1, 2, 3, 4, 5]
    for picture in pictures[:4]:  # the fifth has a crowd, which torchvision keeps
        pixels, target = read_example(tiny / "images", picture, mirror=False)
        image, expected = by_id[picture.id]
        assert np.array_equal(pixels.permute(1, 2, 0).numpy(), np.asarray(image))
        assert torch.allclose(target["boxes"], torch.as_tensor(expected["boxes"]).float())
        assert torch.equal(target["masks"], torch.as_tensor(expected["masks"]))
        ids = sorted(CATEGORIES)
        assert [ids[label - 1] for label in target["labels"].tolist()] == expected["labels"].tolist()


def test_labels_go_round_with_holes_in_the_ids(tiny, annotations):
    truth = {(a["image_id"], a["id"]): a["category_id"] for a in annotations.dataset["annotations"] if not a["iscrowd"]}
    found = []
    for picture in pictures_of(annotations, learnt=True):
        _, target = read_example(tiny / "images", picture, mirror=False)
        assert set(target["labels"].tolist()) <= {1, 2, 3}
        output = {**target, "scores": torch.ones(len(target["labels"])), "masks": target["masks"][:, None].float()}
        found += [(one["image_id"], one["category_id"]) for one in as_results(picture.id, output, list(annotations.categories))]
    assert found == [(image, category) for (image, _), category in truth.items()]
    assert {category for _, category in found} == set(CATEGORIES)


def test_crowds_and_empty_pictures_are_not_learned(annotations):
    pictures = pictures_of(annotations, learnt=True)
    assert sum(len(picture.things) for picture in pictures) == 10
    assert sum(a["iscrowd"] for a in annotations.dataset["annotations"]) == 1
    held_out = pictures_of(annotations, learnt=False)
    assert [picture.id for picture in held_out] == [1, 2, 3, 4, 5, 100]
    assert not any(picture.things for picture in held_out)


def test_boxes_end_at_the_border_and_thin_ones_are_left_out(annotations):
    first, second, *_ = annotations.dataset["annotations"]
    first["bbox"], second["bbox"] = [-5, -5, 200, 20], [10, 10, 0.5, 30]
    picture = pictures_of(annotations, learnt=True)[0]
    assert [thing.box for thing in picture.things] == [(0.0, 0.0, float(WIDTH), 15.0)]


def test_nothing_to_learn(annotations):
    for thing in annotations.dataset["annotations"]:
        thing["iscrowd"] = 1
    with pytest.raises(ValueError, match=r"instances_train\.json holds no picture with an object to learn"):
        pictures_of(annotations, learnt=True)


def test_a_mirrored_picture_has_its_boxes_and_masks_mirrored(tiny, annotations):
    examples = Examples(tiny / "images", pictures_of(annotations, learnt=True))
    pixels, target = examples(Place(0, 1, False))
    mirrored, flipped = examples(Place(0, 1, True))
    assert torch.equal(mirrored.flip(-1), pixels)
    assert torch.equal(flipped["masks"].flip(-1), target["masks"])
    for box, mask in zip(flipped["boxes"], flipped["masks"], strict=True):
        columns, rows = mask.any(0).nonzero().ravel(), mask.any(1).nonzero().ravel()
        tight = torch.stack([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        assert (box - tight).abs().max() < 1.5
    assert (flipped["boxes"][:, 2:] > flipped["boxes"][:, :2]).all()


def test_files_that_are_not_there_are_told_at_once(tiny, annotations):
    pictures = pictures_of(annotations, learnt=False)
    check_files(tiny / "images", pictures)
    with pytest.raises(FileNotFoundError, match=r"gone/x\.png is not there, but the annotations name it"):
        check_files(tiny / "images", [*pictures, replace(pictures[0], file="gone/x.png")])
    with pytest.raises(FileNotFoundError, match=r"x\.png is not there"):
        read_pixels(tiny / "images", replace(pictures[0], file="x.png"))


def test_broken_and_foreign_pictures(tiny, annotations, tmp_path):
    picture = pictures_of(annotations, learnt=True)[0]
    whole = (tiny / "images" / picture.file).read_bytes()
    Image.new("RGB", (WIDTH, HEIGHT)).save(tmp_path / "x.gif")
    for content in (b"", b"no picture", whole[: len(whole) // 2], (tmp_path / "x.gif").read_bytes()):
        (tmp_path / picture.file).write_bytes(content)
        with pytest.raises(ValueError, match="is no readable JPEG or PNG"):
            read_pixels(tmp_path, picture)
    Image.new("RGB", (30, 20)).save(tmp_path / picture.file)
    with pytest.raises(ValueError, match="has 20 × 30 pixels; the annotations say 72 × 96"):
        read_pixels(tmp_path, picture)


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGB"])
def test_every_kind_of_jpeg_has_three_channels_and_is_not_turned(tiny, annotations, tmp_path, mode):
    picture = replace(pictures_of(annotations, learnt=True)[0], file="x.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # a viewer would turn it
    Image.new(mode, (WIDTH, HEIGHT)).save(tmp_path / "x.jpg", exif=exif)
    assert read_pixels(tmp_path, picture).shape == (3, HEIGHT, WIDTH)


def test_the_set_lies_in_folders_of_its_own(tiny, tmp_path):
    """`file_name` may name folders, as COCO 2014's do in some mirrors."""
    (tmp_path / "a" / "b").mkdir(parents=True)
    dataset = json.loads((tiny / "instances_val.json").read_text())
    for image in dataset["images"]:
        shutil.copy(tiny / "images" / image["file_name"], tmp_path / "a" / "b")
        image["file_name"] = f"b/{image['file_name']}"
    (tmp_path / "set.json").write_text(json.dumps(dataset))
    pictures = pictures_of(read_annotations(tmp_path / "set.json"), learnt=False)
    check_files(tmp_path / "a", pictures)
    assert read_pixels(tmp_path / "a", pictures[0]).shape == (3, HEIGHT, WIDTH)
