"""How many dimensions the embeddings use."""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.diagnostics.variance import ClassStatistics, class_deviations


def effective_rank(embeddings: Tensor) -> Tensor:
    """exp(-Σ p log p) with p the singular values of the embeddings (..., samples, dim), divided by their sum.

    Between 1 (one direction: dimensional collapse) and dim. The matrix is not centered, as in RankMe. Roy and
    Vetterli 2007; Garrido et al., "RankMe", 2023. Computed from the eigenvalues of ZᵀZ in float64.

    >>> round(effective_rank(torch.eye(4)).item(), 6)
    4.0
    """
    points = embeddings.double()
    eigenvalues = torch.linalg.eigvalsh(points.transpose(-1, -2) @ points)
    singular = eigenvalues.clamp_min(0).sqrt()
    share = singular / singular.sum(-1, keepdim=True).clamp_min(torch.finfo(torch.float64).tiny)
    rank: Tensor = torch.special.entr(share).sum(-1).exp()
    return rank


def within_class_effective_rank(
    embeddings: Tensor, labels: Tensor, statistics: ClassStatistics | None = None
) -> Tensor:
    """Effective rank of the embeddings (..., samples, dim) with their class's centroid taken off, all classes together.

    Tells variance that is kept in many directions from variance in one. Outliers and classes with one sample are left
    out; `statistics` of the same embeddings save a pass. NaN where every class is one point.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.5], [0.0, 1.0], [0.0, 3.0]])
    >>> round(within_class_effective_rank(z, torch.tensor([0, 0, 1, 1])).item(), 6)
    1.0
    """
    deviations = class_deviations(embeddings, labels, statistics)
    spread = deviations.square().sum((-2, -1)) > 0
    return torch.where(spread, effective_rank(deviations), torch.nan)
