"""How many items come before each query's nearest relevant one, counted and never ranked.

Recall@K and the reciprocal rank need no more. Rows are sorted by class; each query's best relevant level is found
among its class, then tiles of similarities are compared with it. Where the queries are the gallery each pair is
computed once: a tile above the diagonal serves its rows and its columns.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.evaluation.kernels import reaches
from losscope.evaluation.measures import mean_reciprocal
from losscope.evaluation.ties import Order, missed_probability
from losscope.neighbors import floor_of_level, level_of
from losscope.types import OUTLIER

SIDE = 512  # of a tile: 1 MB of similarities, which stay in cache
STEP = 128  # rows whose comparisons fit in a byte


@dataclass(frozen=True)
class FirstHits:
    """Where the nearest relevant item of each query stands: (queries,) int64 each; `found` is 0 without one."""

    before: Tensor  # irrelevant items nearer than it
    tied: Tensor  # irrelevant items tied with it
    found: Tensor  # relevant items tied, itself among them

    def recall(self, k: int, order: Order) -> Tensor:
        """Probability (queries,) of a hit among the first k."""
        if order == "best":
            return (self.before < k).double()
        if order == "worst":
            return (self.before + self.tied < k).double()
        size, drawn = (self.tied + self.found).double(), (k - self.before).double()
        missed = missed_probability(size, self.found.double(), drawn.clamp_min(0).minimum(size))
        return torch.where(drawn > 0, 1 - missed, 0.0)

    def reciprocal_rank(self, order: Order) -> Tensor:
        """Mean (queries,) of 1/rank of the first hit."""
        if order == "best":
            return 1 / (self.before + 1).double()
        if order == "worst":
            return 1 / (self.before + self.tied + 1).double()
        found = 1 / (self.before + 1).double()
        several = self.tied > 0
        part = (self.before[several], (self.tied + self.found)[several], self.found[several])
        found[several] = mean_reciprocal(*part)
        return found


@dataclass(frozen=True)
class _Side:
    """Points sorted by class, padded to whole tiles by zero vectors, and their labels."""

    points: Tensor  # (tiles · side, dim)
    labels: Tensor  # (rows,) ascending
    order: Tensor  # (rows,) where each row came from
    ends: list[tuple[int, int]]  # first and last label of each tile
    side: int

    @classmethod
    def of(cls, points: Tensor, labels: Tensor, side: int) -> _Side:
        labels, order = labels.sort(stable=True)
        padded = points.new_zeros(-(-len(points) // side) * side, points.shape[1])
        torch.index_select(points, 0, order, out=padded[: len(points)])
        starts = torch.arange(0, len(labels), side, device=labels.device)
        last = (starts + side).clamp(max=len(labels)) - 1
        ends = list(zip(labels[starts].tolist(), labels[last].tolist(), strict=True))
        return cls(padded, labels, order, ends, side)

    def tile(self, number: int) -> Tensor:
        return self.points[number * self.side : (number + 1) * self.side]

    def labels_of(self, number: int) -> Tensor:
        return self.labels[number * self.side : (number + 1) * self.side]


def first_hits(
    queries: Tensor,
    labels: Tensor,
    gallery: Tensor,
    gallery_labels: Tensor,
    *,
    same: bool,
    symmetric: bool,
    progress: Callable[[int, int], object] | None = None,
) -> FirstHits:
    """The first hits of queries (n, dim) with classes (n,) among gallery points (m, dim) with classes (m,).

    `same`: query i is gallery row i, and is left out of its own list. `symmetric`: moreover the two are one tensor, so that
    x · y and y · x are one number to the last bit.
    """
    side = min(SIDE, -(-max(len(queries), len(gallery)) // 64) * 64)
    asks = _Side.of(queries, labels, side)
    shown = asks if symmetric else _Side.of(gallery, gallery_labels, side)
    count = _Count(asks, shown, same)
    tiles = len(asks.ends)
    work = sum(len(shown.ends) - (one if symmetric else 0) for one in range(tiles))
    done = 0
    for one in range(tiles):
        count.best_of(one)
    for one in range(tiles):
        count.hold(one)
        for other in range(one if symmetric else 0, len(shown.ends)):
            count.tile(one, other, both=symmetric and other > one)
        done += len(shown.ends) - (one if symmetric else 0)
        if progress is not None:
            progress(done * len(queries) // work, len(queries))
    return count.found()


class _Count:
    """Running counts of all queries, in the order of their classes."""

    def __init__(self, asks: _Side, shown: _Side, same: bool) -> None:
        self.asks, self.shown, self.same = asks, shown, same
        points, side = asks.points, asks.side
        self.level = points.new_full((len(points),), -torch.inf)  # of the best relevant item
        self.relevant = torch.zeros(len(points), dtype=torch.int64, device=points.device)  # how many at that level
        self.reached = torch.zeros(2, len(points), dtype=torch.int64, device=points.device)  # at it, above it
        self.similarities = points.new_empty(side, side)
        self.mask = torch.empty(side, side, dtype=torch.bool, device=points.device)
        self.floors = points.new_empty(2, side, side)
        self.column_floors = points.new_empty(2, 1, len(points))

    def rows(self, number: int) -> slice:
        return slice(number * self.asks.side, (number + 1) * self.asks.side)

    def similarities_of(self, one: int, other: int) -> Tensor:
        return torch.mm(self.asks.tile(one), self.shown.tile(other).T, out=self.similarities)

    def same_class(self, one: int, other: int) -> tuple[Tensor, Tensor]:
        """View of the tile's rows and columns that are there, and where their classes are equal."""
        mine, theirs = self.asks.labels_of(one), self.shown.labels_of(other)
        return self.similarities[: len(mine), : len(theirs)], mine.unsqueeze(1) == theirs

    def best_of(self, one: int) -> None:
        """The best relevant level of a tile of queries, and how many items have it."""
        first, last = self.asks.ends[one]
        rows = self.rows(one)
        mine = slice(rows.start, rows.start + len(self.asks.labels_of(one)))
        for other, (start, end) in enumerate(self.shown.ends):
            if end < first or start > last:
                continue
            self.similarities_of(one, other)
            tile, equal = self.same_class(one, other)
            if self.same:
                equal &= self.asks.order[mine].unsqueeze(1) != self.shown.order[self.rows(other)]
            level = torch.where(equal, level_of(tile), -torch.inf)
            best = torch.maximum(self.level[mine], level.amax(1))
            kept = torch.where(self.level[mine] == best, self.relevant[mine], 0)
            self.relevant[mine] = kept + ((level == best.unsqueeze(1)) & equal).sum(1)
            self.level[mine] = best
        asks = (self.asks.labels_of(one) != OUTLIER) & self.level[mine].isfinite()
        self.relevant[mine] = torch.where(asks, self.relevant[mine], 0)
        level = torch.full_like(self.level[rows], torch.inf)
        level[: len(asks)] = torch.where(asks, self.level[mine], torch.inf)
        for floors, added in zip(self.column_floors, (0, 1), strict=True):
            floors[0, rows] = floor_of_level(level + added)

    def hold(self, one: int) -> None:
        """Spread out the floors of a tile's rows: comparing with as many numbers as there are is twice as fast."""
        for spread, floors in zip(self.floors, self.column_floors, strict=True):
            spread.copy_(floors[0, self.rows(one)].unsqueeze(1).expand_as(spread))

    def tile(self, one: int, other: int, *, both: bool) -> None:
        """Count the irrelevant items of a tile that reach the level of its rows and, with `both`, of its columns."""
        (first, last), (start, end) = self.asks.ends[one], self.shown.ends[other]
        if first == last == start == end:
            return  # one class: nothing is irrelevant
        similarities = self.similarities_of(one, other)
        if start <= last and first <= end:
            tile, equal = self.same_class(one, other)
            tile.masked_fill_(equal, -torch.inf)
        similarities[:, len(self.shown.labels_of(other)) :] = -torch.inf
        for reached, floors in zip(self.reached, self.floors, strict=True):
            reached[self.rows(one)] += _along_rows(reaches(similarities, floors, self.mask))
        if both:
            for reached, floors in zip(self.reached, self.column_floors, strict=True):
                reached[self.rows(other)] += _along_columns(
                    reaches(similarities, floors[:, self.rows(other)], self.mask)
                )

    def found(self) -> FirstHits:
        """In the order in which the queries came."""
        at, above = self.reached[:, : len(self.asks.order)]
        parts = (above, at - above, self.relevant[: len(self.asks.order)])
        return FirstHits(*(torch.empty_like(part).index_copy_(0, self.asks.order, part) for part in parts))


def _along_rows(mask: Tensor) -> Tensor:
    """Number of true values in each row of a bool (side, side): eight bytes are added at a time, none overflows."""
    words = mask.view(torch.int64).sum(1)
    return words.view(torch.uint8).view(-1, 8).sum(1)


def _along_columns(mask: Tensor) -> Tensor:
    side = mask.shape[1]
    words = torch.stack([part.sum(0) for part in torch.split(mask.view(torch.int64), STEP)])
    return words.view(torch.uint8).view(-1, side).sum(0)
