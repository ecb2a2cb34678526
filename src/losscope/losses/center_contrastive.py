"""Center contrastive loss (paper B calls it CCL): softmax over a bank of class centers with a cosine margin, and a pull.

    ℓᵢ = -log e^{κ(cos θ_y - m)} / (e^{κ(cos θ_y - m)} + Σ_{j ≠ y} e^{κ cos θ_j}) + λ |zᵢ - c_y|²

Always active; the pull of size 2λ sin θ_y never ends. λ = 0 leaves CosFace's loss, λ = m = 0 the normalized softmax.

A documented reading, not a verified original. Verified: a bank of class-wise centers that a contrastive loss compares
with queries, updated at once, without mining (abstract of Cai, Xiong and Tian, "Center Contrastive Loss for Metric
Learning", arXiv 2308.00458). From a re-implementation by others: the formula, κ = 64, m = 0.2, λ = 1, centers trained by
gradient; it writes -2λ cos θ_y for the pull, which differs by the constant 2λ and makes the loss negative. Not verified:
all numbers, and whether the centers are trained or averaged (`momentum`). A second re-implementation has no pull.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import relu

from losscope.losses.binding import along
from losscope.losses.reductions import indicator
from losscope.losses.softmax import class_cosines, softplus
from losscope.types import LossTerms, Samples


def center_contrastive(
    embeddings: Tensor,
    samples: Samples,
    *,
    proxies: Tensor,
    margin: float | Tensor = 0.2,
    scale: float | Tensor = 64.0,
    center_weight: float | Tensor = 1.0,
) -> LossTerms:
    """Terms (..., samples) for `embeddings` (..., samples, dim) and centers `proxies` (..., classes, dim).

    Both are scaled to unit length. `margin` m >= 0 in units of cosine, `scale` κ > 0, `center_weight` λ >= 0. An outlier
    has no term.

    Relations: CosFace in pytorch-metric-learning is this with `center_weight=0` and margin 0.35; "contrastive-center
    loss" (Qi and Su 2017), a ratio of distances, is something else.

    >>> w = torch.eye(2)
    >>> one = Samples(torch.tensor([0]), torch.tensor([True]))
    >>> z = torch.tensor([[0.6, 0.8]])
    >>> values = [center_contrastive(z, one, proxies=w, margin=0.0, scale=1.0, center_weight=λ).values for λ in (0.0, 1.0)]
    >>> [round(value.item(), 4) for value in values]  # the second adds |z - c|² = 0.8
    [0.7981, 1.5981]
    """
    own, against, valid = class_cosines(embeddings, samples, proxies, scale)
    values = softplus(against - along(scale, own.ndim) * (own - along(margin, own.ndim)))
    values = values + along(center_weight, own.ndim) * relu(2 - 2 * own)  # rounding may pass 1
    return LossTerms(values * indicator(valid, values.dtype), valid)


def center_contrastive_residual(
    embeddings: Tensor,
    samples: Samples,
    *,
    proxies: Tensor,
    margin: float | Tensor = 0.2,
    scale: float | Tensor = 64.0,
    center_weight: float | Tensor = 1.0,
) -> LossTerms:
    """1 - q of the own class, margin included: what the softmax still misses, whatever the pull."""
    values, valid = center_contrastive(
        embeddings, samples, proxies=proxies, margin=margin, scale=scale, center_weight=0.0
    )
    return LossTerms(-torch.expm1(-values), valid)
