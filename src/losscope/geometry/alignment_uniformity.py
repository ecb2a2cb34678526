"""Alignment and uniformity: how near the rows of a class lie, and how evenly all rows fill the sphere.

    alignment    mean over classes of E |x - y|², x ≠ y of the class  =  mean 2 v_u(c)      at least 0, lower is nearer
    tolerance    mean cosine of such pairs, 1 - alignment / 2 at unit length                Wang and Liu 2021
    uniformity   log E exp(-t |x - y|²), t = 2, over all distinct pairs of rows             at most 0, lower is more even

Wang and Isola, "Understanding contrastive representation learning through alignment and uniformity on the
hypersphere", 2020, with α = 2 and pairs of one class as positives. The alignment needs no pairs: it is the unbiased
intra-class variance. The exponent is of rows as they are, so that uniformity means little off the unit sphere.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.geometry.estimate import Estimate, over_groups
from losscope.geometry.moments import Moments
from losscope.geometry.pairs import GROUPS, Queries, Tile

T = 2.0


@dataclass(frozen=True)
class AlignmentUniformity:
    """Tolerance is NaN where rows are not of unit length."""

    alignment: float
    tolerance: float
    uniformity: Estimate


class Uniformity:
    """Watches a pass over pairs."""

    def __init__(self, queries: Queries) -> None:
        self._queries = len(queries.rows)
        self._sums = torch.zeros(GROUPS, dtype=torch.float64, device=queries.points.device)
        self._pairs = torch.zeros(GROUPS, dtype=torch.int64)

    def update(self, tile: Tile) -> None:
        self._sums[tile.group] += (tile.squared * -T).exp_().sum(dtype=torch.float64)
        self._pairs[tile.group] += tile.squared.numel()

    def state(self) -> tuple[Tensor, ...]:
        """For a worker to send."""
        return self._sums.cpu(), self._pairs

    def merge(self, state: tuple[Tensor, ...]) -> None:
        """Add what was summed over other rows."""
        sums, pairs = state
        self._sums += sums.to(self._sums.device)
        self._pairs += pairs

    def compute(self, own: int) -> Estimate:
        """log of the mean over pairs; `own` pairs of a query and itself were met, and added 0."""
        sums, pairs = self._sums.tolist(), self._pairs.tolist()
        total = sum(pairs) - own
        filled = [group for group in range(GROUPS) if pairs[group]]
        share = own / len(filled) if filled else 0
        logs = [_log(sums[group], pairs[group] - share) for group in filled]
        return over_groups(_log(sum(sums), total), logs if len(filled) > 1 else [], self._queries)


def alignment_uniformity(moments: Moments, uniformity: Estimate, *, unit: bool) -> AlignmentUniformity:
    """Both measures; `unit` says that rows have length 1."""
    unbiased = moments.unbiased_variances
    known = unbiased[~unbiased.isnan()]
    alignment = 2 * float(known.mean()) if len(known) else math.nan
    return AlignmentUniformity(alignment, 1 - alignment / 2 if unit else math.nan, uniformity)


def _log(total: float, pairs: float) -> float:
    return math.log(total / pairs) if pairs > 0 and total > 0 else math.nan
