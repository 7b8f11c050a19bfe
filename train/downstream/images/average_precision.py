"""Average precision of a ranking, as three rules have it.

With the pictures ranked by falling score, recall is the fraction of the positives seen so far and precision the fraction of
positives among what was seen. The rules differ in how they sum up the curve:

- `eleven_points`: the mean over recalls 0, 0.1, …, 1 of the highest precision at that recall or a higher one. VOC until 2009
  (Everingham et al., "The PASCAL Visual Object Classes (VOC) Challenge", IJCV 2010, section 4.2).
- `envelope`: the area under the same, at every recall: VOC from 2010 on, and what the published code of the linear-SVM protocol
  computes on VOC07, so that its published figures are these.
- `area`: precision summed over the steps of recall, without looking ahead: scikit-learn's `average_precision_score`.

Pictures of equal score are ranked at once, so that their order changes nothing: of a ranker that gives all the same score each rule
makes the fraction of positives.
"""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def eleven_points(positive: ArrayLike, score: ArrayLike) -> float:
    """VOC07's average precision in [0, 1], of truths and scores (N,). Recalls are compared exactly, as whole numbers.

    Raises:
        ValueError: no positive, lengths that differ, or scores that are not numbers.
    """
    hits, seen = _curve(positive, score)
    best = _highest_from_here(hits / seen)
    at = [np.searchsorted(10 * hits, tenths * hits[-1]) for tenths in range(11)]  # first place with recall ≥ tenths / 10
    return float(best[at].mean())


def envelope(positive: ArrayLike, score: ArrayLike) -> float:
    """Area under the highest precision at each recall or a higher one, in [0, 1]; arguments and errors as of `eleven_points`."""
    hits, seen = _curve(positive, score)
    return float((np.diff(hits, prepend=0) * _highest_from_here(hits / seen)).sum() / hits[-1])


def area(positive: ArrayLike, score: ArrayLike) -> float:
    """Area under the curve in steps, in [0, 1]; arguments and errors as of `eleven_points`."""
    hits, seen = _curve(positive, score)
    return float((np.diff(hits, prepend=0) * (hits / seen)).sum() / hits[-1])


def _curve(positive: ArrayLike, score: ArrayLike) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Positives, and pictures, that score at least as much as each of the different scores, falling."""
    truth, values = np.asarray(positive, bool), np.asarray(score, np.float64)
    if truth.ndim != 1 or truth.shape != values.shape:
        raise ValueError(f"average precision needs a truth and a score of each picture, not {truth.shape} and {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError("scores of an average precision must be finite; these hold NaN or infinity")
    if not truth.any():
        raise ValueError(f"none of {len(truth)} pictures is positive, so there is no average precision")
    order = np.argsort(-values, kind="stable")
    last = np.flatnonzero(np.diff(values[order], append=-np.inf))  # of every group of equal scores
    return truth[order].cumsum()[last], last + 1


def _highest_from_here(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.maximum.accumulate(precision[::-1])[::-1]
