"""How many dimensions the embeddings use."""

from __future__ import annotations

import torch
from torch import Tensor


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
