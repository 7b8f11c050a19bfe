"""The whole protocol on a tiny VOC2007: what can be told is told, difficult objects do not count, and it repeats."""

import json

import numpy as np
import pytest
import torch
from sklearn.svm import LinearSVC

from tests.train.downstream.images.voc_set import write_voc
from train.downstream.images.average_precision import eleven_points
from train.downstream.images.svm import SETTINGS, rank
from train.downstream.images.voc07 import COSTS, judge, sentence, voc07
from train.downstream.images.voc_split import CLASSES


@pytest.fixture(scope="module")
def data():
    """Features of 60 + 40 pictures on the unit sphere and labels of 20 classes, which overlap."""
    draw = np.random.default_rng(3)
    kinds = np.arange(100) % 20
    centres = draw.normal(size=(20, 6))
    rows = centres[kinds] + 0.8 * draw.normal(size=(100, 6))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    labels = np.where(kinds[:, None] == np.arange(20), 1, -1).astype(np.int8)
    features = torch.from_numpy(rows).float()
    return features[:60], labels[:60], features[60:], labels[60:]


def test_separable_classes_are_told_and_the_result_repeats(voc, colours):
    messages = []
    found = voc07(colours, voc, batch_size=16, say=messages.append)
    assert found["map_11"] > 0.98 and found["map_area"] > 0.98 and found["map_envelope"] > 0.98
    assert found["pictures"] == {"trainval": 80, "test": 40} and found["features"] == 32 and found["costs"] == [1, 10, 100]
    assert list(found["classes"]) == list(CLASSES)
    for of in found["classes"].values():
        assert of["cost"] in COSTS and (of["trainval"], of["test"], of["difficult"]) == (4, 2, 0)
    assert json.loads(json.dumps(found)) == found
    assert messages[0] == "VOC2007: 80 pictures to learn from, 40 to judge"
    assert messages[-1].startswith("class 20 of 20, tvmonitor: AP 1.000 with C = ")
    assert any(message.startswith("test: features of") for message in messages)
    assert voc07(colours, voc, batch_size=16, threads=1) == found


def test_an_encoder_that_sees_nothing_gets_the_fraction_of_positives(voc, colours):
    torch.nn.init.zeros_(colours.mix.weight)
    found = voc07(colours, voc)
    assert found["map_11"] == pytest.approx(2 / 40) and found["map_area"] == pytest.approx(2 / 40)


def test_difficult_objects_change_nothing(voc, colours, tmp_path):
    """A sheep marked difficult in pictures of other classes, to learn from and to judge, is no sheep and no mistake."""
    many = {f"{n:06d}": [("sheep", True)] for n in (1, 7, 22, 81, 95, 103)}
    found, plain = voc07(colours, write_voc(tmp_path, difficult=many)), voc07(colours, voc)
    sheep = found["classes"].pop("sheep")
    assert sheep["difficult"] == 3 and sheep["ap_11"] == 1
    expected = plain["classes"].pop("sheep")
    assert (sheep["cost"], sheep["trainval"], sheep["test"]) == (expected["cost"], expected["trainval"], expected["test"])
    assert found["classes"] == plain["classes"]


def test_a_difficult_picture_that_ranks_first_is_no_mistake(data):
    train, train_labels, test, test_labels = data
    place = CLASSES.index("cow")
    ranking = rank(train.double().numpy(), np.where(train_labels[:, place] == 1, 1, -1), test.numpy(), COSTS)
    first = int(np.argmax(np.where(test_labels[:, place] == 1, -np.inf, ranking.scores)))
    marked = test_labels.copy()
    marked[first, place] = 0
    before, after = (judge(train, train_labels, test, labels)["classes"]["cow"] for labels in (test_labels, marked))
    assert after["ap_11"] > before["ap_11"] and after["difficult"] == 1
    kept = np.arange(40) != first
    assert after["ap_11"] == eleven_points(test_labels[kept, place] == 1, ranking.scores[kept])


def test_difficult_pictures_are_negatives_to_learn_from(data):
    train, train_labels, test, test_labels = data
    marked = np.where(np.eye(60, 20, k=-3, dtype=bool) & (train_labels == -1), 0, train_labels)
    assert (marked == 0).any()
    assert judge(train, marked, test, test_labels) == judge(train, train_labels, test, test_labels)


@pytest.mark.filterwarnings("ignore:Liblinear failed to converge")
def test_the_cost_is_the_one_of_three_folds(data):
    """Against folds, fits and precisions done one by one."""
    from sklearn.metrics import average_precision_score

    train, labels, test, _ = data
    rows, truth = train.double().numpy(), np.where(labels[:, 4] == 1, 1, -1)
    costs = (0.001, 1.0, 30.0)
    merits = []
    positives, negatives = np.flatnonzero(truth == 1), np.flatnonzero(truth == -1)
    folds = [np.concatenate(parts) for parts in zip(np.array_split(positives, 3), np.array_split(negatives, 3), strict=True)]
    for cost in costs:
        merits.append([])
        for held in folds:
            rest = np.setdiff1d(np.arange(60), held)
            machine = LinearSVC(C=cost, **SETTINGS).fit(rows[rest], truth[rest])
            merits[-1].append(average_precision_score(truth[held] == 1, machine.decision_function(rows[held])))
    means = [float(np.mean(merit)) for merit in merits]
    assert len(set(means)) > 1
    found = rank(rows, truth, test.numpy(), costs)
    assert found.cost == costs[int(np.argmax(means))]
    expected = LinearSVC(C=found.cost, **SETTINGS).fit(rows, truth).decision_function(test.numpy())
    np.testing.assert_array_equal(found.scores, expected)
    assert rank(rows, truth, test.numpy(), [30.0]).cost == 30


def test_the_settings_are_the_protocols():
    assert COSTS == (1, 10, 100)
    machine = LinearSVC(**SETTINGS)
    assert (machine.loss, machine.penalty, machine.tol, machine.max_iter) == ("squared_hinge", "l2", 1e-4, 2000)
    assert machine.class_weight == {1: 2, -1: 1} and machine.fit_intercept and machine.intercept_scaling == 1


def test_a_solver_that_does_not_finish_is_named(data, monkeypatch):
    monkeypatch.setitem(SETTINGS, "max_iter", 2)
    found = judge(*data, costs=[100.0])
    assert not any(of["converged"] for of in found["classes"].values())
    assert "the solver did not converge for aeroplane, bicycle" in sentence(found)


def test_the_sentence_names_the_figures(data):
    found = judge(*data)
    text = sentence(found)
    assert f"mAP {100 * found['map_11']:.1f} % by 11 points" in text and "on 40 pictures of test (more is better)" in text
    worst = min(found["classes"], key=lambda name: found["classes"][name]["ap_11"])
    assert text.endswith(f"worst {worst}") or "did not converge" in text


def test_what_cannot_be_judged_is_said_before_anything_is_computed(voc, colours, tmp_path, data):
    with pytest.raises(FileNotFoundError, match="holds no VOCdevkit/VOC2007"):
        voc07(colours, tmp_path)
    with pytest.raises(ValueError, match=r"costs=\[0, 1\] of the SVM must be one or more numbers above 0"):
        voc07(colours, voc, costs=[0, 1])
    with pytest.raises(
        ValueError, match="too few pictures of trainval show pottedplant, sheep, sofa, train, tvmonitor: it takes 3"
    ):
        voc07(colours, write_voc(tmp_path, trainval=55, test=20))
    train, train_labels, test, test_labels = data
    gone = test_labels.copy()
    gone[gone[:, 3] == 1, 3] = 0
    with pytest.raises(ValueError, match="too few pictures of test show boat: it takes 1"):
        judge(train, train_labels, test, gone)
    everywhere = train_labels.copy()
    everywhere[:, 0] = 1
    with pytest.raises(ValueError, match="too few pictures of trainval are without aeroplane"):
        judge(train, everywhere, test, test_labels)
