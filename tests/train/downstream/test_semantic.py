"""mIoU and the weighted loss, against torchmetrics, scikit-learn and by hand."""

import math

import pytest
import torch
from sklearn.metrics import confusion_matrix
from torchmetrics.functional import jaccard_index

from train.downstream.semantic import IGNORE, RARE, SemanticPrediction, confusion, foreground_miou, iou, weighted_cross_entropy
from train.modality import SOUND

CLASSES = 4


def maps(seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """True and predicted, some pixels unknown."""
    torch.manual_seed(seed)
    truth, predicted = (torch.randint(CLASSES, (3, 8, 16)) for _ in range(2))
    truth[torch.rand(truth.shape) < 0.2] = IGNORE
    return truth, predicted


def test_the_confusion_matrix_is_that_of_scikit_learn():
    truth, predicted = maps()
    known = truth != IGNORE
    assert confusion(truth, predicted, CLASSES).tolist() == confusion_matrix(truth[known], predicted[known]).tolist()


def test_miou_is_that_of_torchmetrics():
    truth, predicted = maps()
    reference = jaccard_index(predicted, truth, "multiclass", num_classes=CLASSES, ignore_index=IGNORE, average="macro")
    assert float(iou(confusion(truth, predicted, CLASSES)).nanmean()) == pytest.approx(float(reference), rel=1e-6)


def test_foreground_miou_is_that_of_torchmetrics_without_the_background_pixels():
    truth, predicted = maps()
    there = truth.masked_fill(truth == 0, IGNORE)
    each = jaccard_index(predicted, there, "multiclass", num_classes=CLASSES, ignore_index=IGNORE, average="none")
    assert float(foreground_miou(confusion(truth, predicted, CLASSES))) == pytest.approx(float(each[1:].mean()), rel=1e-6)


def test_by_hand():
    truth = torch.tensor([0, 0, 0, 1, 1, 2])
    predicted = torch.tensor([0, 1, 1, 1, 0, 2])
    matrix = confusion(truth, predicted, CLASSES)
    assert iou(matrix)[:3].tolist() == pytest.approx([1 / 4, 1 / 4, 1.0])
    assert math.isnan(iou(matrix)[3])
    assert float(foreground_miou(matrix)) == pytest.approx((1 / 2 + 1.0) / 2)  # the two false cars on the background cost nothing


def test_perfect_is_one_and_constant_is_the_share_of_a_class():
    truth, _ = maps()
    perfect = confusion(truth, truth.where(truth != IGNORE, 0), CLASSES)
    assert (float(foreground_miou(perfect)), float(iou(perfect).nanmean())) == (1.0, 1.0)
    cars = confusion(truth, torch.ones_like(truth), CLASSES)
    there = [int((truth == c).sum()) for c in range(CLASSES)]
    assert float(foreground_miou(cars)) == pytest.approx(there[1] / sum(there[1:]) / 3)
    assert float(iou(cars).nanmean()) == pytest.approx(there[1] / sum(there) / 4)


def test_the_loss_is_what_a_loop_over_pixels_says():
    torch.manual_seed(1)
    logits = torch.randn(2, CLASSES, 3, 4, dtype=torch.float64)
    labels = torch.tensor([0, 0, 0, 1, 1, IGNORE, 0, 0, 2, 0, 0, IGNORE] * 2).view(2, 3, 4)  # class 3 is absent
    known = [int(y) for y in labels.flatten() if y != IGNORE]
    weight = [2 - known.count(c) / len(known) if c in known else 1.0 for c in range(CLASSES)]
    weight = [weight[0], *(RARE * w for w in weight[1:])]
    above = below = 0.0
    for row, y in zip(logits.permute(0, 2, 3, 1).reshape(-1, CLASSES).tolist(), labels.flatten().tolist(), strict=True):
        if y != IGNORE:
            above -= weight[y] * (row[y] - math.log(math.fsum(map(math.exp, row))))
            below += weight[y]
    assert float(weighted_cross_entropy(logits.float(), labels, CLASSES)) == pytest.approx(above / below, rel=1e-5)


def test_a_batch_of_unknown_pixels_teaches_nothing():
    logits = torch.randn(1, CLASSES, 2, 2, requires_grad=True)
    loss = weighted_cross_entropy(logits, torch.full((1, 2, 2), IGNORE), CLASSES)
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.any()


@pytest.fixture
def objective(judging) -> SemanticPrediction:
    return SemanticPrediction(judging, SOUND.untrained(judging))


def test_unknown_pixels_are_no_class_too_many_but_others_are(objective):
    labels = torch.full((1, 1, 32, 64), IGNORE, dtype=torch.uint8)
    assert objective.target(labels).unique().tolist() == [IGNORE]
    labels[0, 0, 16:] = 7
    with pytest.raises(ValueError, match=r"hold class 7; downstream.classes=4"):
        objective.target(labels)


def test_background_alone_is_an_error(objective):
    empty = torch.zeros(2, CLASSES, CLASSES, dtype=torch.int64)
    empty[:, 0] = 3  # whatever is predicted there
    with pytest.raises(ValueError, match="no class but the background"):
        objective.figures({"confusion": empty})
