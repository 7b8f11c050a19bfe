"""Projections lie on the sphere, and keep the precision they are given."""

import pytest
import torch

from models.heads import Projection, perceptron


@pytest.mark.parametrize("hidden", [None, 8])
def test_projections_are_the_layers_on_the_unit_sphere(hidden: int | None):
    torch.manual_seed(0)
    head, x = Projection(5, 3, hidden=hidden).double(), torch.randn(4, 5, dtype=torch.float64)
    plain = x
    matrices = [p for p in head.parameters() if p.ndim == 2]
    biases = [p for p in head.parameters() if p.ndim == 1]
    assert len(matrices) == (2 if hidden else 1)
    for last, (matrix, bias) in enumerate(zip(matrices, biases, strict=True), 1):
        plain = plain @ matrix.T + bias
        plain = plain if last == len(matrices) else plain.clamp_min(0)
    torch.testing.assert_close(head(x), plain / plain.square().sum(1, keepdim=True).sqrt(), rtol=1e-12, atol=1e-12)
    assert torch.autograd.gradcheck(head, x.requires_grad_())


@pytest.mark.parametrize(
    ("given", "found"), [(torch.bfloat16, torch.float32), (torch.float32, torch.float32), (torch.float64, torch.float64)]
)
def test_features_are_normalised_in_single_precision_at_least(given: torch.dtype, found: torch.dtype):
    out = Projection(5, 64, hidden=None).to(given)(torch.randn(4, 5, dtype=given))
    assert out.dtype == found
    torch.testing.assert_close(out.norm(dim=1), torch.ones(4, dtype=found))


def test_a_vector_of_zeros_has_no_direction_and_no_nan():
    head = Projection(5, 3, hidden=None)
    with torch.no_grad():
        head.get_parameter("layers.bias").zero_()
    out = head(torch.zeros(1, 5))
    out.sum().backward()
    assert out.tolist() == [[0, 0, 0]]
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in head.parameters())


def test_gradients_of_a_perceptron():
    torch.manual_seed(0)
    assert torch.autograd.gradcheck(perceptron(3, 4, 2).double(), torch.randn(2, 3, dtype=torch.float64, requires_grad=True))
