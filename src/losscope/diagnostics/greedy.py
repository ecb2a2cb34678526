"""GREEDINESS as paper A defines it, effort spent on what is satisfied already, measured the same way for every loss.

A sample is satisfied if the nearest other sample of its batch, by cosine, is of its class:

    greedy fraction = Σ_{i satisfied} n_i / Σ n_i,        n_i the tangential gradient norm of sample i
    greedy ratio    = greedy fraction / share of satisfied samples

A ratio of 1 is blind to satisfaction, 0 leaves alone what is satisfied. Samples without a partner of their class, such
as outliers, can't be satisfied and don't count; outliers are neighbors all the same, of another class than anybody's.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.neighbors import RESOLUTION
from losscope.types import OUTLIER


def satisfied(embeddings: Tensor, labels: Tensor) -> Tensor:
    """How likely (..., samples) the nearest other sample is of a sample's class: 1 or 0, but for ties; NaN for a sample
    without a partner.

    embeddings (..., samples, dim) of any length, labels (..., samples) or (samples,). As in retrieval, similarities
    nearer than `RESOLUTION` are tied, and each of the tied is as likely the nearest: where all embeddings are equal
    everybody has its chance (N_c - 1)/(N - 1), and not 0 or 1 by the order of rows.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.8, 0.2]])
    >>> satisfied(z, torch.tensor([0, 0, 1, 1])).tolist()
    [1.0, 1.0, 1.0, 0.0]
    """
    points = normalize(embeddings.double(), dim=-1)
    steps = (points @ points.transpose(-1, -2) / RESOLUTION).round_()
    steps.diagonal(dim1=-2, dim2=-1).fill_(-torch.inf)
    nearest = steps == steps.amax(-1, keepdim=True)
    same = (labels.unsqueeze(-1) == labels.unsqueeze(-2)) & (labels != OUTLIER).unsqueeze(-1)
    same = same & ~torch.eye(labels.shape[-1], dtype=torch.bool, device=labels.device)
    likely = (nearest & same).sum(-1) / nearest.sum(-1).double()
    return torch.where(same.any(-1), likely, torch.nan)


def greedy_fraction(norms: Tensor, satisfied: Tensor) -> Tensor:
    """Share of the gradient norms (..., samples) that falls on satisfied samples; NaN where there is no gradient."""
    counted = torch.where(satisfied.isnan(), 0.0, norms.double())
    return (counted * satisfied.nan_to_num(0.0)).sum(-1) / counted.sum(-1)


def satisfied_share(satisfied: Tensor) -> Tensor:
    """Share of satisfied samples among those that can be: the base rate of the greedy fraction."""
    return satisfied.nanmean(-1)


def greedy_ratio(norms: Tensor, satisfied: Tensor) -> Tensor:
    """Greedy fraction over its base rate; NaN where nobody is satisfied."""
    return greedy_fraction(norms, satisfied) / satisfied_share(satisfied)
