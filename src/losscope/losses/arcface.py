"""ArcFace: softmax over class vectors with an angular margin.

    ℓᵢ = -log e^{κ cos(θ_y + m)} / (e^{κ cos(θ_y + m)} + Σ_{j ≠ y} e^{κ cos θ_j}),        θ_j the angle of zᵢ and w_j

with cos(θ + m) continued as cos θ - m sin m beyond θ = π - m, so that it goes on falling. Always active; at θ_y = 0 it
still pulls by κ(1 - q_y) sin m (a cusp). Deng et al., "ArcFace", CVPR 2019: κ = 64, m = 0.5.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from losscope.losses.binding import along
from losscope.losses.reductions import indicator
from losscope.losses.softmax import class_cosines, softplus
from losscope.types import LossTerms, Samples

NEAREST = 1 - 1e-6
"""Cosines of a sample with its own class vector are kept below this: the derivative of the angle is infinite at 1."""


def arcface(
    embeddings: Tensor,
    samples: Samples,
    *,
    proxies: Tensor,
    margin: float | Tensor = 0.5,
    scale: float | Tensor = 64.0,
) -> LossTerms:
    """Terms (..., samples) for `embeddings` (..., samples, dim) and class vectors `proxies` (..., classes, dim).

    Both are scaled to unit length. `margin` m >= 0 in radians, `scale` κ > 0. An outlier has no term.

    Relations: pytorch-metric-learning takes the margin in degrees (28.6); it and insightface let the gradient become
    infinite at cos θ_y = 1, where this one is 0.

    >>> w = torch.eye(2)
    >>> one = Samples(torch.tensor([0]), torch.tensor([True]))
    >>> round(arcface(torch.tensor([[0.6, 0.8]]), one, proxies=w, margin=0.0, scale=1.0).values.item(), 4)
    0.7981
    """
    own, against, valid = class_cosines(embeddings, samples, proxies, scale)
    own = own.clamp(-NEAREST, NEAREST)
    angle = torch.as_tensor(along(margin, own.ndim), dtype=own.dtype, device=own.device)
    turned = own * torch.cos(angle) - (1 - own.square()).sqrt() * torch.sin(angle)
    beyond = own < torch.cos(math.pi - angle)
    shifted = torch.where(beyond, own - angle * torch.sin(angle), turned)
    values = softplus(against - along(scale, own.ndim) * shifted)
    return LossTerms(values * indicator(valid, values.dtype), valid)


def arcface_residual(
    embeddings: Tensor,
    samples: Samples,
    *,
    proxies: Tensor,
    margin: float | Tensor = 0.5,
    scale: float | Tensor = 64.0,
) -> LossTerms:
    """1 - q of the own class, margin included."""
    values, valid = arcface(embeddings, samples, proxies=proxies, margin=margin, scale=scale)
    return LossTerms(-torch.expm1(-values), valid)
