"""Rows that are equal or nearly so, within a class and across classes: leaks between splits, copies, wrong labels.

Equal rows are found by a hash of their bytes, whatever the number of rows. Nearly equal ones are neighbors of the
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
"""Most pairs that are listed; all are counted."""


@dataclass(frozen=True)
class Duplicates:
    """Pairs of rows, those across classes first, then the nearer first; a row without a class is never across."""

    pairs: np.ndarray  # (shown, 2) row numbers, the smaller first
    distance: np.ndarray  # (shown,)
    across: np.ndarray  # (shown,) bool: of two different classes
    threshold: float
    total: int
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
        self._found.append(((bits ^ (bits >> 29)) * self._weights).sum(1))

    def pairs(self) -> Tensor:
        """(pairs, 2) rows with equal hashes, each row with the one before it."""
        hashes, rows = torch.cat(self._found).sort(stable=True)
        equal = (hashes[1:] == hashes[:-1]).nonzero().squeeze(1)
        return torch.stack([rows[equal], rows[equal + 1]], dim=1)


def duplicates(
    rows: Rows, equal: Tensor, asked: Tensor, neighbors: Tensor, squared: Tensor, *, spread: float
) -> Duplicates:
    """Pairs among `equal` (pairs, 2) candidates and the `neighbors` (queries, k) of the rows `asked` (queries,).

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
    candidates = torch.unique(torch.cat([equal, near]).sort(dim=1).values, dim=0)
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
    order = (distances - across * (threshold + 1)).argsort(stable=True)[:SHOWN]
    return Duplicates(
        candidates[order].cpu().numpy(),
        distances[order].cpu().numpy(),
        across[order].cpu().numpy(),
        threshold,
        len(candidates),
        int(across.sum()),
        len(asked),
    )
