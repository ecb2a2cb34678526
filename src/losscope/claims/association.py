"""Two measures over the variants of a comparison: one rank correlation for each seed, so that the seed stays the unit.

Spearman, "The Proof and Measurement of Association between Two Things", 1904. The correlations themselves are the
effects: Fisher's z has no value for the perfect correlations that few variants often give.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from losscope.summary.types import Estimate

FEWEST = 3
"""Variants for a correlation: two are always in line."""


def correlated(estimates: Sequence[tuple[Estimate, Estimate]]) -> dict[int, float] | str:
    """Seed -> rank correlation of two measures over variants, one pair of estimates each; a sentence if there is none.

    Only seeds that all variants have count. What a run never reaches ranks behind every epoch. A seed in which all
    variants are equal by one of the measures has no correlation.
    """
    if len(estimates) < FEWEST:
        return f"{len(estimates)} variants with both measures; a correlation needs {FEWEST}"
    values = [[_late(estimate) for estimate in pair] for pair in estimates]
    seeds = sorted(set.intersection(*(set(side) for pair in values for side in pair)))
    if not seeds:
        return "the variants share no finished seed"
    found = {seed: spearman([pair[0][seed] for pair in values], [pair[1][seed] for pair in values]) for seed in seeds}
    defined = {seed: value for seed, value in found.items() if value is not None}
    return defined or "all variants are equal by one of the measures"


def spearman(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Rank correlation, ties at their mean rank; None where one side is constant.

    >>> spearman([1, 2, 3, 4], [1, 3, 2, 4]), spearman([1, 1, 1], [1, 2, 3])
    (0.8, None)
    """
    one, two = _ranks(first), _ranks(second)
    spread = float(np.sqrt(np.sum(one**2) * np.sum(two**2)))
    return round(float(np.sum(one * two)) / spread, 12) if spread else None


def _ranks(values: Sequence[float]) -> np.ndarray:
    """Centered mean ranks."""
    array = np.asarray(values, dtype=np.float64)
    below, equal = array[:, None] > array, array[:, None] == array
    ranks = below.sum(1) + (equal.sum(1) - 1) / 2
    return np.asarray(ranks - ranks.mean())


def _late(estimate: Estimate) -> Mapping[int, float]:
    return {**estimate.values, **dict.fromkeys(estimate.never, float("inf"))}
