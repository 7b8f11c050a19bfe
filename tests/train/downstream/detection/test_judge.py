"""COCO's measure through our conversion: 1 for the truth, 0 for nothing, and in between what can be worked out by hand."""

import json

import pytest
import torch

from tests.train.downstream.detection.tiny_coco import CATEGORIES, HEIGHT, WIDTH
from train.downstream.detection.annotations import read_annotations
from train.downstream.detection.data import pictures_of, read_example
from train.downstream.detection.judge import as_results, average_precision

ALWAYS = ("ap", "ap50", "ap75", "ap_small")


@pytest.fixture
def annotations(tiny):
    return read_annotations(tiny / "instances_val.json")


def truth(tiny, annotations, change=lambda output: output) -> list:
    """The true objects, as if the detector had found them."""
    found = []
    for picture in pictures_of(annotations, learnt=True):
        _, target = read_example(tiny / "images", picture, mirror=False)
        output = {**target, "masks": target["masks"][:, None].float(), "scores": torch.full((len(target["labels"]),), 0.9)}
        found += as_results(picture.id, change(output), sorted(CATEGORIES))
    return found


def test_the_truth_is_perfect(tiny, annotations):
    figures = average_precision(annotations, truth(tiny, annotations))
    for kind in ("box", "mask"):
        for name in ALWAYS:
            assert figures[f"{kind}_{name}"] == pytest.approx(1, abs=1e-9), (kind, name)
        assert figures[f"{kind}_ap_medium"] is None and figures[f"{kind}_ap_large"] is None  # there is none of that size
    assert json.loads(json.dumps(figures)) == figures


def test_the_truth_as_json_is_perfect_too(tiny, annotations):
    """What would be sent to COCO's own server."""
    found = json.loads(json.dumps(truth(tiny, annotations)))
    assert average_precision(annotations, found)["mask_ap"] == pytest.approx(1, abs=1e-9)


def test_nothing_found_is_nothing(annotations):
    figures = average_precision(annotations, [])
    assert {figures[f"{kind}_{name}"] for kind in ("box", "mask") for name in ALWAYS} == {0.0}


def test_the_wrong_category_is_worth_nothing(tiny, annotations):
    figures = average_precision(annotations, truth(tiny, annotations, lambda output: output | {"labels": output["labels"] % 3 + 1}))
    assert figures["box_ap"] < 0.5 and figures["mask_ap"] < 0.5


def test_boxes_of_known_overlap(tiny, annotations):
    """Boxes a quarter too wide have IoU 0.8: right at the thresholds 0.50 … 0.75 and 0.80 if rounding allows; masks stay right."""

    def wider(output):
        x1, y1, x2, y2 = output["boxes"].unbind(1)
        return output | {"boxes": torch.stack([x1, y1, x2 + 0.24 * (x2 - x1), y2], 1)}

    figures = average_precision(annotations, truth(tiny, annotations, wider))
    assert figures["box_ap"] == pytest.approx(0.7)  # 0.50 … 0.80 of ten thresholds: 1 / 1.24 = 0.806
    assert figures["box_ap75"] == pytest.approx(1)
    assert figures["mask_ap"] == pytest.approx(1)


def test_a_crowd_counts_neither_for_nor_against(tiny, annotations):
    crowd = next(thing for thing in annotations.dataset["annotations"] if thing["iscrowd"])
    _, y, _, height = crowd["bbox"]
    found = truth(tiny, annotations)
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[..., y + 2 : y + height - 2, 2:9] = 1
    inside = {"boxes": torch.tensor([[2.0, y + 2, 9, y + height - 2]]), "labels": torch.tensor([1]), "masks": mask}
    inside["scores"] = torch.tensor([0.99])
    figures = average_precision(annotations, [*found, *as_results(crowd["image_id"], inside, sorted(CATEGORIES))])
    assert figures["box_ap"] == pytest.approx(1) and figures["mask_ap"] == pytest.approx(1)
    elsewhere = as_results(1001, inside, sorted(CATEGORIES))  # where no crowd is, it is a mistake
    assert average_precision(annotations, [*found, *elsewhere])["box_ap"] < 0.99


def test_the_size_of_a_mask_is_that_of_the_mask(tiny, annotations):
    """A mistake whose mask is small within a box that is not: it counts among small masks, and not among small boxes."""
    mask = torch.zeros(1, 1, HEIGHT, WIDTH)
    mask[..., 2:9, 2:9] = 1
    mistake = {
        "boxes": torch.tensor([[1.0, 1, 90, 70]]),
        "labels": torch.tensor([1]),
        "masks": mask,
        "scores": torch.tensor([0.99]),
    }
    found = [*truth(tiny, annotations), *as_results(1001, mistake, sorted(CATEGORIES))]
    figures = average_precision(annotations, found)
    assert figures["mask_ap_small"] < 0.99
    assert figures["box_ap_small"] == pytest.approx(1)


def test_measuring_twice_gives_the_same(tiny, annotations, capsys):
    found = truth(tiny, annotations)[::2]
    first = average_precision(annotations, found)
    assert average_precision(annotations, found) == first
    assert 0 < first["box_ap"] < 1
    assert capsys.readouterr().out == ""


def test_nothing_to_be_found(annotations):
    annotations.dataset["annotations"] = [thing for thing in annotations.dataset["annotations"] if thing["iscrowd"]]
    with pytest.raises(ValueError, match=r"instances_val\.json holds no object to be found"):
        average_precision(annotations, [])


def test_results_have_boxes_as_x_y_width_height_and_masks_from_a_half():
    masks = torch.full((1, 1, 4, 6), 0.49)
    masks[..., 1:3, 2:5] = 0.5
    output = {"boxes": torch.tensor([[2.0, 1, 5, 3]]), "labels": torch.tensor([3]), "scores": torch.tensor([0.25]), "masks": masks}
    (found,) = as_results(7, output, [3, 7, 20])
    assert (found["image_id"], found["category_id"], found["score"], found["bbox"]) == (7, 20, 0.25, [2.0, 1.0, 3.0, 2.0])
    from train.downstream.detection.masks import mask_pixels

    assert mask_pixels(found["segmentation"], 4, 6).sum() == 6
