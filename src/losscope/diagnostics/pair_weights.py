"""Pair weights w_ij = |∂L/∂s_ij|: how hard a loss pulls or pushes each pair of a batch, s_ij its cosine.

The one view in which all losses look alike (General Pair Weighting, Wang et al. 2019). The mean is the amount and has the
loss's scale: 1/temperature, and 1/pairs, since a mean over terms gives every pair its part of one. The histogram has
decades of w over its mean over pairs, so that its shape compares between losses of any scale: all in one decade if
all pairs are weighted alike, spread if few pairs take most of the weight.
"""

from __future__ import annotations

import torch
from torch import Tensor

DECADES = range(-5, 3)
"""Items of the histogram: weights in [10^k, 10^(k+1)) of the mean weight. The first also takes all below, such as the
0 of a satisfied hinge, the last all above."""


def pair_weight_mean(weights: Tensor) -> Tensor:
    """Mean of pair weights (..., pairs)."""
    return weights.double().mean(-1)


def pair_weight(weights: Tensor) -> Tensor:
    """Share of pairs in each of `DECADES` of weights (..., pairs) over their mean: (..., decades), NaN if all are 0.

    >>> shares = pair_weight(torch.tensor([4.0, 0.0, 0.0, 0.0]))
    >>> dict(zip(DECADES, shares.tolist()))
    {-5: 0.75, -4: 0.0, -3: 0.0, -2: 0.0, -1: 0.0, 0: 0.25, 1: 0.0, 2: 0.0}
    """
    values = weights.double()
    relative = values / values.mean(-1, keepdim=True)
    # A rounding error below a power of ten belongs to it.
    decade = (relative * (1 + 1e-12)).log10().floor().clamp(DECADES[0], DECADES[-1])
    shares = torch.stack([(decade == power).double().mean(-1) for power in DECADES], dim=-1)
    return torch.where(relative[..., :1].isnan(), torch.nan, shares)


def pair_weight_positive(weights: Tensor, positive: Tensor) -> Tensor:
    """Part of the weight (..., pairs) that is on positive pairs; `positive` (..., pairs) bool.

    1/2 where terms are made of differences of cosines (squared triplet, N-pair, InfoNCE): every pull is paid by pushes.
    NaN if all weights are 0.
    """
    values = weights.double()
    return (values * positive).sum(-1) / values.sum(-1)
