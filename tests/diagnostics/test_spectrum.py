"""Effective rank: known answers, bounds, and stacks."""

from __future__ import annotations

import math

import pytest
import torch

from losscope.diagnostics import effective_rank


def test_equal_directions_count_fully_and_one_direction_counts_once() -> None:
    eye = torch.eye(6).repeat(4, 1)
    assert effective_rank(eye).item() == pytest.approx(6, abs=1e-6)
    assert effective_rank(eye[:, :3]).item() == pytest.approx(3, abs=1e-6)
    line = torch.linspace(-1, 2, 50).unsqueeze(1) * torch.tensor([[3.0, 4.0, 0.0, 1.0]])
    assert effective_rank(line).item() == pytest.approx(1, abs=1e-5)


def test_two_unequal_directions() -> None:
    z = torch.diag(torch.tensor([3.0, 1.0]))
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(z).item() == pytest.approx(math.exp(entropy))


def test_isotropic_noise_uses_nearly_every_dimension() -> None:
    z = torch.randn(20_000, 16, generator=torch.Generator().manual_seed(0))
    assert 15.9 < effective_rank(z).item() <= 16
    few = torch.randn(4, 16, generator=torch.Generator().manual_seed(0))
    assert 1 <= effective_rank(few).item() <= 4 + 1e-4  # no more directions than samples


def test_it_is_free_of_scale() -> None:
    z = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))
    assert effective_rank(1e-4 * z).item() == pytest.approx(effective_rank(z).item())


def test_zeros_and_stacks() -> None:
    z = torch.randn(3, 30, 5, generator=torch.Generator().manual_seed(0))
    z[1] = 0
    ranks = effective_rank(z)
    assert ranks[1].item() == 1  # nothing is used: as a limit, not NaN
    for run in (0, 2):
        assert ranks[run].item() == pytest.approx(effective_rank(z[run]).item(), rel=1e-12)
