"""k-NN accuracy from nearest labeled items: one vote each, ties shared, as `knn_accuracy` of classification.

Items tied at the k-th place share the places that are left. A tied vote goes to the smallest label.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from losscope.evaluation.ranking import Nearest

EQUAL = 1e-9  # votes nearer than this are equal: shares of a place are not exact in floating point


def right_votes(nearest: Nearest, truth: Tensor, ks: Sequence[int]) -> dict[int, Tensor]:
    """k -> whether (rows,) the k nearest vote for the label `truth` (rows,); float64, 0 or 1."""
    found = {}
    for k in ks:
        winner = _winner(nearest.level, nearest.label, k)
        for row, (level, label) in nearest.whole.items():
            winner[row] = _winner(level.unsqueeze(0), label.unsqueeze(0), k)[0]
        for row, mode in nearest.modes.items():  # any k share their places among all of the tie
            winner[row] = mode
        found[k] = (winner == truth).double()
    return found


def right_of_counts(
    row: Tensor, level: Tensor, label: Tensor, count: Tensor, truth: Tensor, ks: Sequence[int], *, none: int
) -> dict[int, Tensor]:
    """The same of items that are counted: `count` (entries,) items of a query `row` at a level with a label, in order of
    row and falling level; those with the label `none` don't vote. Each query (rows,) has the label `truth`.
    """
    votes = label != none
    row, level, label, count = row[votes], level[votes], label[votes], count[votes]
    near = _before(row, level, count) < max(ks)  # beyond the tie at the deepest k nothing votes
    row, level, label, count = row[near], level[near], label[near], count[near]
    length = torch.bincount(row, minlength=len(truth))
    place = torch.arange(len(row), device=row.device) - (length.cumsum(0) - length)[row]
    width = max(1, int(length.max()))
    levels = level.new_full((len(truth), width), -torch.inf)
    labels, counts = label.new_zeros(len(truth), width), count.new_zeros(len(truth), width)
    levels[row, place], labels[row, place], counts[row, place] = level, label, count
    return {k: (_winner(levels, labels, k, counts) == truth).double() for k in ks}


def _before(row: Tensor, level: Tensor, count: Tensor) -> Tensor:
    """Items (entries,) of the same row that come before the entry's tie."""
    fresh = torch.ones_like(row, dtype=torch.bool)
    fresh[1:] = (row[1:] != row[:-1]) | (level[1:] != level[:-1])
    above = count.cumsum(0) - count
    first = fresh.nonzero().squeeze(1)
    new_row = torch.ones_like(row, dtype=torch.bool)
    new_row[1:] = row[1:] != row[:-1]
    base = above[new_row.nonzero().squeeze(1)][new_row.cumsum(0) - 1]
    return above[first][fresh.cumsum(0) - 1] - base


def _weights(level: Tensor, k: int, count: Tensor) -> Tensor:
    """Votes (rows, entries) of `count` items each at these levels, the nearest k together k (or all, if there are fewer)."""
    total = count.sum(1, keepdim=True)
    reached = (count.cumsum(1) >= total.clamp(1, k)).int().argmax(1, keepdim=True)
    last = level.gather(1, reached)
    nearer, tied = (level > last) * count, (level == last) * count
    places = total.clamp(max=k) - nearer.sum(1, keepdim=True)
    return nearer.double() + tied.double() * places / tied.sum(1, keepdim=True).clamp_min(1)


def _winner(level: Tensor, label: Tensor, k: int, count: Tensor | None = None) -> Tensor:
    """The label (rows,) with the most votes of the k nearest, levels falling: sums over runs of equal labels, once they
    are sorted. `count` (rows, entries) says how many items each stands for, one if not given.
    """
    count = level.isfinite().long() if count is None else count
    weight = _weights(level, k, count)
    label, order = label.sort(dim=1, stable=True)
    weight = weight.gather(1, order)
    end = torch.ones_like(label, dtype=torch.bool)
    end[:, :-1] = label[:, 1:] != label[:, :-1]
    so_far = weight.cumsum(1)
    before = torch.where(end, so_far, 0.0).cummax(1).values.roll(1, dims=1)
    before[:, 0] = 0.0
    total = torch.where(end, so_far - before, -1.0)
    first = (total >= total.amax(1, keepdim=True) - EQUAL).int().argmax(1)  # the smallest label of those with the most
    return label.gather(1, first.unsqueeze(1)).squeeze(1)
