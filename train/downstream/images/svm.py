"""One linear support vector machine a class, its cost chosen by cross-validation."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FOLDS = 3
SETTINGS = {
    "loss": "squared_hinge",
    "penalty": "l2",
    "dual": True,
    "class_weight": {1: 2.0, -1: 1.0},
    "tol": 1e-4,
    "max_iter": 2000,
    "random_state": 0,
}
"""Of scikit-learn's LinearSVC, as the protocol has them; the seed, of the order in which samples are visited, is ours."""


@dataclass(frozen=True)
class Ranking:
    """scores: (M,) of the pictures to judge. cost: the C that was chosen. converged: within the allowed iterations."""

    scores: NDArray[np.float64]
    cost: float
    converged: bool


def rank(train: NDArray[np.float64], truth: NDArray, test: NDArray, costs: Sequence[float]) -> Ranking:
    """How much each row of `test` (M, D) looks like the rows of `train` (N, D) whose truth (N,) is 1 and not −1.

    C is the one of the highest mean average precision over three folds, the first of equal ones; the folds are stratified and not
    shuffled. The solver's own copy of the rows has 16 bytes a number: with 5,011 × 8,192 all of it takes 2 GB.

    Raises:
        ModuleNotFoundError: no scikit-learn.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import StratifiedKFold, cross_val_score
    from sklearn.svm import LinearSVC

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # what matters of it is in the result
        merits = [0.0]
        if len(costs) > 1:
            folds = StratifiedKFold(FOLDS)
            merits = [
                cross_val_score(LinearSVC(C=cost, **SETTINGS), train, truth, cv=folds, scoring="average_precision").mean()
                for cost in costs
            ]
        cost = costs[int(np.argmax(merits))]
        machine = LinearSVC(C=cost, **SETTINGS).fit(train, truth)
    return Ranking(machine.decision_function(test), float(cost), bool(np.max(machine.n_iter_) < SETTINGS["max_iter"]))
