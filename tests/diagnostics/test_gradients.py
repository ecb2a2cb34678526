"""Norms of gradients: what they are of, and what leaves them alone."""

from __future__ import annotations

import pytest
import torch
from torch.nn.functional import normalize

from losscope.criterion import Criterion
from losscope.diagnostics import (
    gradient_norm,
    gradient_norm_embedding,
    gradient_norm_embedding_tangential,
    gradient_signal_fraction,
    tangential_norms,
    update_norm,
    update_ratio,
)

LABELS = torch.tensor([0, 0, 1, 1, 2, 2])


def test_the_tangential_norm_is_what_normalization_lets_through() -> None:
    """∂L/∂u = (I - zzᵀ) ∂L/∂z / |u|: for an unnormalized output of length 1 the two are one."""
    random = torch.Generator().manual_seed(0)
    raw = normalize(torch.randn(6, 4, generator=random, dtype=torch.float64), dim=1).requires_grad_()
    z = normalize(raw, dim=1)
    by_raw, by_embedding = torch.autograd.grad(Criterion("triplet")(z, LABELS), (raw, z))
    found = gradient_norm_embedding_tangential(by_embedding, z.detach())
    assert found.item() == pytest.approx(by_raw.norm(dim=1).mean().item())


def test_a_radial_gradient_moves_nothing_along_the_sphere() -> None:
    z = normalize(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), dim=1)
    assert gradient_norm_embedding_tangential(7 * z, z).item() == pytest.approx(0, abs=2e-6)
    assert gradient_norm_embedding(7 * z).item() == pytest.approx(7 * 5**0.5)


def test_norms_scale_with_the_loss_and_the_update_ratio_of_adam_does_not() -> None:
    ratios, norms = [], []
    for scale in (1.0, 100.0):
        weights = torch.ones(4, dtype=torch.float64, requires_grad=True)
        optimizer = torch.optim.Adam([weights], lr=1e-2, eps=1e-30)
        (scale * (weights * torch.arange(1.0, 5.0)).square().sum()).backward()
        assert weights.grad is not None
        norms.append(gradient_norm([weights.grad]).item())
        before = weights.detach().clone()
        optimizer.step()
        ratios.append(update_ratio(before, weights.detach()).item())
    assert norms[1] == pytest.approx(100 * norms[0])
    assert ratios[1] == pytest.approx(ratios[0]) == pytest.approx(1e-2)


def test_the_mean_over_samples_is_of_the_norms_of_samples() -> None:
    z = normalize(torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(0)), dim=-1)
    gradient = torch.randn(2, 6, 4, generator=torch.Generator().manual_seed(1))
    norms = tangential_norms(gradient, z)
    assert norms.shape == (2, 6)
    assert torch.equal(gradient_norm_embedding_tangential(gradient, z), norms.mean(-1))


def test_the_signal_fraction_is_1_for_steps_that_agree_and_one_over_their_number_for_noise() -> None:
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(50, 20_000, generator=random, dtype=torch.float64)

    def fraction(steps: torch.Tensor) -> float:
        squares = steps.square().sum(-1).sum()
        return float(gradient_signal_fraction(steps.sum(0), squares, len(steps)).item())

    assert fraction(noise[:1].expand(50, -1)) == pytest.approx(1)
    assert fraction(noise) == pytest.approx(1 / 50, rel=0.05)
    assert fraction(1e3 * noise) == pytest.approx(fraction(noise))  # free of the loss's scale
    assert fraction(torch.stack([noise[0], -noise[0]])) == 0
    assert gradient_signal_fraction(torch.zeros(3), torch.tensor(0.0), 4).isnan()


def test_an_update_has_one_norm_and_its_ratio_to_the_parameters() -> None:
    before = torch.tensor([[3.0, 4.0], [0.6, 0.8]])
    after = before + torch.tensor([0.3, 0.4])
    assert update_norm(before, after).tolist() == pytest.approx([0.5, 0.5])
    assert update_ratio(before, after).tolist() == pytest.approx([0.1, 0.5])
