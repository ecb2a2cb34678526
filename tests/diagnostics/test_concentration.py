"""How the gradient is spread over samples: equal parts, one sample for all, ties, monotony."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from losscope.diagnostics import (
    gradient_effective_share,
    gradient_participation,
    gradient_share,
    gradient_share_90,
    gradient_share_curve,
)

NORMS = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("active", "samples"), [(1, 7), (3, 7), (7, 7), (10, 60), (60, 60), (511, 512)])
def test_equal_norms_of_some_and_none_of_others_are_a_hinges_active_ratio(
    active: int, samples: int, dtype: torch.dtype
) -> None:
    norms = torch.zeros(samples, dtype=dtype)
    norms[torch.randperm(samples, generator=torch.Generator().manual_seed(0))[:active]] = 0.1
    assert gradient_participation(norms).item() == pytest.approx(active / samples)
    assert gradient_effective_share(norms).item() == pytest.approx(active / samples)
    assert gradient_share_90(norms).item() == math.ceil(round(0.9 * active, 6)) / samples
    curve = [math.ceil(round(percent / 100 * active, 6)) / samples for percent in range(10, 101, 10)]
    assert gradient_share_curve(norms).tolist() == curve


@given(NORMS)
def test_shares_lie_between_one_sample_and_all_and_grow_along_the_curve(norms: list[float]) -> None:
    values = torch.tensor(norms, dtype=torch.float64)
    curve = gradient_share_curve(values)
    assert (curve.diff() >= 0).all()
    assert 1 / len(norms) <= curve.min() <= curve.max() <= 1
    # The largest carry at least their part of the number.
    goals = torch.arange(1, 11, dtype=torch.float64) / 10
    assert (curve <= torch.ceil(goals * len(norms)) / len(norms) + 1e-9).all()
    for even in (gradient_participation(values), gradient_effective_share(values)):
        assert 1 / len(norms) - 1e-9 <= even.item() <= 1 + 1e-9
    assert gradient_participation(values) <= gradient_effective_share(values) + 1e-9  # of Rényi entropies


def test_ties_and_order_change_nothing() -> None:
    norms = torch.tensor([3.0, 1.0, 3.0, 1.0, 2.0])
    moved = norms[[4, 3, 2, 0, 1]]
    for function in (gradient_share_90, gradient_share_curve, gradient_participation, gradient_effective_share):
        torch.testing.assert_close(function(moved), function(norms))


def test_one_of_equals_more_or_less_is_not_half_a_sample() -> None:
    assert gradient_share(torch.tensor([1.0, 1.0]), 0.5).item() == 0.5
    assert gradient_share(torch.tensor([1.0, 1.0]), 0.51).item() == 1.0
    assert gradient_share(torch.full((10,), 0.1), 0.9).item() == 0.9  # 0.1 + 0.1 + ... is not 0.9


def test_norms_of_diverged_runs_are_no_ones_share() -> None:
    norms = torch.ones(3, 4)
    norms[0, 1], norms[1, 2] = torch.nan, torch.inf
    for function in (gradient_share_90, gradient_participation, gradient_effective_share):
        found = function(norms)
        assert found.isnan().tolist() == [True, True, False]
        assert found[2].item() == pytest.approx(1)


def test_norms_however_small_are_shared() -> None:
    norms = torch.tensor([1e-30, 1e-30, 0.0])  # their squares are 0 in float32
    assert gradient_participation(norms).item() == pytest.approx(2 / 3)
