"""Distances: both forms equal a loop, with safe gradients at distance 0, in stacks of runs too."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import reference
from losscope.distances import (
    EPSILON,
    distances,
    entries,
    gram,
    gram_squared_distances,
    pair_squared_distances,
    rows,
)

POINTS = arrays(np.float64, (5, 3), elements=st.floats(-4, 4, allow_nan=False, width=32))


@settings(max_examples=30, deadline=None)
@given(POINTS)
def test_both_forms_equal_the_loop(z: np.ndarray) -> None:
    points = torch.from_numpy(z)
    expected = np.array([[reference.distance(z, i, j) ** 2 for j in range(5)] for i in range(5)])
    np.testing.assert_allclose(gram_squared_distances(points).numpy(), expected, atol=1e-12)
    first, second = torch.tensor([0, 1, 4]), torch.tensor([3, 1, 2])
    direct = pair_squared_distances(points, first, second)
    np.testing.assert_allclose(direct.numpy(), expected[first, second], rtol=1e-14)


@pytest.mark.parametrize("shape", [(4, 3), (2, 4, 3)])
def test_a_gram_matrix_has_the_gradient_of_the_product(shape: tuple[int, ...]) -> None:
    points = torch.randn(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64, requires_grad=True)
    assert torch.equal(gram(points), points @ points.mT)
    assert torch.autograd.gradcheck(gram, points)


def test_few_pairs_take_the_direct_form_and_many_the_gram_form() -> None:
    """One bit of float32 apart, far from the origin: only differences see it."""
    points = torch.tensor([[1000.0, 0.0], [1000.0 + 2**-13, 0.0]])
    few, many = torch.tensor([0]), torch.tensor([0] * 5)
    assert pair_squared_distances(points, few, few + 1).item() == 2**-26
    assert pair_squared_distances(points, many, many + 1).max().item() != 2**-26


@pytest.mark.parametrize("pairs", [3, 40])
def test_both_forms_have_the_gradient_of_the_equation(pairs: int) -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.randn(5, 3, dtype=torch.float64, generator=random, requires_grad=True)
    first, second = torch.randint(5, (2, pairs), generator=random)

    def root(z: torch.Tensor) -> torch.Tensor:
        return distances(pair_squared_distances(z, first[first != second], second[first != second]))

    assert torch.autograd.gradcheck(root, (points,))


def test_the_gradient_at_distance_0_is_exactly_0() -> None:
    points = torch.ones(4, 3, requires_grad=True)
    same = torch.arange(4)
    for squared in (pair_squared_distances(points, same, same), gram_squared_distances(points)):
        (gradient,) = torch.autograd.grad(distances(squared).sum(), points)
        assert not gradient.any()
    assert distances(torch.zeros(1)).item() == pytest.approx(EPSILON**0.5)


def test_rounding_never_makes_a_gram_distance_negative() -> None:
    points = torch.nn.functional.normalize(torch.randn(64, 8, generator=torch.Generator().manual_seed(0)), dim=1)
    assert gram_squared_distances(points.repeat(2, 1)).min().item() >= 0


def test_run_axes_pass_through() -> None:
    random = torch.Generator().manual_seed(0)
    points = torch.randn(2, 3, 6, 4, generator=random)
    own = torch.randint(6, (2, 3, 7), generator=random)
    shared, many = torch.randint(6, (7,), generator=random), torch.randint(6, (2, 3, 50), generator=random)
    matrix = gram_squared_distances(points)
    for run in np.ndindex(2, 3):
        alone = points[run]
        torch.testing.assert_close(matrix[run], gram_squared_distances(alone))
        assert torch.equal(rows(points, own)[run], alone[own[run]])
        assert torch.equal(rows(points, shared)[run], alone[shared])
        assert torch.equal(entries(matrix, own, own)[run], matrix[run][own[run], own[run]])
        assert torch.equal(entries(matrix, shared, shared)[run], matrix[run][shared, shared])
        for index in (own, many):
            torch.testing.assert_close(
                pair_squared_distances(points, index, index.flip(-1))[run],
                pair_squared_distances(alone, index[run], index[run].flip(-1)),
            )
