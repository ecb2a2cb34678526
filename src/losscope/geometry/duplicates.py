"""Rows that are equal or nearly so, within a class and across classes: leaks between splits, copies, wrong labels.

Equal rows are found by a hash of their bytes, and their pairs counted, whatever the number of rows. Nearly equal ones are neighbors of the
queries that lie nearer than `threshold`: NEAR of the root mean squared distance to the mean of all rows, but at most
a quarter of the median distance to the nearest neighbor, so that a dense space isn't taken for copies. Distances that
are handed out are taken by differences, not by dot products.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.geometry.rows import Rows

NEAR = 0.05
SHOWN = 1000
"""Most pairs that are listed."""


@dataclass(frozen=True)
class Duplicates:
    """Pairs of rows, those across classes first, then the nearer first; a row without a class is never across."""

    pairs: np.ndarray  # (shown, 2) row numbers, the smaller first
    distance: np.ndarray  # (shown,)
    across: np.ndarray  # (shown,) bool: of two different classes
    threshold: float
    total: int  # pairs of equal rows, all of them, and near ones among the nearest neighbors that were looked at
    across_total: int
    looked_at: int  # rows whose neighbors were looked at; equal rows are found among all


class Hashes:
    """A hash of each row, gathered chunk by chunk; equal rows have equal ones."""

    def __init__(self, dim: int, device: torch.device) -> None:
        drawn = np.random.default_rng(0).integers(-(2**62), 2**62, size=dim) | 1
        self._weights = torch.from_numpy(drawn).to(device)
        self._found: list[Tensor] = []

    def update(self, points: Tensor) -> None:
        whole = torch.int64 if points.dtype == torch.float64 else torch.int32
        bits = (points + 0.0).contiguous().view(whole).long()  # + 0.0: -0.0 is 0.0
        self.extend(((bits ^ (bits >> 29)) * self._weights).sum(1))

    def extend(self, hashes: Tensor) -> None:
        """Take hashes (rows,) that were found elsewhere for those of the next rows."""
        self._found.append(hashes)

    def all(self) -> Tensor:
        """The hash of each row so far (rows,)."""
        return torch.cat(self._found)

    def groups(self) -> Tensor:
        """(rows,) a number that rows with equal hashes share, from 0; -1 for a row whose hash no other has."""
        _, group, count = torch.unique(self.all(), return_inverse=True, return_counts=True)
        several = count > 1
        number: Tensor = torch.where(several, several.cumsum(0) - 1, -1)[group]
        return number


def duplicates(
    rows: Rows, groups: Tensor, asked: Tensor, neighbors: Tensor, squared: Tensor, *, spread: float
) -> Duplicates:
    """Pairs of equal rows, by their `groups` (rows,), -1 for none, and among the `neighbors` (queries, k) of the rows
    `asked` (queries,).

    `squared` (queries, k) are their squared distances; `spread` is the root mean squared distance to the mean.
    """
    nearest = squared[:, 0][squared[:, 0].isfinite()] if squared.shape[1] else squared.new_empty(0)
    threshold = NEAR * spread
    if len(nearest):
        threshold = min(threshold, 0.25 * float(nearest.sqrt().median()))
    # Dot products in float32 may miss a squared distance by a few 1e-6 of the squared length.
    slack = 1e-5 * spread**2 if squared.dtype != torch.float64 else 0.0
    query, slot = ((squared <= threshold**2 + slack) & (neighbors >= 0)).nonzero().unbind(1)
    near = torch.stack([asked[query], neighbors[query, slot]], dim=1)
    candidates = torch.unique(torch.cat([_chains(groups), near]).sort(dim=1).values, dim=0)
    distances = torch.cat(
        [
            torch.linalg.vector_norm((rows.take(part[:, 0]) - rows.take(part[:, 1])).double(), dim=1)
            for part in candidates.split(rows.chunk)
        ]
    )
    kept = distances <= threshold
    candidates, distances = candidates[kept], distances[kept]
    first, second = rows.places[candidates[:, 0]], rows.places[candidates[:, 1]]
    across = (first != second) & (first >= 0) & (second >= 0)
    apart = (groups[candidates[:, 0]] != groups[candidates[:, 1]]) | (groups[candidates[:, 0]] < 0)
    equal_pairs, equal_across = _pairs_within(groups, rows.places)
    order = (distances - across * (threshold + 1)).argsort(stable=True)[:SHOWN]
    return Duplicates(
        candidates[order].cpu().numpy(),
        distances[order].cpu().numpy(),
        across[order].cpu().numpy(),
        threshold,
        equal_pairs + int(apart.sum()),
        equal_across + int((across & apart).sum()),
        len(asked),
    )


def _chains(groups: Tensor) -> Tensor:
    """(pairs, 2) each row of a group with the next."""
    rows = (groups >= 0).nonzero().squeeze(1)
    rows = rows[groups[rows].argsort(stable=True)]
    together = groups[rows[1:]] == groups[rows[:-1]]
    return torch.stack([rows[:-1][together], rows[1:][together]], dim=1)


def _pairs_within(groups: Tensor, places: Tensor) -> tuple[int, int]:
    """Number of pairs of rows of one group, and of those of two different classes; rows without a class have -1."""
    grouped = groups >= 0
    classed = grouped & (places >= 0)
    cells = groups[classed] * (int(places.max()) + 1) + places[classed]
    return _pairs(groups[grouped]), _pairs(groups[classed]) - _pairs(cells)


def _pairs(labels: Tensor) -> int:
    """Number of pairs of equal labels (rows,)."""
    count = torch.unique(labels, return_counts=True)[1]
    return int((count * (count - 1) // 2).sum())
