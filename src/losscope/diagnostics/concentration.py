"""GREEDINESS, comparable: how the gradient is spread over the samples of a batch.

From the tangential gradient norms n_i = |(I - zzᵀ) ∂L/∂z_i| of N samples, with w_i = n_i / Σ n:

    share at q        least share of samples that carry the part q of Σ n              primary, q = 90 %
    participation     (Σ n)² / (N Σ n²)                                                  1 even, 1/N a single sample
    effective share   e^{H(w)} / N,  H(w) = -Σ w log w                                   the same two ends

If k of N norms are equal and the rest 0, the last two are k/N: the active ratio of a hinge. All are free of the loss's
scale, so they stand beside a magnitude: tiny and even looks like large and even. Where every norm is 0 there is nothing
to share: NaN.
"""

from __future__ import annotations

import torch
from torch import Tensor

CURVE = tuple(range(10, 101, 10))
"""Percent of the gradient norm at which the curve of shares is read."""


def gradient_share(norms: Tensor, share: float | Tensor = 0.9) -> Tensor:
    """Least share of samples whose `norms` (..., samples) sum to `share` of the total: (...), or (..., shares).

    A count over N, not interpolated: between 1/N and 1. Ties don't matter, equal norms are equal summands.

    >>> gradient_share(torch.tensor([8.0, 1.0, 1.0, 0.0])).item()
    0.5
    """
    one = isinstance(share, float)
    wanted = torch.as_tensor([share] if one else share, dtype=torch.float64, device=norms.device)
    carried = norms.double().sort(dim=-1, descending=True).values.cumsum(-1)
    total = carried[..., -1:]
    # A rounding error below the goal still reaches it.
    goal = total.unsqueeze(-1) * wanted.unsqueeze(-1) * (1 - 1e-12)
    count = (carried.unsqueeze(-2) < goal).sum(-1) + 1
    found = torch.where(total > 0, count / norms.shape[-1], torch.nan)
    return found.squeeze(-1) if one else found


def gradient_share_90(norms: Tensor) -> Tensor:
    """Least share of samples that carry 90 % of the gradient norm, from norms (..., samples)."""
    return gradient_share(norms, 0.9)


def gradient_share_curve(norms: Tensor) -> Tensor:
    """The share at 10, 20, ... 100 %: (..., 10) from norms (..., samples)."""
    return gradient_share(norms, torch.tensor(CURVE) / 100)


def gradient_participation(norms: Tensor) -> Tensor:
    """Participation ratio (Σ n)² / (N Σ n²) of norms (..., samples).

    >>> gradient_participation(torch.tensor([1.0, 1.0, 0.0, 0.0])).item()
    0.5
    """
    values = norms.double()
    return values.sum(-1).square() / (values.square().sum(-1) * values.shape[-1])


def gradient_effective_share(norms: Tensor) -> Tensor:
    """e^{H(w)} / N of norms (..., samples), w their shares of the sum.

    >>> round(gradient_effective_share(torch.tensor([1.0, 1.0, 0.0, 0.0])).item(), 12)
    0.5
    """
    values = norms.double()
    weights = values / values.sum(-1, keepdim=True)
    return torch.special.entr(weights).sum(-1).exp() / values.shape[-1]
