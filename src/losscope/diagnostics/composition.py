"""What a batch is made of: classes, and who has a positive or a negative in it.

Labels (..., samples) int64; samples labelled -1 (outliers) are of no class: negatives of everybody, positives of
nobody. Leading axes, such as steps, pass through. Everything is counted by sorting, never by a samples x samples mask.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.types import OUTLIER


def batch_classes(labels: Tensor) -> Tensor:
    """Number of different classes: (...).

    >>> batch_classes(torch.tensor([3, 3, 7, -1])).item()
    2
    """
    ordered = labels.sort(dim=-1).values
    fresh = torch.ones_like(ordered, dtype=torch.bool)
    fresh[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    return (fresh & (ordered != OUTLIER)).sum(-1)


def batch_positive_share(labels: Tensor) -> Tensor:
    """Share of samples with another sample of their class in the batch: (...). 0: a loss has nothing to pull.

    >>> batch_positive_share(torch.tensor([3, 3, 7, -1])).item()
    0.5
    """
    ordered = labels.sort(dim=-1).values
    twin = (ordered[..., 1:] == ordered[..., :-1]) & (ordered[..., 1:] != OUTLIER)
    has = torch.zeros_like(ordered, dtype=torch.bool)
    has[..., 1:] |= twin
    has[..., :-1] |= twin
    return has.double().mean(-1)


def batch_negative_share(labels: Tensor) -> Tensor:
    """Share of samples with a sample of another class in the batch: (...). 0: a single-class batch, nothing to push.

    >>> batch_negative_share(torch.tensor([3, 3, 3])).item(), batch_negative_share(torch.tensor([3, 3, 7])).item()
    (0.0, 1.0)
    """
    several = (labels != labels[..., :1]).any(-1) | (labels == OUTLIER).any(-1)
    counted = several & torch.tensor(labels.shape[-1] > 1, device=labels.device)
    return counted.double()
