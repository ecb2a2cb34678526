"""What queries have found in the pieces of a gallery that were seen so far: it merges, and the order decides nothing.

Of each query the items at the head of its list are kept, counted by level and class, so that great ties take no room:

    entry   (query, level, class) -> how many items          a list is as deep as asked, whole ties included
    best    the level of the query's best relevant item, also where it lies beyond the list

Entries add up, so that `update` over any pieces and `merge` over any workers give what one pass gives: counts exactly.
What lies below the first `floor` of a query is not kept; a floor guessed too high is told by `lacking`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.evaluation.kernels import places, reaches
from losscope.evaluation.labels import Labels, LabelSets, Relevance, ranges
from losscope.neighbors import floor_of_level, level_of

QUERIES, ITEMS = 512, 4096  # of a tile: 8 MB of similarities
WAITING = 2**21  # candidates that are counted together
FEWEST = 16  # rows of a product: one of fewer may be summed in another order, and tear ties apart
LEVEL_BITS, LOWEST = 23, -(2.0**22)  # of a key; below the level of any similarity, above that of -inf
MOST_BITS = 62  # of a whole key


@dataclass(frozen=True, eq=False)
class Asked:
    """Queries and what is asked for them. Classes are 0 to classes - 1 and -1 for none; of sets, only who is relevant."""

    points: Tensor  # (queries, dim') float32
    labels: Labels  # (queries,)
    rows: Tensor | None  # (queries,) rows of the gallery that they are
    depth: Tensor  # (queries,) items, at least
    votes: int  # items with a class, at least; 0 for sets
    floor: Tensor  # (queries,) float32 similarity below which no item is wanted
    classes: int

    def __len__(self) -> int:
        return len(self.points)

    @property
    def class_bits(self) -> int:
        """Bits of a class in a key; with sets the classes are 0, relevant, and 1."""
        return max(1, (1 if isinstance(self.labels, LabelSets) else self.classes).bit_length())

    @property
    def most(self) -> int:
        """Queries that fit in a key."""
        return 1 << (MOST_BITS - LEVEL_BITS - self.class_bits)

    def of(self, start: int, stop: int) -> Asked:
        """Some of the queries."""
        some = slice(start, stop)
        labels = self.labels
        chosen = torch.arange(start, min(stop, len(self)), device=self.points.device)
        return Asked(
            self.points[some], labels.take(chosen) if isinstance(labels, LabelSets) else labels[some],
            None if self.rows is None else self.rows[some], self.depth[some], self.votes, self.floor[some], self.classes,
        )  # fmt: skip

    def without_floor(self, rows: Tensor) -> Asked:
        """The queries `rows`, for which every item is wanted that is deep enough."""
        labels = self.labels.take(rows) if isinstance(self.labels, LabelSets) else self.labels[rows]
        own = None if self.rows is None else self.rows[rows]
        floor = torch.full_like(self.floor[rows], LOWEST)
        return Asked(self.points[rows], labels, own, self.depth[rows], self.votes, floor, self.classes)

    def to(self, device: torch.device) -> Asked:
        return Asked(
            self.points.to(device), self.labels.to(device), None if self.rows is None else self.rows.to(device),
            self.depth.to(device), self.votes, self.floor.to(device), self.classes,
        )  # fmt: skip


class Standings:
    """The counts of some queries. `keys` (entries,) ascend by query, then fall by level; `counts` (entries,) go with them."""

    def __init__(self, asked: Asked) -> None:
        assert len(asked) <= asked.most, "too many queries for one key"
        device = asked.points.device
        self.asked, self.bits = asked, asked.class_bits
        self.keys = torch.empty(0, dtype=torch.int64, device=device)
        self.counts = torch.empty(0, dtype=torch.int64, device=device)
        self.best = torch.full((len(asked),), -torch.inf, device=device)
        self._floor = asked.floor.unsqueeze(1).clone()
        self._new: list[Tensor] = []
        self._waiting = 0

    def update(self, points: Tensor, labels: Labels, first: int) -> None:
        """Look at the items (n, dim') with labels (n,), the rows of the gallery from `first` on."""
        for start in range(0, len(points), ITEMS):
            stop = min(start + ITEMS, len(points))
            here = torch.arange(start, stop, device=points.device)
            own = labels.take(here) if isinstance(labels, LabelSets) else labels[start:stop]
            shown = padded(points[start:stop])
            for at in range(0, len(self.asked), QUERIES):
                self._tile(slice(at, min(at + QUERIES, len(self.asked))), shown, own, first + start)

    def merge(self, state: tuple[Tensor, Tensor, Tensor]) -> None:
        """Take in the `state` of other items of the gallery."""
        keys, counts, best = (part.to(self.keys.device) for part in state)
        self._settle(keys, counts)
        self.best = torch.maximum(self.best, best)

    def state(self) -> tuple[Tensor, Tensor, Tensor]:
        """Keys, counts and best levels, for a worker to send."""
        self._settle()
        return self.keys, self.counts, self.best

    def entries(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Query, level (float32), class and count (entries,) each; lists falling in level."""
        level = (2**LEVEL_BITS - 1 - (self.keys >> self.bits & (2**LEVEL_BITS - 1))).float() + LOWEST
        return self.keys >> self.bits + LEVEL_BITS, level, self.keys & (2**self.bits - 1), self.counts

    def hits(self) -> Tensor:
        """Whether each entry (entries,) is of relevant items."""
        row, _, of, _ = self.entries()
        labels = self.asked.labels
        found: Tensor = of == (0 if isinstance(labels, LabelSets) else labels[row])
        return found

    def lacking(self, offered: Tensor, voters: Tensor) -> Tensor:
        """Queries whose lists are too short though `offered` items (queries,) were there, and `voters` with a class."""
        row = self.keys >> self.bits + LEVEL_BITS
        found, voting = (_sums(row, part, len(self.asked)) for part in (self.counts, self._voting()))
        short = (found < torch.minimum(self.asked.depth, offered)) | (voting < voters.clamp(max=self.asked.votes))
        return short.nonzero().squeeze(1)

    def replace(self, rows: Tensor, other: Standings) -> None:
        """Put the lists of the queries `other`, found anew, in the place of those of the queries `rows`, ascending."""
        shift = self.bits + LEVEL_BITS
        kept = ~torch.isin(self.keys >> shift, rows)
        moved = (rows[other.keys >> shift] << shift) | (other.keys & (2**shift - 1))
        keys, order = torch.cat([self.keys[kept], moved]).sort()
        self.keys, self.counts = keys, torch.cat([self.counts[kept], other.counts])[order]
        self.best[rows] = other.best

    def _tile(self, rows: slice, shown: Tensor, labels: Labels, first: int) -> None:
        count = len(labels)
        whole = padded(self.asked.points[rows]) @ shown.T
        tile = whole[: rows.stop - rows.start, :count].contiguous()
        if self.asked.rows is not None:
            own = self.asked.rows[rows] - first
            inside = ((own >= 0) & (own < count)).nonzero().squeeze(1)
            tile[inside, own[inside]] = -torch.inf
        of = self._relevance(rows, tile, labels)
        flat = places(reaches(tile, self._floor[rows], torch.empty_like(tile, dtype=torch.bool)))
        row = flat // count
        if isinstance(labels, LabelSets):
            classes = (~of.view(-1)[flat]).long()
        else:
            classes = labels[flat - row * count]
            classes = torch.where(classes < 0, self.asked.classes, classes)
        level = (2**LEVEL_BITS - 1 - (level_of(tile.view(-1)[flat]) - LOWEST)).long()
        self._new.append((((row + rows.start) << LEVEL_BITS | level) << self.bits) | classes)
        self._waiting += len(flat)
        if self._waiting > WAITING:
            self._settle()

    def _relevance(self, rows: slice, tile: Tensor, labels: Labels) -> Tensor:
        """Note the best relevant level of some queries; returns the mask of relevant pairs of sets."""
        mine = self.asked.labels
        if isinstance(labels, LabelSets):
            assert isinstance(mine, LabelSets)
            chosen = torch.arange(rows.start, rows.stop, device=tile.device)
            of_sets = Relevance(mine.take(chosen), labels, None)
            mask = torch.cat([of_sets.mask(some) for some in torch.split(chosen - rows.start, of_sets.rows_at_once)])
            level = torch.where(mask, level_of(tile), -torch.inf).amax(1)
        else:
            assert isinstance(mine, Tensor)
            row, item = same_class(mine[rows], labels)
            mask = tile.new_empty(0)
            level = tile.new_full((len(tile),), -torch.inf)
            level.scatter_reduce_(0, row, level_of(tile[row, item]), "amax")
        self.best[rows] = torch.maximum(self.best[rows], level)
        return mask

    def _settle(self, keys: Tensor | None = None, counts: Tensor | None = None) -> None:
        """Count what is waiting, or the entries of another; cut each list below its depth and raise its floor."""
        if keys is None or counts is None:
            if not self._waiting:
                return
            keys, counts = torch.unique_consecutive(torch.cat(self._new).sort().values, return_counts=True)
            self._new, self._waiting = [], 0
        if len(self.keys):
            keys, order = torch.cat([self.keys, keys]).sort()
            counts = torch.cat([self.counts, counts])[order]
            keys, place = torch.unique_consecutive(keys, return_inverse=True)
            counts = _sums(place, counts, len(keys))
        self.keys, self.counts = keys, counts
        self._cut()

    def _cut(self) -> None:
        """Leave out the ties that begin at the asked depth or below it."""
        row = self.keys >> self.bits + LEVEL_BITS
        _, tie = torch.unique_consecutive(self.keys >> self.bits, return_inverse=True)
        before, enough = self._before(row, tie, self.counts, self.asked.depth)
        kept = before < self.asked.depth[row]
        if self.asked.votes:
            votes = torch.full_like(self.asked.depth, self.asked.votes)
            before, voted = self._before(row, tie, self._voting(), votes)
            kept |= before < self.asked.votes
            enough &= voted
        self.keys, self.counts = self.keys[kept], self.counts[kept]
        _, level, _, _ = self.entries()
        least = torch.full_like(self.best, torch.inf).scatter_reduce_(0, row[kept], level, "amin")
        raised = torch.maximum(self._floor[:, 0], floor_of_level(least))
        self._floor = torch.where(enough, raised, self._floor[:, 0]).unsqueeze(1)

    def _before(self, row: Tensor, tie: Tensor, counts: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Items (entries,) of the query's list before the entry's tie, and whether lists (queries,) have the `wanted`."""
        total = _sums(row, counts, len(self.asked))
        ties = _sums(tie, counts, int(tie[-1]) + 1 if len(tie) else 0)
        above = (ties.cumsum(0) - ties)[tie] - (total.cumsum(0) - total)[row]
        return above, total >= wanted

    def _voting(self) -> Tensor:
        """Items (entries,) with a class."""
        return torch.where((self.keys & (2**self.bits - 1)) == self.asked.classes, 0, self.counts)


def same_class(mine: Tensor, theirs: Tensor) -> tuple[Tensor, Tensor]:
    """Rows and columns (pairs,) each where the classes (n,) and (m,) are equal, and not -1."""
    ordered, order = theirs.sort()
    first = torch.searchsorted(ordered, mine)
    lengths = torch.where(mine < 0, 0, torch.searchsorted(ordered, mine, right=True) - first)
    row = torch.arange(len(mine), device=mine.device).repeat_interleave(lengths)
    return row, order[ranges(first, lengths)]


def padded(points: Tensor) -> Tensor:
    """At least FEWEST rows, zeros below the points (n, dim)."""
    if len(points) >= FEWEST:
        return points
    return torch.cat([points, points.new_zeros(FEWEST - len(points), points.shape[1])])


def _sums(place: Tensor, values: Tensor, count: int) -> Tensor:
    return values.new_zeros(count).index_add_(0, place, values)
