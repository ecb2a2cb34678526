"""Measures of retrieval from ranked lists, as expectations over all orders of tied items, or at their extremes.

A list of candidates holds whole ties, relevant items first: the best order. The worst one puts them last. Between
them, every place of a tie of `size` items with `found` relevant ones is relevant with probability found/size, and a
relevant item at place i of the tie has on average 1 + (i - 1)(found - 1)/(size - 1) relevant ones up to itself
(McSherry and Najork, "Computing Information Retrieval Performance Measures Efficiently in the Presence of Tied
Scores", ECIR 2008).

recall_at_k           a hit among the first k: the metric-learning sense
retrieved_share_at_k  share of the relevant items among the first k: what information retrieval calls recall
precision_at_k        share of the first k that is relevant (of k, also where the gallery is smaller)
ndcg_at_k             Σ_{i ≤ k} [i is relevant]/log₂(i + 1), divided by the most that it can be (Järvelin and Kekäläinen, 2002)
r_precision           share of the first R that is relevant, R the number of relevant items
map_at_r              1/R Σ_{i ≤ R} [i is relevant] · precision at i (Musgrave, Belongie and Lim, ECCV 2020)
mrr                   1/rank of the first relevant item (Voorhees, TREC-8, 1999)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.evaluation.kernels import places
from losscope.evaluation.labels import ranges
from losscope.evaluation.ranking import Lists
from losscope.evaluation.ties import Order, missed_probability

BY_K = ("recall_at_k", "retrieved_share_at_k", "precision_at_k", "ndcg_at_k", "knn_accuracy")
SINGLE = ("r_precision", "map_at_r", "mrr")
MEASURES = (*BY_K, *SINGLE)
DEEP = {"r_precision", "map_at_r"}
"""Measures that need as many places as a query has relevant items."""

Scores = dict[str, Any]
"""Measure -> (queries,) float64, or for a measure by k: k -> (queries,)."""


@dataclass(frozen=True)
class Ties:
    """Ties of at least two items: (ties,) int64 each."""

    row: Tensor
    start: Tensor  # items before the tie
    size: Tensor
    before: Tensor  # relevant items before it
    found: Tensor  # relevant items in it


def ties_of(level: Tensor, length: Tensor, counted: Tensor) -> Ties:
    """All ties of lists with levels (rows, places), and `counted` (rows, places) relevant items up to each place."""
    same = level[:, 1:] == level[:, :-1]
    same &= torch.arange(1, level.shape[1], device=level.device) < length.unsqueeze(1)
    flat = places(same)
    row = flat // max(1, same.shape[1])
    place = flat - row * same.shape[1]
    follows = (row[1:] == row[:-1]) & (place[1:] == place[:-1] + 1)
    fresh = torch.cat([follows.new_ones(min(1, len(row))), ~follows])
    first = fresh.nonzero().squeeze(1)
    size = torch.cat([first[1:], first.new_full((min(1, len(first)),), len(row))]) - first + 1
    row, start = row[first], place[first]
    before = torch.where(start > 0, counted[row, (start - 1).clamp_min(0)], 0).long()
    return Ties(row, start, size, before, counted[row, start + size - 1].long() - before)


def scores_of(lists: Lists, wanted: Tensor, ks: Sequence[int], measures: Sequence[str], order: Order) -> Scores:
    """What each query (rows,) with `wanted` (rows,) relevant items gets. `mrr` is NaN where a list has none of them."""
    hit = lists.hit
    counted = hit.cumsum(1, dtype=torch.int32)
    ties = ties_of(lists.level, lists.length, counted)
    if order == "worst":
        hit = _relevant_last(hit, ties)
        counted = hit.cumsum(1, dtype=torch.int32)
    deepest = max([*ks, *([int(wanted.max())] if DEEP & set(measures) else [])])
    depth = min(deepest, hit.shape[1])
    expected = hit[:, :depth].double()  # probability that each place is relevant
    patch = _Patch.of(ties, depth) if order == "random" else None
    if patch is not None:
        expected[patch.row, patch.place] = patch.found / patch.size
    among = expected.cumsum(1)  # relevant items up to each place
    found: Scores = {}
    for name in measures:
        if name == "recall_at_k":
            found[name] = {k: _hit(counted, ties, k, order) for k in ks}
        elif name == "retrieved_share_at_k":
            found[name] = {k: among[:, min(k, depth) - 1] / wanted for k in ks}
        elif name == "precision_at_k":
            found[name] = {k: among[:, min(k, depth) - 1] / k for k in ks}
        elif name == "ndcg_at_k":
            found[name] = {k: _ndcg(expected, wanted, k) for k in ks}
        elif name == "r_precision":
            found[name] = among.gather(1, (wanted - 1).unsqueeze(1)).squeeze(1) / wanted
        elif name == "map_at_r":
            found[name] = _average_precision(hit, counted, wanted, patch, depth)
        elif name == "mrr":
            found[name] = _reciprocal_rank(hit, ties, order)
    return found


@dataclass(frozen=True)
class _Patch:
    """Every place of every tie, down to a depth: (places,) each; float64 but for row and place."""

    row: Tensor
    place: Tensor
    inside: Tensor  # place within the tie, from 1
    size: Tensor
    before: Tensor
    found: Tensor

    @classmethod
    def of(cls, ties: Ties, depth: int) -> _Patch:
        shown = (torch.minimum(ties.start + ties.size, ties.start.new_full((), depth)) - ties.start).clamp_min(0)
        of_tie = torch.arange(len(shown), device=shown.device).repeat_interleave(shown)
        place = ranges(ties.start, shown)
        inside = place - ties.start[of_tie] + 1
        numbers = (inside, ties.size[of_tie], ties.before[of_tie], ties.found[of_tie])
        return cls(ties.row[of_tie], place, *(part.double() for part in numbers))


def _relevant_last(hit: Tensor, ties: Ties) -> Tensor:
    place = ranges(ties.start, ties.size)
    of_tie = torch.arange(len(ties.row), device=hit.device).repeat_interleave(ties.size)
    found = hit.clone()
    found[ties.row[of_tie], place] = place - ties.start[of_tie] >= (ties.size - ties.found)[of_tie]
    return found


def _hit(counted: Tensor, ties: Ties, k: int, order: Order) -> Tensor:
    shown = min(k, counted.shape[1])
    found = (counted[:, shown - 1] > 0).double()
    if order == "random":
        open_ = (ties.start < shown) & (ties.start + ties.size > shown) & (ties.before == 0)
        row, start, size, relevant = (part[open_] for part in (ties.row, ties.start, ties.size, ties.found))
        found[row] = 1 - missed_probability(size.double(), relevant.double(), (shown - start).double())
    return found


def _ndcg(expected: Tensor, wanted: Tensor, k: int) -> Tensor:
    discount = 1 / torch.arange(2, k + 2, dtype=torch.float64, device=expected.device).log2()
    shown = min(k, expected.shape[1])
    ideal = discount.cumsum(0)[wanted.clamp(max=k) - 1]
    return (expected[:, :shown] * discount[:shown]).sum(1) / ideal


def _average_precision(hit: Tensor, counted: Tensor, wanted: Tensor, patch: _Patch | None, depth: int) -> Tensor:
    rank = torch.arange(1, depth + 1, dtype=torch.float64, device=hit.device)
    gain = torch.where(hit[:, :depth], counted[:, :depth], 0) / rank
    if patch is not None:
        others = torch.where(patch.size > 1, (patch.found - 1) / (patch.size - 1), 0.0)
        up_to = patch.before + 1 + (patch.inside - 1) * others
        gain[patch.row, patch.place] = patch.found / patch.size * up_to / (patch.place + 1)
    up_to_rank = gain.cumsum(1)  # one after the other: how wide the list is does not change a bit
    return up_to_rank.gather(1, (wanted - 1).clamp(max=depth - 1).unsqueeze(1)).squeeze(1) / wanted


def _reciprocal_rank(hit: Tensor, ties: Ties, order: Order) -> Tensor:
    found = torch.where(hit.any(1), 1 / (hit.int().argmax(1) + 1).double(), torch.nan)
    if order == "random":
        first = (ties.before == 0) & (ties.found > 0)
        found[ties.row[first]] = mean_reciprocal(ties.start[first], ties.size[first], ties.found[first])
    return found


def mean_reciprocal(start: Tensor, size: Tensor, found: Tensor) -> Tensor:
    """Mean of 1/rank of the first relevant item of a tie (ties,): E 1/(start + X), where X = x has the probability
    C(size - x, found - 1) / C(size, found). Equal ties are computed once: a collapsed space has one for each class.
    """
    (start, size, found), which = torch.unique(torch.stack([start, size, found]), dim=1, return_inverse=True)
    lengths = size - found + 1
    of_tie = torch.arange(len(size), device=size.device).repeat_interleave(lengths)
    x = ranges(torch.ones_like(size), lengths).double()
    size_, found_ = size[of_tie].double(), found[of_tie].double()
    # P(X = x) = P(X >= x) · found / (size - x + 1), and P(X >= x) is that of missing with x - 1 draws
    still = missed_probability(size_, found_, x - 1)
    terms = still * found_ / (size_ - x + 1) / (start[of_tie].double() + x)
    return torch.zeros(len(size), dtype=torch.float64, device=size.device).index_add_(0, of_tie, terms)[which]
