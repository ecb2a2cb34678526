"""Lists of queries that are their own gallery: a pair is computed once and serves both of its ends.

Every query gets its level from a sample of columns first. Then tiles above the diagonal are compared with the levels
of their rows and of their columns; what their columns keep waits for the turn of these queries. Where more would wait
than there is room for, the queries are taken in panels, and only pairs within a panel are computed once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator

import torch
from torch import Tensor

from losscope.evaluation.kernels import in_order_of, places, reaches
from losscope.evaluation.labels import LabelSets, ranges
from losscope.evaluation.ranking import Candidates, Lists, Ranking
from losscope.neighbors import floor_of_level, level_of

BITS = 9
SIDE = 1 << BITS  # of a tile: 1 MB of similarities, which stay in cache
WAITING = 2**23  # candidates that wait: 64 MB
LEVEL = 22  # bits of a level: those of similarities from -2 to 2
ZERO = 2 ** (LEVEL - 1)  # stands for the level 0
TIED = 2  # times as many candidates as expected in a sample: most of them are ties

Part = tuple[Tensor, Tensor]
"""Candidates of a tile's queries, int32: row in the tile and level as one number; item."""


class MirroredRanking(Ranking):
    """A ranking of unit vectors that are both queries and gallery, with x · y and y · x equal to the last bit."""

    multiple = SIDE

    def lists(
        self, rows: Tensor, depth: Tensor, *, votes: int = 0, block: int | None = None, tries: int = 0
    ) -> Iterator[Lists]:
        """As those of `Ranking`, in another order of queries."""
        assert self.own is not None
        place = self.own[rows]
        asked = depth.clamp(max=self.offered).clamp_min(self.voting(votes))
        panel = 0 if tries or block is not None else self._panel(asked)
        floors = self._floors(rows, place, asked) if panel > SIDE else None
        if floors is None:
            yield from super().lists(rows, depth, votes=votes, block=block, tries=tries)
            return
        position = torch.full((len(self.gallery),), -1, device=rows.device)  # in `rows`, of the query at each place
        position[place] = torch.arange(len(rows), device=rows.device)
        left = torch.ones_like(rows, dtype=torch.bool)
        for first, part in self._tiles(floors, panel):
            mine = position[first : first + SIDE]
            found, enough = self._of_tile(part, mine, asked, votes)
            left[mine[enough]] = False
            if len(enough):
                yield from self._sorted_in_parts(rows[mine[enough]], found, votes)
        if bool(left.any()):
            yield from super().lists(rows[left], depth[left], votes=votes, tries=1)

    def _panel(self, asked: Tensor) -> int:
        """How many rows to take together, 0 for none; of the pairs among them each is computed once.

        A quarter of the candidates that a panel's queries find among themselves waits, when most do.
        """
        sample = self.sample(self.shown)
        if self.offered <= sample or 2 * len(asked) < self.shown:
            return 0
        if isinstance(self.labels, LabelSets) and self.relevance.rows_at_once < SIDE:
            return 0  # relevance to sets is a mask over the gallery: too wide for a tile's queries at once
        share = float(self.sample_place(asked, sample, tries=0).clamp(max=sample).mean()) / sample  # that is kept
        panels = max(1, math.ceil(math.sqrt(share / 4 / WAITING) * self.shown))
        return SIDE * math.ceil(self.shown / panels / SIDE)

    def _floors(self, rows: Tensor, place: Tensor, asked: Tensor) -> Tensor | None:
        """The least similarity (places,) that each place's query keeps, infinite where nobody asks; None where much more
        than asked for is tied at these levels, as in a collapsed space."""
        sample = self.sample(self.shown)
        floors = self.gallery.new_full((len(self.gallery),), torch.inf)
        reached = 0
        for some in torch.split(asked.argsort(stable=True), SIDE):
            tile = (self.points(rows[some]) @ self.gallery[:sample].T)[: len(some)]
            inside = (place[some] < sample).nonzero().squeeze(1)
            tile[inside, place[some][inside]] = -torch.inf
            floor = floor_of_level(self.first_level(tile, asked[some], tries=0))
            reached += int((tile >= floor.unsqueeze(1)).sum())
            floors[place[some]] = floor
        return floors if reached <= TIED * float(self.sample_place(asked, sample, tries=0).sum()) else None

    def _tiles(self, floors: Tensor, panel: int) -> Iterator[tuple[int, Part]]:
        """First place and candidates of each tile of queries. Ends early where more wait than expected: great ties."""
        waiting: dict[int, list[Part]] = defaultdict(list)
        similarities = self.gallery.new_empty(SIDE, SIDE)
        spread = torch.empty_like(similarities)
        mask = torch.empty(SIDE, SIDE, dtype=torch.bool, device=floors.device)
        tiles = range(0, len(self.gallery), SIDE)
        kept = 0
        for first in tiles:
            begin = first - first % panel
            # Comparing with as many numbers as there are is faster.
            spread.copy_(floors[first : first + SIDE].unsqueeze(1).expand_as(spread))
            for second in tiles:
                if begin <= second < first:
                    continue  # in its turn
                torch.mm(self.gallery[first : first + SIDE], self.gallery[second : second + SIDE].T, out=similarities)
                if second == first:
                    similarities.fill_diagonal_(-torch.inf)
                similarities[:, max(0, self.shown - second) :] = -torch.inf
                flat = places(reaches(similarities, spread, mask))
                waiting[first].append(_part(similarities, flat, flat >> BITS, second + (flat & (SIDE - 1))))
                kept += len(flat)
                if first < second < begin + panel:
                    flat = places(reaches(similarities, floors[second : second + SIDE].unsqueeze(0), mask))
                    waiting[second].append(_part(similarities, flat, flat & (SIDE - 1), first + (flat >> BITS)))
                    kept += len(flat)
                if kept > WAITING + WAITING // 2:
                    return
            keys, items = (torch.cat(part) for part in zip(*waiting.pop(first), strict=True))
            kept -= len(keys)
            yield first, (keys, items)

    def _of_tile(self, part: Part, mine: Tensor, asked: Tensor, votes: int) -> tuple[Candidates, Tensor]:
        """The candidates of the tile's queries that ask and have enough, and the rows (rows,) of the tile of these."""
        key, item = part
        row = key >> LEVEL
        order, length = in_order_of(row, SIDE), torch.bincount(row, minlength=SIDE)
        enough = (mine >= 0) & (length >= asked[mine])
        if votes and self.labeled < self.shown:
            enough &= torch.bincount(row[self.voter[item]], minlength=SIDE) >= self.voting(votes)
        enough = enough.nonzero().squeeze(1)
        start, length = (length.cumsum(0) - length)[enough], length[enough]
        order = order[ranges(start, length)]
        place = ranges(torch.zeros_like(length), length)
        row = torch.arange(len(length), device=key.device).repeat_interleave(length)
        level = (key[order] & (2**LEVEL - 1)).sub_(ZERO).float()
        found = Candidates(row, place, item[order].long(), level, length, torch.ones_like(length, dtype=torch.bool))
        return found, enough


def _part(similarities: Tensor, flat: Tensor, row: Tensor, item: Tensor) -> Part:
    level = level_of(similarities.view(-1)[flat]).int().add_(ZERO)
    return (row.int() << LEVEL).bitwise_or_(level), item.int()
