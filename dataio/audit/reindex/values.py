"""Values of very many clips, kept so that they can be sent and put together: a few different ones, names of labels, exact sums."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def few(values: Iterable[Any]) -> tuple[Any, ...]:
    """The different values, at most two of them."""
    return tuple(sorted(set(values))[:2])


def few_rows(*columns: np.ndarray) -> tuple[tuple[int, ...], ...]:
    """The different rows that the columns make, at most two of them."""
    if not len(columns[0]) or all((column == column[0]).all() for column in columns):
        return tuple(zip(*(column[:1].tolist() for column in columns), strict=True))
    return tuple(map(tuple, np.unique(np.stack(columns, 1), axis=0)[:2].tolist()))


def exact(values: list[float]) -> tuple[float, ...]:
    """A few floats with exactly the sum of all the values, so that the mean does not depend on how clips lie in tars."""
    parts: list[float] = []
    while rest := math.fsum([*values, *(-part for part in parts)]):
        parts.append(rest)
    return tuple(parts)


def agreed(names: Iterable[tuple[int, str | None]]) -> Mapping[int, str | None]:
    """Label → name; None where a label comes with two names, or with None."""
    found: dict[int, str | None] = {}
    for label, name in names:
        found[label] = name if found.setdefault(label, name) == name else None
    return found
