"""Tuples of a batch made from its labels: all of each kind, and what mining leaves of them.

A sample labelled -1 (an outlier) is never half of a positive pair; two outliers form no pair. Leading run axes
pass through. Mining sees distances without gradient, by the loss's own distance.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.distances import distances, entries, every_row, gram_squared_distances, rows
from losscope.losses.binding import along
from losscope.types import (
    OUTLIER,
    BatchBlocks,
    BatchTriplets,
    Blocks,
    Contrasts,
    Loss,
    Pairs,
    Samples,
    Triplets,
    Tuples,
)


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


def all_contrasts(labels: Tensor) -> Contrasts:
    """Each sample of a batch with labels (..., N) against all others; an outlier is a negative, never an anchor."""
    every = every_row(labels.shape[-1], labels.device)
    # As bytes: an `and` of booleans that broadcasts is twenty times slower on a CPU.
    inlier = (labels != OUTLIER).unsqueeze(-1).view(torch.uint8)
    negative = (different_class(labels).view(torch.uint8) & inlier).view(torch.bool)
    return Contrasts(every, every, same_class(labels), negative)


def all_samples(labels: Tensor) -> Samples:
    """Each sample of a batch with labels (..., N), which are the places of its class vectors."""
    return Samples(labels.clamp_min(0), labels != OUTLIER)


def all_blocks(labels: Tensor, classes: int) -> BatchBlocks:
    """All N-pair blocks of a batch with labels (..., N): each sample is the anchor of each other one of its class once.

    `classes` is the width of a block: the number of classes of the split that the batch is from, so that a batch gives
    the same whatever is stacked with it.
    """
    place, own, rank = ranked(labels, classes)
    place = place.transpose(-1, -2)
    return BatchBlocks(place.clamp_min(0), place >= 0, own, rank)


def single_blocks(labels: Tensor, classes: int) -> Blocks:
    """N-pair blocks that use each sample of a batch with labels (..., N) at most once: samples 0 and 1 of every class,
    then 2 and 3, and so on. A class's last odd sample is left out."""
    place, _, _ = ranked(labels, classes)
    last = place.shape[-1] // 2 * 2
    anchor, positive = (place[..., start:last:2].transpose(-1, -2) for start in (0, 1))
    return Blocks(anchor.clamp_min(0), positive.clamp_min(0), (anchor >= 0) & (positive >= 0))


def ranked(labels: Tensor, classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """(..., classes, ranks) the row of the r-th sample of each class of a batch with labels (..., N), -1 where there is
    none; and for each sample (..., N) the place of its class and its rank in it, -1 for an outlier.

    The classes of a batch in order of their labels; at least two ranks. Reads the labels: for the host.
    """
    samples = labels.shape[-1]
    flat = labels.reshape(-1, samples)
    order = flat.sort(dim=-1, stable=True)
    starts = torch.ones_like(flat, dtype=torch.bool)
    starts[:, 1:] = order.values[:, 1:] != order.values[:, :-1]
    first = torch.where(starts, torch.arange(samples, device=labels.device), 0).cummax(-1).values
    inlier = order.values != OUTLIER
    rank = torch.where(inlier, torch.arange(samples, device=labels.device) - first, -1)
    own = ((starts & inlier).cumsum(-1) - 1).clamp_min(0)
    width = min(classes, samples)  # no batch has more classes than samples
    place = torch.full((len(flat), width, max(int(rank.max()) + 1, 2)), -1, device=labels.device)
    run = torch.arange(len(flat), device=labels.device).unsqueeze(-1).expand_as(flat)
    place[run[inlier], own[inlier], rank[inlier]] = order.indices[inlier]
    back = order.indices.argsort(-1)
    return (
        place.view(*labels.shape[:-1], *place.shape[-2:]),
        own.gather(-1, back).view_as(labels),
        rank.gather(-1, back).view_as(labels),
    )


def all_tuples(loss: Loss, labels: Tensor, classes: int) -> Tuples:
    """All tuples that a loss takes, of a batch with labels (..., N); `classes` as in `all_blocks`."""
    if loss.kind == "pair":
        return all_pairs(labels)
    if loss.kind == "triplet":
        return all_triplets(labels)
    if loss.kind == "sample":
        return all_samples(labels)
    return all_blocks(labels, classes) if loss.blocks else all_contrasts(labels)


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


def semi_hard(embeddings: Tensor, triplets: BatchTriplets, *, margin: float | Tensor, squared: bool) -> Triplets:
    """For each positive pair the nearest negative that is farther than the positive, but by less than the margin:
    (..., pairs) triplets. A pair without such a negative has no term.

    Schroff, Kalenichenko and Philbin, "FaceNet", 2015, section 3.2.
    """
    anchor, positive, paired, differs = triplets
    matrix = gram_squared_distances(embeddings.detach())
    matrix = matrix if squared else distances(matrix)
    to_positive = entries(matrix, anchor, positive).unsqueeze(-1)
    to_negative = rows(torch.where(differs, matrix, torch.inf), anchor)
    candidate = (to_negative > to_positive) & (to_negative < to_positive + along(margin, to_positive.ndim))
    negative = torch.where(candidate, to_negative, torch.inf).argmin(-1)
    return Triplets(anchor, positive, negative, candidate.any(-1) & paired)


def for_each_run(tuples: Tuples, runs: int) -> Tuples:
    """The tuples with a run axis on every part: a part that all runs share is repeated, as a view."""
    own_axes = {"differs": 2}  # most parts of a tuple are lists, the others matrices
    if isinstance(tuples, Blocks):
        own_axes = dict.fromkeys(Blocks._fields, 2)
    elif isinstance(tuples, BatchBlocks | Contrasts):
        own_axes = {"positive": 2, "there": 2, "negative": 2}
    return type(tuples)(
        *(
            part if part.ndim > own_axes.get(name, 1) else part.expand(runs, *part.shape)
            for name, part in tuples._asdict().items()
        )
    )
