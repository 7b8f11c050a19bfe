"""Labels from the annotations are those of VOC's class files, and a folder that is no VOC2007 is said to be none."""

import shutil

import numpy as np
import pytest

from tests.train.downstream.images.voc_set import write_voc
from train.downstream.images.voc_split import CLASSES, read_split

DIFFICULT = {"000003": [("cat", True)], "000081": [("dog", True), ("bicycle", True), ("cat", True)], "000082": [("bird", True)]}


@pytest.fixture
def voc(tmp_path):
    return write_voc(tmp_path, difficult=DIFFICULT)


@pytest.mark.parametrize(("split", "count"), [("trainval", 80), ("test", 40)])
def test_labels_are_those_of_the_class_files(voc, split, count):
    found = read_split(voc, split)
    assert len(found) == count and found.labels.shape == (count, 20)
    main = voc / "VOCdevkit/VOC2007/ImageSets/Main"
    for place, name in enumerate(CLASSES):
        of_file = dict(line.split() for line in (main / f"{name}_{split}.txt").read_text().splitlines())
        assert [int(of_file[path.stem]) for path in found.paths] == found.labels[:, place].tolist()


def test_an_object_that_is_plain_to_see_outweighs_difficult_ones(voc):
    labels = read_split(voc, "test").labels
    rows = {name: labels[1, CLASSES.index(name)] for name in ("bicycle", "dog", "cat", "bus")}  # 000081 shows a bicycle
    assert rows == {"bicycle": 1, "dog": 0, "cat": 0, "bus": -1}
    assert labels[2, CLASSES.index("bird")] == 1
    assert np.unique(labels).tolist() == [-1, 0, 1]


def test_the_classes_are_sorted_and_twenty():
    assert len(set(CLASSES)) == 20 and list(CLASSES) == sorted(CLASSES)


def test_a_folder_that_holds_no_voc2007_is_named(voc, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"nowhere holds no VOCdevkit/VOC2007: unpack VOCtrainval_06-Nov-2007.tar and VOCtest"
    ):
        read_split(tmp_path / "nowhere", "test")
    with pytest.raises(FileNotFoundError, match="VOCdevkit holds no VOCdevkit/VOC2007"):
        read_split(voc / "VOCdevkit", "test")


@pytest.mark.parametrize("part", ["JPEGImages", "Annotations", "ImageSets/Main/test.txt"])
def test_half_of_the_archives_is_not_enough(voc, part):
    gone = voc / "VOCdevkit/VOC2007" / part
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    with pytest.raises(FileNotFoundError, match=f"VOC2007 holds no {part}: VOCtest_06-Nov-2007.tar is not unpacked"):
        read_split(voc, "test")


def test_missing_files_are_counted(voc):
    home = voc / "VOCdevkit/VOC2007"
    (home / "JPEGImages/000090.jpg").unlink()
    (home / "Annotations/000091.xml").unlink()
    with pytest.raises(FileNotFoundError, match="lacks 2 of the 80 files of test, such as JPEGImages/000090.jpg"):
        read_split(voc, "test")
    (home / "ImageSets/Main/test.txt").write_text("")
    with pytest.raises(ValueError, match=r"test.txt names no picture"):
        read_split(voc, "test")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotation><object><name>cat</na", "000085.xml is no readable annotation"),
        ("", "000085.xml is no readable annotation"),
        ("<annotation><object><name>unicorn</name></object></annotation>", "an object 'unicorn', which is no class of VOC2007"),
        ("<annotation><object></object></annotation>", "an object None, which is no class"),
        ('<!DOCTYPE a [<!ENTITY b "cat">]><annotation><object><name>&b;</name></object></annotation>', "it defines entities"),
    ],
)
def test_a_broken_annotation_is_named(voc, text, message):
    (voc / "VOCdevkit/VOC2007/Annotations/000085.xml").write_text(text)
    with pytest.raises(ValueError, match=message):
        read_split(voc, "test")
