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


def _weights(level: Tensor, k: int) -> Tensor:
    """Votes (rows, items) of items with these levels, the nearest k together k (or all, where there are fewer)."""
    counted = level.isfinite()
    last = level.gather(1, (counted.sum(1, keepdim=True).clamp(1, k) - 1))
    nearer, tied = (level > last) & counted, (level == last) & counted
    places = counted.sum(1, keepdim=True).clamp(max=k) - nearer.sum(1, keepdim=True)
    return nearer.double() + tied.double() * places / tied.sum(1, keepdim=True).clamp_min(1)


def _winner(level: Tensor, label: Tensor, k: int) -> Tensor:
    """The label (rows,) with the most votes of the k nearest: sums over runs of equal labels, once they are sorted."""
    label, order = label.sort(dim=1, stable=True)
    weight = _weights(level, k).gather(1, order)
    end = torch.ones_like(label, dtype=torch.bool)
    end[:, :-1] = label[:, 1:] != label[:, :-1]
    so_far = weight.cumsum(1)
    before = torch.where(end, so_far, 0.0).cummax(1).values.roll(1, dims=1)
    before[:, 0] = 0.0
    total = torch.where(end, so_far - before, -1.0)
    first = (total >= total.amax(1, keepdim=True) - EQUAL).int().argmax(1)  # the smallest label of those with the most
    return label.gather(1, first.unsqueeze(1)).squeeze(1)
