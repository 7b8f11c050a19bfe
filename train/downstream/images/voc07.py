"""VOC07 classification: what a linear judge reads from frozen features of pictures.

The linear-SVM protocol by which the field compares such encoders (Goyal et al., "Scaling and Benchmarking Self-Supervised Visual
Representation Learning", ICCV 2019; with the features of OpenSelfSup and DenseCL): the last map of pictures of 224 × 224 pixels,
averaged to 2 × 2 cells and normalised; for each of the 20 classes a linear SVM on the 5,011 pictures of trainval, C ∈ {1, 10, 100}
by three-fold cross-validation; mean average precision on the 4,952 of test. (Some copies of the published code try 2⁻⁴ … 2⁻¹⁹
beside these C: that is a setting.)

Pictures in which all objects of a class are marked difficult do not count in the test of that class. In training they are
negatives, which is what the published code of the protocol makes of them: they do show the class, but figures that others published
are comparable only so.

Which average precision: VOC07's own rule has eleven points (`map_11`); the published code computes the area under the envelope, so
compare published figures with `map_envelope`; `map_area` is scikit-learn's rule.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.encoder import Encoder
from train.downstream.images.average_precision import area, eleven_points, envelope
from train.downstream.images.features import picture_features
from train.downstream.images.svm import FOLDS, rank
from train.downstream.images.voc_split import CLASSES, DIFFICULT, PRESENT, read_split

COSTS = (1.0, 10.0, 100.0)
RULES = {"11": eleven_points, "envelope": envelope, "area": area}

Say = Callable[[str], None]


def voc07(
    encoder: Encoder,
    root: str | Path,
    *,
    device: str | torch.device = "cpu",
    batch_size: int = 32,
    threads: int = 2,
    costs: Sequence[float] = COSTS,
    say: Say = lambda message: None,
) -> dict[str, Any]:
    """Judge a frozen encoder of pictures, which is moved to the device. What does not fit is refused before anything is computed.

    Args:
        root: the folder that holds VOCdevkit/VOC2007.
        batch_size, threads: of the encoding and the decoding: memory and speed.
        costs: what C is chosen from.
        say: called with messages about how far it is.

    Returns:
        plain values, fractions of one: `map_11`, `map_envelope`, `map_area`; `pictures` of each split; `features`, their number;
        `costs`; and `classes`, by name: `ap_11`, `ap_envelope`, `ap_area`, the chosen `cost`, whether the solver `converged`, how
        many pictures of `trainval` and of `test` show it, and how many are left out of its test (`difficult`).

    Raises:
        FileNotFoundError: VOC2007 is not there, or not all of it.
        ValueError: a broken file, an encoder whose map is too small, a class that too few pictures show, or a cost.
    """
    _check_costs(costs)
    splits = {name: read_split(root, name) for name in ("trainval", "test")}
    _check_classes(splits["trainval"].labels, splits["test"].labels)
    say(f"VOC2007: {len(splits['trainval'])} pictures to learn from, {len(splits['test'])} to judge")

    def features(name: str) -> Tensor:
        paths = splits[name].paths
        return picture_features(
            encoder, paths, device=device, batch_size=batch_size, threads=threads, say=lambda message: say(f"{name}: {message}")
        )

    train, test = features("trainval"), features("test")
    return judge(train, splits["trainval"].labels, test, splits["test"].labels, costs=costs, say=say)


def judge(
    train: Tensor,
    train_labels: NDArray[np.int8],
    test: Tensor,
    test_labels: NDArray[np.int8],
    *,
    costs: Sequence[float] = COSTS,
    say: Say = lambda message: None,
) -> dict[str, Any]:
    """As `voc07`, of features (N, D) and (M, D) that are there already, with labels (N, 20) and (M, 20) as `Split` has them."""
    _check_costs(costs)
    _check_classes(train_labels, test_labels)
    rows, unseen, classes = train.double().numpy(), test.numpy(), {}
    for place, name in enumerate(CLASSES):
        ranking = rank(rows, np.where(train_labels[:, place] == PRESENT, 1, -1), unseen, costs)
        kept = test_labels[:, place] != DIFFICULT
        precision = {f"ap_{rule}": of(test_labels[kept, place] == PRESENT, ranking.scores[kept]) for rule, of in RULES.items()}
        shown = {
            split: int((labels[:, place] == PRESENT).sum()) for split, labels in (("trainval", train_labels), ("test", test_labels))
        }
        classes[name] = {
            **precision,
            "cost": ranking.cost,
            "converged": ranking.converged,
            **shown,
            "difficult": int((~kept).sum()),
        }
        say(f"class {place + 1} of {len(CLASSES)}, {name}: AP {precision['ap_11']:.3f} with C = {ranking.cost:g}")
    return {
        "task": "voc07",
        **{f"map_{rule}": float(np.mean([found[f"ap_{rule}"] for found in classes.values()])) for rule in RULES},
        "classes": classes,
        "pictures": {"trainval": len(train), "test": len(test)},
        "features": train.shape[1],
        "costs": [float(cost) for cost in costs],
    }


def sentence(found: dict[str, Any]) -> str:
    """What `voc07` found, in one line for people."""
    by_merit = sorted(found["classes"], key=lambda name: found["classes"][name]["ap_11"])
    unfinished = [name for name, of in found["classes"].items() if not of["converged"]]
    return (
        f"voc07: mAP {100 * found['map_11']:.1f} % by 11 points, {100 * found['map_envelope']:.1f} % by the envelope (as published "
        f"figures are), {100 * found['map_area']:.1f} % by area, on {found['pictures']['test']} pictures of test (more is better); "
        f"best {by_merit[-1]}, worst {by_merit[0]}"
        + (f"; the solver did not converge for {', '.join(unfinished)}" if unfinished else "")
    )


def _check_costs(costs: Sequence[float]) -> None:
    if not costs or not all(np.isfinite(cost) and cost > 0 for cost in costs):
        raise ValueError(f"costs={list(costs)} of the SVM must be one or more numbers above 0, such as {list(COSTS)}")


def _check_classes(train: NDArray[np.int8], test: NDArray[np.int8]) -> None:
    """Each fold of trainval needs a picture with the class and one without; so does the test need one with it."""
    for split, labels, least in (("trainval", train, FOLDS), ("test", test, 1)):
        few = [name for name, column in zip(CLASSES, labels.T, strict=True) if (column == PRESENT).sum() < least]
        if few:
            raise ValueError(f"too few pictures of {split} show {', '.join(few)}: it takes {least} for each class")
    everywhere = [name for name, column in zip(CLASSES, train.T, strict=True) if (column != PRESENT).sum() < FOLDS]
    if everywhere:
        raise ValueError(f"too few pictures of trainval are without {', '.join(everywhere)}: it takes {FOLDS} for each class")
