"""All pairs of some query rows with every row, in tiles: never an N x N matrix, and one reading of the rows.

Where there are few rows every row queries. Where there are many, a seeded sample does, in GROUPS disjoint groups:
what the groups differ by gives the intervals. Several measures may watch one pass.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from losscope.geometry.rows import Rows
from losscope.seeds import generator

GROUPS = 20
TILE = 512
"""Most queries of a tile, and at most eight times as many rows of the gallery: 8 MB in float32."""


@dataclass(frozen=True)
class Queries:
    """The rows that ask, and what each needs to be known by."""

    rows: Tensor  # (queries,) row numbers
    points: Tensor  # (queries, dim)
    places: Tensor  # (queries,) place of the class, -1 for none
    groups: Tensor  # (queries,) number of the group, not falling; all 0 where every row asks
    exact: bool

    def to(self, device: torch.device) -> Queries:
        rows, points, places, groups = (part.to(device) for part in (self.rows, self.points, self.places, self.groups))
        return Queries(rows, points, places, groups, self.exact)


@dataclass(frozen=True)
class Tile:
    """Squared distances of some queries to some rows; `own` marks a query and itself, which is no pair."""

    queries: slice  # of the queries
    group: int
    rows: slice  # of the space
    squared: Tensor  # (queries, rows), at least 0; the own pair has infinity
    same: Tensor  # (queries, rows) bool: both of one class, and not the own pair
    classed: Tensor  # (queries, rows) bool: both have a class, and not the own pair


class Watcher(Protocol):
    """A measure that looks at each tile once. It must not change the tile."""

    def update(self, tile: Tile) -> None: ...


def draw_queries(rows: Rows, *, sample: int, exact_up_to: int, seed: int) -> Queries:
    """All rows up to `exact_up_to` of them, else `sample` rows drawn without repetition."""
    exact = len(rows) <= max(exact_up_to, sample)
    if exact:
        asked = torch.arange(len(rows), device=rows.device)
        groups = torch.zeros_like(asked)
    else:
        drawn = generator(seed, "geometry", "queries").choice(len(rows), size=sample, replace=False)
        asked = torch.from_numpy(drawn).to(rows.device)
        groups = torch.arange(sample, device=rows.device) * GROUPS // sample
    points = torch.cat([rows.take(part) for part in torch.split(asked, rows.chunk)])
    return Queries(asked, points, rows.places[asked], groups, exact)


def watch(rows: Rows, queries: Queries, watchers: Sequence[Watcher], *, first: int = 0) -> None:
    """Show every pair of a query and another row to each watcher, once; `rows` are those of the space from `first` on."""
    bounds = _bounds(queries.groups)
    center = queries.points.mean(0)  # near 0, dot products lose least
    asking = queries.points - center
    norms = asking.square().sum(1)
    for chunk, points in rows.chunks():
        for start in range(chunk.start, chunk.stop, 8 * TILE):
            here = slice(start, min(start + 8 * TILE, chunk.stop))
            gallery = points[here.start - chunk.start : here.stop - chunk.start] - center
            squares, places = gallery.square().sum(1), rows.places[here]
            for asked, group in bounds:
                squared = torch.addmm(squares.unsqueeze(0), asking[asked], gallery.T, alpha=-2)
                squared = squared.add_(norms[asked].unsqueeze(1)).clamp_min_(0)
                own_place = queries.places[asked].unsqueeze(1)
                same = (own_place == places) & (own_place >= 0)
                classed = ((own_place >= 0) & (places >= 0)).expand_as(squared).contiguous()
                _leave_out_own(queries.rows[asked] - first, here, squared, same, classed)
                whole = slice(first + here.start, first + here.stop)
                tile = Tile(asked, group, whole, squared, same, classed)
                for watcher in watchers:
                    watcher.update(tile)


def _bounds(groups: Tensor) -> list[tuple[slice, int]]:
    """Slices of at most TILE queries, each within a group, with its number."""
    numbers, counts = torch.unique_consecutive(groups, return_counts=True)
    found, start = [], 0
    for number, count in zip(numbers.tolist(), counts.tolist(), strict=True):
        found += [(slice(at, min(at + TILE, start + count)), number) for at in range(start, start + count, TILE)]
        start += count
    return found


def _leave_out_own(asked: Tensor, rows: slice, squared: Tensor, same: Tensor, classed: Tensor) -> None:
    inside = ((asked >= rows.start) & (asked < rows.stop)).nonzero().squeeze(1)
    own = asked[inside] - rows.start
    squared[inside, own] = torch.inf
    same[inside, own] = False
    classed[inside, own] = False
