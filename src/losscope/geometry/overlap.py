"""How far the distances within classes and the distances between them overlap.

    AUC           probability that a pair of one class is nearer than a pair of two, ties half    0.5 chance, 1 apart
    coefficient   Σ min(p_same, p_other) over bins                       0 apart, 1 one distribution (Weitzman 1970)

over all pairs of a query and another row that both have a class. Distances are counted in BINS equal bins of the
distance; the AUC is exact but for pairs within one bin, which count as ties.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.geometry.estimate import Estimate, over_groups
from losscope.geometry.pairs import GROUPS, Queries, Tile

BINS = 4096
SHOWN = 64
"""Bins of the histograms that are handed out, each of BINS / SHOWN counted ones."""


@dataclass(frozen=True)
class Overlap:
    """NaN without a pair of one class or of two."""

    auc: Estimate
    coefficient: Estimate  # over the SHOWN bins
    edges: np.ndarray  # (SHOWN + 1,) distances
    same: np.ndarray  # (SHOWN,) pairs of one class
    other: np.ndarray  # (SHOWN,) pairs of two classes


class Distances:
    """Watches a pass over pairs and counts their distances up to `longest`."""

    def __init__(self, queries: Queries, longest: float) -> None:
        self._queries, self._longest = len(queries.rows), max(longest, 1e-30)
        self._same = torch.zeros(GROUPS, BINS, dtype=torch.float64, device=queries.points.device)
        self._all = torch.zeros_like(self._same)

    def update(self, tile: Tile) -> None:
        distances = tile.squared.sqrt()
        self._same[tile.group] += self._counted(distances[tile.same])
        everything = distances if bool(tile.classed.all()) else distances[tile.classed]
        self._all[tile.group] += self._counted(everything)

    def state(self) -> tuple[Tensor, ...]:
        """For a worker to send."""
        return self._same.cpu(), self._all.cpu()

    def merge(self, state: tuple[Tensor, ...]) -> None:
        """Add what was counted among other rows."""
        for mine, theirs in zip((self._same, self._all), state, strict=True):
            mine += theirs.to(mine.device)

    def _counted(self, distances: Tensor) -> Tensor:
        # Own pairs, at infinity, come to lie beyond the bins, and what rounding put beyond the last one in it.
        bins = (distances / self._longest * BINS).clamp_max_(BINS + 1).int().view(-1)
        counts = torch.bincount(bins, minlength=BINS + 2).double()
        counts[BINS - 1] += counts[BINS]
        return counts[:BINS]

    def compute(self) -> Overlap:
        same, every = self._same.cpu().numpy(), self._all.cpu().numpy()
        other = every - same
        groups = [group for group in range(GROUPS) if every[group].any()]
        shown_same, shown_other = _coarse(same.sum(0)), _coarse(other.sum(0))
        split = groups if len(groups) > 1 else []
        return Overlap(
            over_groups(_auc(same.sum(0), other.sum(0)), [_auc(same[g], other[g]) for g in split], self._queries),
            over_groups(
                _shared(shown_same, shown_other),
                [_shared(_coarse(same[g]), _coarse(other[g])) for g in split],
                self._queries,
            ),
            np.linspace(0, self._longest, SHOWN + 1),
            shown_same,
            shown_other,
        )


def _coarse(counts: np.ndarray) -> np.ndarray:
    shown: np.ndarray = counts.reshape(SHOWN, -1).sum(1)
    return shown


def _auc(same: np.ndarray, other: np.ndarray) -> float:
    if not same.sum() or not other.sum():
        return math.nan
    farther = other.sum() - other.cumsum()
    return float((same * (farther + other / 2)).sum() / same.sum() / other.sum())


def _shared(same: np.ndarray, other: np.ndarray) -> float:
    if not same.sum() or not other.sum():
        return math.nan
    return float(np.minimum(same / same.sum(), other / other.sum()).sum())
