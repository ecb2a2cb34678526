"""Ranked lists with ties: what a query gets on average over all orders of tied items, and at worst and at best.

A tie of `size` items, `found` of them relevant, that begins after `start` items, `before` of them relevant:
each order of its items is equally likely. A relevant item moved forward never lowers any of the measures, so they
are lowest where the relevant items of each tie come last, and highest where they come first.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Order = Literal["random", "worst", "best"]
"""Which order of the items of a tie: the mean over all of them, or an extreme one."""


@dataclass(frozen=True)
class Ranked:
    """The first `depth` places of each query in order of similarity, and the tie that each place belongs to.

    All (queries, depth) float64: `start` how many items rank strictly before the tie, `before` how many relevant
    ones of them, `size` and `found` how many items and relevant items the tie holds (counted in the whole gallery).
    """

    start: Tensor
    before: Tensor
    size: Tensor
    found: Tensor

    def at(self, place: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Start, before, size and found of one place (queries,) of each query, from 0."""
        start, before, size, found = (
            part.gather(1, place.unsqueeze(1)).squeeze(1) for part in (self.start, self.before, self.size, self.found)
        )
        return start, before, size, found


def rank_with_ties(similarities: Tensor, relevant: Tensor, depth: int) -> Ranked:
    """Rank a gallery (queries, m) by similarity; `relevant` (queries, m) bool."""
    values, order = similarities.topk(min(depth + 1, similarities.shape[1]), dim=1)
    goes_on = values[:, depth:] == values[:, depth - 1 : depth] if values.shape[1] > depth else values[:, :0]
    values, order = values[:, :depth], order[:, :depth]
    hit = relevant.gather(1, order).double()
    fresh = torch.ones_like(hit, dtype=torch.bool)
    fresh[:, 1:] = values[:, 1:] != values[:, :-1]
    group = fresh.cumsum(1) - 1
    size = torch.zeros_like(hit).scatter_add_(1, group, torch.ones_like(hit))
    found = torch.zeros_like(hit).scatter_add_(1, group, hit)
    # Where the last tie goes on beyond `depth`, count it in the whole gallery.
    rows = goes_on.any(1).nonzero().squeeze(1)
    tied = similarities[rows] == values[rows, -1:]
    last = group[rows, -1]
    size[rows, last] = tied.sum(1).double()
    found[rows, last] = (tied & relevant[rows]).sum(1).double()
    start, before = size.cumsum(1) - size, found.cumsum(1) - found
    return Ranked(*(part.gather(1, group) for part in (start, before, size, found)))


def hit_probability(ranked: Ranked, shown: Tensor, order: Order) -> Tensor:
    """Probability (queries,) that at least one of the first `shown` (queries,) items is relevant."""
    if order != "random":
        return (relevant_among(ranked, shown, order) > 0).double()
    start, before, size, found = ranked.at(shown - 1)
    return torch.where(before > 0, 1.0, 1.0 - missed_probability(size, found, shown - start))


def missed_probability(size: Tensor, found: Tensor, drawn: Tensor) -> Tensor:
    """Probability that none of `drawn` items of a tie is among its `found` relevant ones: float64 of one shape."""
    missed = (_log_choose(size - found, drawn) - _log_choose(size, drawn)).exp()
    return torch.where(drawn > size - found, 0.0, missed)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma((n - k).clamp_min(0) + 1)


def relevant_among(ranked: Ranked, shown: Tensor, order: Order) -> Tensor:
    """Number (queries,) of relevant items among the first `shown` (queries,)."""
    start, before, size, found = ranked.at(shown - 1)
    drawn = shown - start
    if order == "random":
        return before + found * drawn / size
    return before + (torch.minimum(drawn, found) if order == "best" else (drawn - (size - found)).clamp_min(0))


def average_precision(ranked: Ranked, wanted: Tensor, order: Order) -> Tensor:
    """MAP@R contribution (queries,) with R = `wanted` (queries,)."""
    start, before, size, found = ranked.start, ranked.before, ranked.size, ranked.found
    rank = torch.arange(1, start.shape[1] + 1, dtype=torch.float64, device=start.device)
    inside = rank - start  # place within the tie, from 1
    if order == "random":
        others = torch.where(size > 1, (found - 1) / (size - 1).clamp_min(1), 0.0)
        gain = found / size * (before + 1 + (inside - 1) * others) / rank
    else:
        first = torch.zeros_like(size) if order == "best" else size - found  # irrelevant items that come first
        gain = torch.where((inside > first) & (inside - first <= found), (before + inside - first) / rank, 0.0)
    return torch.where(rank <= wanted.unsqueeze(1), gain, 0.0).sum(1) / wanted
