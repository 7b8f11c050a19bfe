"""What cannot be asked for is refused in one sentence that names the field, the value and what is allowed."""

from dataclasses import replace

import pytest

from dataio.format import manifest
from dataio.stream.images.spec import ViewSpec, evaluation
from dataio.stream.spec import SpecError


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"size": 0}, r"^size=0: must be from 1 to 4096$"),
        ({"views": 0}, r"^views=0: must be from 1 to 16$"),
        ({"augment": False}, r"^views=2: without augmentation all views are the same: ask for one$"),
        ({"augment": False, "views": 1, "short": 200}, r"^short=200: must be at least size=224"),
        ({"scale": (0, 1)}, r"^scale=\(0, 1\): must be 0 < low ≤ high ≤ 1$"),
        ({"scale": (0.5, 0.2)}, r"^scale="),
        ({"scale": (0.5,)}, r"^scale="),
        ({"ratio": (2, 1)}, r"^ratio=\(2, 1\): must be 0 < low ≤ high"),
        ({"ratio": (0.5, float("nan"))}, r"^ratio="),
        ({"jitter": (0.4, 0.4, 0.4, 0.6)}, r"^jitter=.*hue from 0 to 0.5$"),
        ({"jitter": (0.4, 0.4, 0.4)}, r"^jitter="),
        ({"blur": (0.0, 2.0)}, r"^blur="),
        ({"size": 8}, r"^size=8: views blurred by up to 2 need at least 10 pixels$"),
        ({"grey_p": 1.1}, r"^grey_p=1.1: must be from 0 to 1$"),
        ({"std": (1, 0, 1)}, r"^std="),
        ({"mean": (1, 0)}, r"^mean="),
        ({"dtype": "int8"}, r"^dtype='int8': must be one of float32, float16$"),
    ],
)
def test_wrong_fields(fields, message):
    with pytest.raises(SpecError, match=message):
        ViewSpec(**fields)


def test_lists_are_as_good_as_tuples_and_small_views_need_no_blur():
    assert ViewSpec(scale=[0.2, 1.0], jitter=[0.4, 0.4, 0.4, 0.1]) == ViewSpec()  # type: ignore[arg-type]
    assert ViewSpec(size=8, blur_p=0).size == 8
    assert evaluation(96, 112) == ViewSpec(size=96, short=112, views=1, augment=False)


def test_a_set_of_recordings_has_no_views(shards):
    found = manifest.load(shards)
    with pytest.raises(
        SpecError, match=r"views=2: this is no set of single pictures \(its frames are jpeg\): read it with ClipLoader"
    ):
        ViewSpec().check(found)
    ViewSpec().check(replace(found, media=replace(found.media, picture="still")))
