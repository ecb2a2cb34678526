"""GREEDINESS, comparable: how the gradient is spread over the samples of a batch.

From the tangential gradient norms n_i = |(I - zzᵀ) ∂L/∂z_i| of N samples, with w_i = n_i / Σ n:

    share at q        least share of samples that carry the part q of Σ n              primary, q = 90 %
    participation     (Σ n)² / (N Σ n²)                                                  1 even, 1/N a single sample
    effective share   e^{H(w)} / N,  H(w) = -Σ w log w                                   the same two ends

If k of N norms are equal and the rest 0, the last two are k/N, the active ratio of a hinge, and the first is ⌈qk⌉/N. All
are free of the loss's scale, so they stand beside a magnitude: tiny and even looks like large and even. Where every
norm is 0 there is nothing to share: NaN. Everything is in float64, whatever the norms come in, and never waits for the
device.
"""

from __future__ import annotations

import torch
from torch import Tensor

CURVE = tuple(range(10, 101, 10))
"""Percent of the gradient norm at which the curve of shares is read."""

REACHED = 1 - 1e-12
"""Part of a goal that reaches it: a rounding error of the sum asks for no further sample."""


def gradient_share(norms: Tensor, share: float = 0.9) -> Tensor:
    """Least share of samples whose `norms` (..., samples) sum to `share` of the total: (...).

    A count over N, not interpolated: between 1/N and 1. Which of several equal norms come first doesn't matter.

    >>> gradient_share(torch.tensor([8.0, 1.0, 1.0, 0.0])).item()
    0.5
    """
    return _share(_carried(norms), share)


def gradient_share_90(norms: Tensor) -> Tensor:
    """Least share of samples that carry 90 % of the gradient norm, from norms (..., samples)."""
    return gradient_share(norms, 0.9)


def gradient_share_curve(norms: Tensor) -> Tensor:
    """The share at 10, 20, ... 100 %: (..., 10) from norms (..., samples)."""
    carried = _carried(norms)
    return torch.stack([_share(carried, percent / 100) for percent in CURVE], dim=-1)


def _carried(norms: Tensor) -> Tensor:
    """What the 1, 2, ... N largest norms sum to."""
    return norms.double().sort(dim=-1, descending=True).values.cumsum(-1)


def _share(carried: Tensor, share: float) -> Tensor:
    total = carried[..., -1:]
    count = (carried < total * (share * REACHED)).sum(-1) + 1
    defined = (total > 0) & (total < torch.inf)
    return torch.where(defined.squeeze(-1), count.double() / carried.shape[-1], torch.nan)


def gradient_participation(norms: Tensor) -> Tensor:
    """Participation ratio (Σ n)² / (N Σ n²) of norms (..., samples).

    >>> gradient_participation(torch.tensor([1.0, 1.0, 0.0, 0.0])).item()
    0.5
    """
    weights = _weights(norms)
    return 1 / (weights.square().sum(-1) * weights.shape[-1])


def gradient_effective_share(norms: Tensor) -> Tensor:
    """e^{H(w)} / N of norms (..., samples), w their shares of the sum.

    >>> round(gradient_effective_share(torch.tensor([1.0, 1.0, 0.0, 0.0])).item(), 12)
    0.5
    """
    weights = _weights(norms)
    entropy: Tensor = torch.special.entr(weights).sum(-1)
    return entropy.exp() / weights.shape[-1]


def _weights(norms: Tensor) -> Tensor:
    """Shares of the sum: squared, they don't underflow however small the norms are."""
    values = norms.double()
    return values / values.sum(-1, keepdim=True)
