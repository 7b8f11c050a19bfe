"""Annotation files are read whole, and what is wrong in one is named before anything is built on it."""

import json
from pathlib import Path

import pytest

from train.downstream.detection.annotations import read_annotations


@pytest.fixture
def dataset(tiny) -> dict:
    return json.loads((tiny / "instances_train.json").read_text())


def written(folder: Path, dataset) -> Path:
    (folder / "set.json").write_text(json.dumps(dataset))
    return folder / "set.json"


def test_categories_in_the_order_of_their_ids(tiny):
    assert read_annotations(tiny / "instances_train.json").categories == {3: "disc", 7: "square", 20: "triangle"}


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json is not there"):
        read_annotations(tmp_path / "none.json")


@pytest.mark.parametrize(
    "text", ["[1]", '{"images": [], "annotations": []}', '{"images": {}, "annotations": [], "categories": []}', "7"]
)
def test_json_that_is_not_cocos(tmp_path, text):
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(ValueError, match=r"x\.json is no annotation file in COCO's format: it should hold the lists images, anno"):
        read_annotations(tmp_path / "x.json")


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe\x00", b"[" * 100_000])
def test_a_file_that_is_not_json(tmp_path, content):
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"x\.json is not JSON"):
        read_annotations(tmp_path / "x.json")


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("annotations", {"segmentation": None}, "annotation 3 has no usable mask: segmentation should hold"),
        ("annotations", {"segmentation": []}, "annotation 3 has no usable mask"),
        ("annotations", {"bbox": [1, 2, 3]}, r"annotation 3: bbox=\[1, 2, 3\] should be x, y, width, height"),
        ("annotations", {"bbox": [1, 2, -3, 4]}, "annotation 3: bbox="),
        ("annotations", {"bbox": [1, 2, float("nan"), 4]}, "annotation 3: bbox="),
        ("annotations", {"area": None}, "annotation 3: area=None"),
        ("annotations", {"category_id": 4}, "annotation 3: there is no category 4"),
        ("annotations", {"image_id": 777}, "annotation 3: there is no picture 777"),
        ("annotations", {"iscrowd": 2}, "annotation 3: iscrowd=2"),
        ("annotations", {"id": 1}, "annotation 1 comes twice"),
        ("annotations", {"id": 0}, "an annotation should have an id"),
        ("images", {"file_name": "../../etc/passwd"}, "picture 3: file_name='../../etc/passwd' should be the name of a file below"),
        ("images", {"file_name": "/etc/passwd"}, "picture 3: file_name='/etc/passwd'"),
        ("images", {"file_name": None}, "picture 3: file_name=None"),
        ("images", {"height": 0}, "picture 3: height=0"),
        ("images", {"height": 10**6, "width": 10**6}, "picture 3: height=1000000"),
        ("images", {"id": 1}, "picture 1 comes twice"),
        ("images", {"id": "3"}, "a picture should have an id"),
        ("categories", {"name": 5}, "a category should have an id .* and a name"),
        ("categories", {"id": 20}, "category 20 comes twice"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, dataset, part, change, message):
    dataset[part][2].update(change)
    with pytest.raises(ValueError, match=rf"set\.json: .*{message}"):
        read_annotations(written(tmp_path, dataset))


@pytest.mark.parametrize("key", ["id", "image_id", "category_id", "bbox", "area", "segmentation"])
def test_every_key_that_is_needed(tmp_path, dataset, key):
    del dataset["annotations"][2][key]
    with pytest.raises(ValueError, match="annotation"):
        read_annotations(written(tmp_path, dataset))


@pytest.mark.parametrize("value", [None, 3, [], {}, "x"])
@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
def test_anything_in_the_place_of_an_entry(tmp_path, dataset, part, value):
    dataset[part][0] = value
    with pytest.raises(ValueError):
        read_annotations(written(tmp_path, dataset))


@pytest.mark.parametrize("value", [[], {}, [1]])
@pytest.mark.parametrize("key", ["image_id", "category_id", "iscrowd", "area", "id"])
def test_lists_in_the_place_of_numbers(tmp_path, dataset, key, value):
    dataset["annotations"][0][key] = value
    with pytest.raises(ValueError, match="annotation"):
        read_annotations(written(tmp_path, dataset))


def test_a_crowd_flag_that_is_left_out_is_no_crowd(tmp_path, dataset):
    del dataset["annotations"][0]["iscrowd"]
    assert read_annotations(written(tmp_path, dataset)).dataset["annotations"][0]["iscrowd"] == 0
