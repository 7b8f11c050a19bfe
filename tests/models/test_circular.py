"""Around the sphere, any number of times."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from models.circular import around


@given(st.integers(1, 6), st.integers(0, 15), st.integers(0, 15))
def test_every_column_is_the_one_that_lies_there(width, before, after):
    x = torch.arange(2.0 * width).view(2, width)
    expected = [[row * width + (i - before) % width for i in range(before + width + after)] for row in range(2)]
    assert around(x, before, after).tolist() == expected


@pytest.mark.parametrize(("before", "after"), [(3, 2), (0, 4), (4, 0)])
def test_torchs_circular_padding_where_that_is_able_to(before, after):
    x = torch.randn(2, 3, 5, 4, dtype=torch.float64, requires_grad=True)
    expected = torch.nn.functional.pad(x, (before, after, 0, 0), mode="circular")
    assert torch.equal(around(x, before, after), expected)
    weights = torch.randn_like(expected)
    (gradient,) = torch.autograd.grad((around(x, before, after) * weights).sum(), x)
    (reference,) = torch.autograd.grad((expected * weights).sum(), x)
    torch.testing.assert_close(gradient, reference)
