"""Values of tars, put together, are those of all clips: exactly, and in any order."""

import math
from fractions import Fraction

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from dataio.audit.reindex.values import agreed, exact, few, few_rows

NUMBERS = st.lists(st.integers(0, 4), max_size=12)


@given(st.lists(st.floats(0, 1), max_size=40))
def test_partial_sums_are_exact(values: list[float]) -> None:
    parts = exact(values)
    assert sum(map(Fraction, parts), Fraction()) == sum(map(Fraction, values), Fraction())
    assert len(parts) < 40 and math.fsum(parts) == math.fsum(values)


@given(NUMBERS, NUMBERS)
def test_few_of_parts_tell_as_much_as_few_of_all(first: list[int], second: list[int]) -> None:
    """Whether there is no value, one, or more; and which, if one."""
    all_, parts = few(first + second), few([*few(first), *few(second)])
    assert len(all_) == len(parts) == min(2, len({*first, *second}))
    assert all_ == parts or len(all_) == 2


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 2)), max_size=8))
def test_few_rows_are_rows(rows: list[tuple[int, int]]) -> None:
    columns = np.array(rows, np.int64).reshape(-1, 2).T
    found = few_rows(*columns)
    assert set(found) <= set(rows) and len(found) == min(2, len(set(rows)))


@given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["cat", "dog", None]))), st.randoms())
def test_a_label_with_two_names_has_none(names: list[tuple[int, str | None]], random) -> None:
    found = agreed(names)
    for label in {label for label, _ in names}:
        called = {name for number, name in names if number == label}
        assert found[label] == (called.pop() if len(called) == 1 else None)
    random.shuffle(names)
    assert agreed(names) == found
    assert agreed([*agreed(names[:3]).items(), *agreed(names[3:]).items()]) == found
