"""The first places of each query's list, exactly and with whole ties, without sorting the gallery.

The gallery is taken in a random order, so its first columns are a sample. Their quantile gives each query a level
that, almost always, more items reach than places are asked for, and few more; only these candidates are kept and
sorted. Where too few reach it, the query is asked again at a lower level: luck decides the time, never the result.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from losscope.evaluation.kernels import largest, places, reaches, sorted_rows
from losscope.evaluation.labels import Labels, LabelSets, Relevance
from losscope.neighbors import floor_of_level, level_of
from losscope.types import OUTLIER

SAMPLE = 2048  # columns that choose a level, at most
SLACK = 2
TILE = 2**19
CANDIDATES = 2**21  # kept at a time
COLUMNS = 16  # of points that are moved at a time
FEWEST = 16  # rows and columns of a product: one of fewer may be summed in another order, and tear ties apart
EMPTY = 2**31 - 2  # key beyond a query's last candidate: below all levels once it is negated, and no hit
BOTTOM = -(2.0**22)  # below the level of any similarity, above that of -inf


@dataclass(frozen=True)
class Lists:
    """The candidates of some queries in the order of their lists, and at least as many as places were asked for.

    A list holds whole ties: with an item, all items of its level. Relevant items come first in a tie.
    """

    queries: Tensor  # (rows,) which queries
    length: Tensor  # (rows,) candidates of each
    level: Tensor  # (rows, longest) int32, falling; EMPTY's level beyond the list
    hit: Tensor  # (rows, longest) bool
    nearest: Nearest | None  # the first labeled ones, on request


@dataclass(frozen=True)
class Nearest:
    """The nearest items that have a class, as many as votes were asked for; where the last tie goes on, all of them.

    Beyond a query's last item the level is -inf.
    """

    level: Tensor  # (rows, votes) float32, falling
    label: Tensor  # (rows, votes)
    whole: dict[int, tuple[Tensor, Tensor]]  # row -> level and label of all items down to the end of the last tie
    modes: dict[int, Tensor]  # row -> the most frequent label of all these, where they are one tie


def _in_order(points: Tensor, order: Tensor, multiple: int, *, taken: bool) -> Tensor:
    """Rows of `points` (m, dim) in this order, and zeros up to a multiple of `multiple` rows and at least FEWEST; in
    their own memory if they are `taken`."""
    rows = max(-(-len(points) // multiple) * multiple, FEWEST)
    if taken and len(points) == rows:
        for columns in torch.split(points, COLUMNS, dim=1):
            columns.copy_(columns[order])
        return points
    found = points.new_zeros(rows, points.shape[1])
    torch.index_select(points, 0, order, out=found[: len(points)])
    return found


class Ranking:
    """Lists of `queries` (n, dim) over a `gallery` (m, dim) of points.

    `own` (n,) is the place of each query in the gallery, which is left out of its list; None where the two differ.
    A gallery that is another tensor than the queries is taken: its rows are moved, so that no second copy is held.
    """

    multiple = 1  # of rows of the gallery

    def __init__(self, queries: Tensor, gallery: Tensor, labels: tuple[Labels, Labels], own: Tensor | None) -> None:
        order = torch.randperm(len(gallery), generator=torch.Generator().manual_seed(0)).to(gallery.device)
        of_queries, of_gallery = labels
        self.queries, self.shown = queries, len(gallery)
        self.gallery = _in_order(gallery, order, self.multiple, taken=gallery is not queries)
        self.labels: Labels = of_gallery.take(order) if isinstance(of_gallery, LabelSets) else of_gallery[order]
        self.own = None if own is None else order.argsort()[own]  # places of the queries
        self.relevance = Relevance(of_queries, self.labels, self.own)
        if isinstance(self.labels, Tensor):
            self.voter = self.labels != OUTLIER
            self.labeled = int(self.voter.sum())
        self.offered = len(gallery) - (own is not None)  # items that a query can be shown

    @cached_property
    def _classes(self) -> tuple[Tensor, Tensor]:
        """Labels of the gallery, ascending, and the place of each item's label among them."""
        assert isinstance(self.labels, Tensor)
        classes, places = torch.unique(self.labels, return_inverse=True)
        return classes, places

    def lists(
        self, rows: Tensor, depth: Tensor, *, votes: int = 0, block: int | None = None, tries: int = 0
    ) -> Iterator[Lists]:
        """Lists of the queries `rows`, at least `depth` (rows,) deep, and the `votes` nearest labeled items.

        They come in blocks, queries that ask deepest last, after them those of whom a level was too high; the more
        `tries` there were, the lower the level.
        """
        depth = depth.clamp(max=self.offered)
        while len(rows):
            order = depth.argsort(stable=True)
            rows, depth = rows[order], depth[order]
            again: list[tuple[Tensor, Tensor]] = []
            start = 0
            while start < len(rows):
                size = block or self._block(int(depth[start]))
                if isinstance(self.labels, LabelSets):
                    size = min(size, self.relevance.rows_at_once)
                chosen = slice(start, start + size)
                yield from self._block_of_lists(rows[chosen], depth[chosen], votes, tries, again)
                start += size
            rows, depth = (torch.cat(part) for part in zip(*again, strict=True)) if again else (rows[:0], depth[:0])
            tries += 1

    def voting(self, votes: int) -> int:
        """How many labeled items a query can be shown, of the `votes` that are asked for."""
        return min(votes, self.labeled - (self.own is not None)) if votes else 0

    def _block(self, depth: int) -> int:
        """Queries at a time, by bytes."""
        return max(1, min(256, CANDIDATES // max(1, 3 * depth)))

    def _block_of_lists(
        self, rows: Tensor, depth: Tensor, votes: int, tries: int, again: list[tuple[Tensor, Tensor]]
    ) -> Iterator[Lists]:
        """Those of one block; queries whose level was too high are put into `again`, with their depth."""
        found = self._candidates(rows, depth, votes, tries)
        if found is None:  # more than there is room for: great ties, or a deep list
            half = (len(rows) + 1) // 2
            yield from self._block_of_lists(rows[:half], depth[:half], votes, tries, again)
            yield from self._block_of_lists(rows[half:], depth[half:], votes, tries, again)
            return
        if not bool(found.enough.all()):
            again.append((rows[~found.enough], depth[~found.enough]))
            rows, found = rows[found.enough], found.of(found.enough)
        if len(rows):
            yield from self._sorted_in_parts(rows, found, votes)

    def _candidates(self, rows: Tensor, depth: Tensor, votes: int, tries: int) -> Candidates | None:
        """All items that reach a level likely to be deep enough; None for more than there is room for."""
        room = max(CANDIDATES, self.offered)
        points = self.points(rows)
        voting = self.voting(votes)
        asked = depth.clamp_min(voting)
        chunks = -(-len(self.gallery) // max(SAMPLE, TILE // len(points)))
        width = -(-len(self.gallery) // chunks)
        similarities = points.new_empty(len(points) * width)
        mask = torch.empty(similarities.shape, dtype=torch.bool, device=points.device)
        floors = points.new_full((len(rows), 1), BOTTOM)
        kept: list[tuple[Tensor, Tensor, Tensor, Tensor]] = []
        length, voters, total = torch.zeros_like(rows), torch.zeros_like(rows), 0
        for start in range(0, len(self.gallery), width):
            columns = self.gallery[start : start + width]
            product = similarities[: len(points) * len(columns)].view(len(points), len(columns))
            tile = torch.mm(points, columns.T, out=product)[: len(rows)]
            tile[:, self.shown - start :] = -torch.inf
            if self.own is not None:
                own = self.own[rows] - start
                inside = ((own >= 0) & (own < len(columns))).nonzero().squeeze(1)
                tile[inside, own[inside]] = -torch.inf
            if start == 0:
                floors = floor_of_level(self.first_level(tile, asked, tries)).unsqueeze(1)
            flat = places(reaches(tile, floors, mask[: tile.numel()].view(tile.shape)))
            total += len(flat)
            if total > room and len(rows) > 1:
                return None
            row = flat // len(columns)
            item = flat - row * len(columns) + start
            new = torch.bincount(row, minlength=len(rows))
            before = length - (new.cumsum(0) - new)
            kept.append(
                (row, torch.arange(len(flat), device=row.device) + before[row], item, level_of(tile.view(-1)[flat]))
            )
            length += new
            if voting and self.labeled < self.shown:
                voters += torch.bincount(row[self.voter[item]], minlength=len(rows))
        enough = length >= asked
        if voting and self.labeled < self.shown:
            enough &= voters >= voting
        row, place, item, level = (torch.cat(part) for part in zip(*kept, strict=True))
        return Candidates(row, place, item, level, length, enough)

    def points(self, rows: Tensor) -> Tensor:
        """Points (at least FEWEST, dim) of some queries, zeros below them."""
        found = self.queries.new_zeros(max(len(rows), FEWEST), self.queries.shape[1])
        found[: len(rows)] = self.queries[rows]
        return found

    def sample(self, columns: int) -> int:
        """How many of the first columns choose a level: a tenth of few, SAMPLE of many."""
        return min(SAMPLE, max(SAMPLE // 4, columns // 14), columns)

    def first_level(self, tile: Tensor, asked: Tensor, tries: int) -> Tensor:
        """A level (rows,) that at least `asked` (rows,) items are likely to reach, from a sample of columns."""
        sample = min(self.sample(self.shown) << tries, tile.shape[1])
        place = int(self.sample_place(asked.max(), sample, tries))
        if self.offered <= sample or place >= sample or tries > 4:
            return tile.new_full((len(tile),), BOTTOM)
        return level_of(largest(tile[:, :sample], place)).clamp_min(BOTTOM)

    def sample_place(self, asked: Tensor, sample: int, tries: int) -> Tensor:
        """The place in a sample of so many columns whose level at least `asked` items of the gallery are likely to reach."""
        share = asked.double() / max(1, self.offered) * sample
        place: Tensor = (share + SLACK * 2**tries * (share.sqrt() + 1)).ceil()
        return place

    def _sorted_in_parts(self, rows: Tensor, found: Candidates, votes: int) -> Iterator[Lists]:
        """Lists are as wide as the longest of them: the long ones of a block go by themselves."""
        share = max(CANDIDATES, self.offered) // len(rows)
        short = found.length <= share
        if bool(short.all()) or len(rows) == 1:
            yield self._sorted(rows, found, votes)
            return
        if not bool(short.any()):  # more candidates than there is room for, in lists of much the same length
            short = torch.arange(len(rows), device=rows.device) < len(rows) // 2
            yield from self._sorted_in_parts(rows[short], found.of(short), votes)
        else:
            yield self._sorted(rows[short], found.of(short), votes)
        yield from self._sorted_in_parts(rows[~short], found.of(~short), votes)

    def _sorted(self, rows: Tensor, found: Candidates, votes: int) -> Lists:
        hit = self.relevance.hits(rows, found.row, found.item)
        keys = -sorted_rows(found.padded(-(2 * found.level.int() + hit.int()), EMPTY))
        nearest = self._nearest(found, votes) if votes else None
        return Lists(rows, found.length, keys >> 1, (keys & 1).bool(), nearest)

    def _nearest(self, found: Candidates, votes: int) -> Nearest:
        assert isinstance(self.labels, Tensor)
        level = found.padded(torch.where(self.voter[found.item], found.level, -torch.inf), -torch.inf)
        item = found.padded(found.item, 0)
        values, order = level.topk(min(votes + 1, level.shape[1]), dim=1)
        last = values[:, votes - 1 :]  # the last place, and the one beyond it
        goes_on = (last[:, 1:] == last[:, :1]) & last[:, 1:].isfinite()
        one_tie = values[:, 0] == values[:, min(votes, values.shape[1]) - 1]
        whole, modes = {}, {}
        for row in goes_on.any(1).nonzero().squeeze(1).tolist():
            kept = level[row] >= values[row, votes - 1]
            if one_tie[row]:
                classes, places = self._classes
                modes[row] = classes[torch.bincount(places[item[row, kept]], minlength=len(classes)).argmax()]
                continue
            tied, by_level = level[row, kept].sort(descending=True)
            whole[row] = (tied, self.labels[item[row, kept][by_level]])
        return Nearest(values[:, :votes], self.labels[item.gather(1, order[:, :votes])], whole, modes)


@dataclass(frozen=True)
class Candidates:
    """Items of some queries' lists, in no order: (candidates,) each, but for the last two, (rows,)."""

    row: Tensor
    place: Tensor  # from 0, in an arbitrary order of a row's candidates
    item: Tensor
    level: Tensor  # float32
    length: Tensor  # candidates of each row
    enough: Tensor  # whether these are at least as many as were asked for

    def padded(self, values: Tensor, fill: float) -> Tensor:
        """The values (candidates,) as (rows, longest)."""
        found = values.new_full((len(self.length), max(1, int(self.length.max()))), fill)
        found[self.row, self.place] = values
        return found

    def of(self, rows: Tensor) -> Candidates:
        """Those of some rows, a bool (rows,)."""
        kept = places(rows[self.row])
        row = (rows.cumsum(0) - 1)[self.row[kept]]
        return Candidates(
            row, self.place[kept], self.item[kept], self.level[kept], self.length[rows], self.enough[rows]
        )
