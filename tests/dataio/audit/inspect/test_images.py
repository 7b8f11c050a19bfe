"""Sets of pictures: a contact sheet, and classes."""

import numpy as np

from dataio.audit.inspect.members import class_name
from dataio.format import manifest
from tests.dataio.audit.inspect.pages import FRAME, jpeg, make_set, report


def test_image_sets_get_a_contact_sheet(tmp_path):
    classes = ("cat", "dog & <b>co</b>", "ox")
    shards = [
        [
            (
                f"a{s}-{i:06d}",
                f"a{s}",
                0.0,
                {"jpg": jpeg(np.full((20, 30 + i, 3), 40 * (i % 3), np.uint8)), "json": b'{"class": %d}' % (i % 3)},
            )
            for i in range(30)
        ]
        for s in range(3)
    ]
    media = manifest.Media(0.0, 0, (0, 0), 0, (), picture="still", classes=classes)
    page = report(make_set(tmp_path / "s", shards, media))
    assert "90 pictures" in page.text and "3 classes" in page.text and "48 of 90" in page.text
    assert page.text.count("dog & <b>co</b>") > 5 and "3 of 3 classes met in 90 pictures" in page.text
    sheet = page.images()[:48]
    assert all(image.size[0] == image.size[1] for image in sheet)
    assert "How well it is mixed" in page.text and "by 90 pictures of 3 shards" in page.text
    assert "pairs of clips of one recording" not in page.text and "clips to see" not in page.text and "90 pictures" in page.text


def test_many_classes(tmp_path):
    classes = tuple(f"class {i}" for i in range(100))
    clips = [(f"a-{i:06d}", "a", 0.0, {"jpg": jpeg(FRAME), "json": b'{"label": %d}' % (i % 70)}) for i in range(140)]
    media = manifest.Media(0.0, 0, (0, 0), 0, (), picture="still", classes=classes)
    assert "70 of 100 classes met" in report(make_set(tmp_path / "s", [clips], media)).text


def test_class_of_a_picture():
    assert class_name({"class": 1}, ("a", "b")) == "b" and class_name({"label": "x"}, ()) == "x"
    assert class_name({"class": 2}, ("a", "b")) == class_name({"class": True}, ("a", "b")) == class_name({}, ("a",)) == ""
