"""Class centers that follow the embeddings instead of being trained."""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.distances import unit_length
from losscope.losses.reductions import indicator
from losscope.types import Samples


def moved_centers(centers: Tensor, embeddings: Tensor, samples: Samples, momentum: float) -> Tensor:
    """norm(β c + (1 - β) x̄) for each class in a batch, x̄ the mean of its embeddings at unit length; other centers as
    they are, and all that embeddings that are not finite would reach.

    centers (..., classes, dim), embeddings (..., samples, dim), β = `momentum`.
    """
    places = torch.arange(centers.shape[-2], device=centers.device)
    own = indicator((samples.target.unsqueeze(-1) == places) & samples.valid.unsqueeze(-1), embeddings.dtype)
    own = own.expand(*embeddings.shape[:-1], centers.shape[-2])
    count = own.sum(-2).unsqueeze(-1)
    mean = own.transpose(-1, -2) @ unit_length(embeddings) / count.clamp_min(1)
    moved = unit_length(momentum * centers + (1 - momentum) * mean)
    return torch.where((count > 0) & moved.isfinite().all(-1, keepdim=True), moved, centers)
