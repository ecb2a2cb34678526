"""Tuples of a batch made from its labels: all pairs, all triplets, and what mining leaves of them.

A sample labelled -1 (an outlier) is never half of a positive pair; two outliers form no pair. Leading run axes
pass through. Mining sees distances without gradient, by the loss's own distance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.distances import distances, entries, gram_squared_distances, rows
from losscope.types import OUTLIER, BatchTriplets, Pairs, Triplets, Tuples


def same_class(labels: Tensor) -> Tensor:
    """(..., N, N) bool: two different samples of one class; labels (..., N) int64."""
    unlike_itself = labels.masked_fill(labels == OUTLIER, OUTLIER - 1)  # so that an outlier matches nobody
    same = labels.unsqueeze(-1) == unlike_itself.unsqueeze(-2)
    same.diagonal(dim1=-2, dim2=-1).fill_(False)
    return same


def all_pairs(labels: Tensor) -> Pairs:
    """All N(N-1)/2 pairs i < j of a batch with labels (..., N)."""
    first, second = torch.triu_indices(labels.shape[-1], labels.shape[-1], offset=1, device=labels.device)
    shape = (*labels.shape[:-1], len(first))
    one, other = labels.gather(-1, first.expand(shape)), labels.gather(-1, second.expand(shape))
    same = (one == other) & (one != OUTLIER)
    return Pairs(first, second, same, same | (one != other))


def positive_pairs(labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Ordered positive pairs (anchor, positive, valid), each (..., P), packed to the front; P is the largest count.

    The number of pairs depends on the data: make them where the labels are at hand, outside the training step.
    """
    samples = labels.shape[-1]
    same = same_class(labels).flatten(-2)
    count = same.sum(-1, keepdim=True)
    valid = torch.arange(int(count.max()), device=labels.device) < count
    entry = torch.zeros_like(valid, dtype=torch.int64).masked_scatter_(valid, same.nonzero()[:, -1])
    return entry // samples, entry % samples, valid


def different_class(labels: Tensor) -> Tensor:
    """(..., N, N) bool: row and column are of different classes (outliers count as one class)."""
    return labels.unsqueeze(-1) != labels.unsqueeze(-2)


def all_triplets(labels: Tensor) -> BatchTriplets:
    """All triplets of a batch with labels (..., N)."""
    return BatchTriplets(*positive_pairs(labels), different_class(labels))


def batch_hard(embeddings: Tensor, labels: Tensor) -> Triplets:
    """For each anchor its farthest positive and its nearest negative: (..., N) triplets.

    Hermans, Beyer and Leibe, "In Defense of the Triplet Loss", 2017. The order of distances and of squared
    distances is the same, so is the choice. An anchor without positive or negative has no term.
    """
    squared = gram_squared_distances(embeddings.detach())
    same = same_class(labels)
    differs = different_class(labels)
    positive = torch.where(same, squared, -1.0).argmax(-1)
    negative = torch.where(differs, squared, torch.inf).argmin(-1)
    anchor = torch.arange(labels.shape[-1], device=labels.device).expand_as(labels)
    return Triplets(anchor, positive, negative, same.any(-1) & differs.any(-1))


def semi_hard(embeddings: Tensor, triplets: BatchTriplets, *, margin: float, squared: bool) -> Triplets:
    """For each positive pair the nearest negative that is farther than the positive, but by less than the margin:
    (..., pairs) triplets. A pair without such a negative has no term.

    Schroff, Kalenichenko and Philbin, "FaceNet", 2015, section 3.2.
    """
    anchor, positive, paired, differs = triplets
    matrix = gram_squared_distances(embeddings.detach())
    matrix = matrix if squared else distances(matrix)
    to_positive = entries(matrix, anchor, positive).unsqueeze(-1)
    to_negative = rows(torch.where(differs, matrix, torch.inf), anchor)
    candidate = (to_negative > to_positive) & (to_negative < to_positive + margin)
    negative = torch.where(candidate, to_negative, torch.inf).argmin(-1)
    return Triplets(anchor, positive, negative, candidate.any(-1) & paired)


def for_each_run(tuples: Tuples, runs: int) -> Tuples:
    """The tuples with a run axis on every part: a part that all runs share is repeated, as a view."""
    own_axes = {"differs": 2}  # every other part of a tuple is a list
    return type(tuples)(
        *(
            part if part.ndim > own_axes.get(name, 1) else part.expand(runs, *part.shape)
            for name, part in tuples._asdict().items()
        )
    )
