"""Two losses compared paired by seed: seed s gave both the same data, initial weights, batches and tuples.

The t interval of the mean difference decides. The sign-flip and Wilcoxon signed-rank tests, which need no normal
distribution, stand beside it with the smallest p they can reach: 2 / 2ⁿ, so 0.0625 with 5 seeds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from losscope.errors import InvalidInput
from losscope.statistics.equivalence import Region, Standing, standing
from losscope.statistics.intervals import Interval, mean_interval

MINIMUM_SEEDS = 13
"""Paired seeds below which no verdict is given: intervals of fewer are too wide and tests too weak to be believed."""

ALPHA = 0.05
ROUNDING = 1e-12
"""Effects that differ by less than this share of their size or of the region are equal."""

EXACT_SEEDS = 30
RANDOM_FLIPS = 1 << 16

Verdict = Standing | Literal["cannot tell yet"]


@dataclass(frozen=True)
class PairedDifference:
    """`second - first` over the seeds that both have."""

    seeds: tuple[int, ...]
    interval: Interval
    p: float | None  # of the paired t test; None with one seed
    p_sign_flip: float
    p_wilcoxon: float
    p_smallest: float  # what the two tests without a distribution can reach at best

    @property
    def n(self) -> int:
        """Paired seeds."""
        return len(self.seeds)


def paired_difference(first: Mapping[int, float], second: Mapping[int, float]) -> PairedDifference:
    """The difference `second - first` of one value for each seed. Raises InvalidInput if no seed is in both.

    >>> found = paired_difference({0: 1.0, 1: 2.0, 2: 4.0}, {0: 2.0, 1: 4.0, 3: 9.0})
    >>> found.seeds, found.interval.mean, found.p_smallest
    ((0, 1), 1.5, 0.5)
    """
    seeds = tuple(sorted(first.keys() & second.keys()))
    if not seeds:
        raise InvalidInput(f"the seeds {sorted(first)} and {sorted(second)} share none; expected losses that ran with "
                           "the same seeds")  # fmt: skip
    differences = [second[seed] - first[seed] for seed in seeds]
    return PairedDifference(seeds, mean_interval(differences), t_test_p(differences), sign_flip_p(differences),
                            wilcoxon_p(differences), smallest_p(len(seeds)))  # fmt: skip


def t_test_p(differences: Sequence[float]) -> float | None:
    """Two-sided p of Student's t test that the mean difference is 0; None for a single difference."""
    from scipy.special import stdtr

    values = np.asarray(differences, dtype=np.float64)
    if len(values) < 2:
        return None
    error = float(values.std(ddof=1)) / math.sqrt(len(values))
    if error == 0:  # all differences equal
        return 0.0 if values[0] else 1.0
    return float(2 * stdtr(len(values) - 1, -abs(float(values.mean())) / error))


def sign_flip_p(differences: Sequence[float]) -> float:
    """Two-sided p of the sign-flip test: the share of sign patterns whose |sum| is at least the one seen.

    Exact up to 30 differences, 65,536 random patterns (of a fixed generator) beyond.

    >>> sign_flip_p([1.0, 2.0, 3.0])
    0.25
    """
    values = np.abs(np.asarray(differences, dtype=np.float64))
    seen = abs(float(np.sum(differences))) - 1e-12 * float(values.sum())  # sums in another order may round below
    if len(values) <= EXACT_SEEDS:
        # Every pattern is one of the first half and one of the second: for each of the first, count the second's.
        first, second = _signed_sums(values[: len(values) // 2]), np.sort(_signed_sums(values[len(values) // 2 :]))
        above = len(first) * len(second) - int(np.searchsorted(second, seen - first, side="left").sum())
        return min(1.0, 2 * above / (len(first) * len(second)))  # the patterns below -seen mirror these
    signs = np.random.default_rng(0).integers(0, 2, (RANDOM_FLIPS, len(values))) * 2 - 1
    return float((np.count_nonzero(np.abs(signs @ values) >= seen) + 1) / (RANDOM_FLIPS + 1))


def _signed_sums(values: np.ndarray) -> np.ndarray:
    """The sums of all sign patterns."""
    sums = np.zeros(1)
    for value in values:
        sums = np.concatenate([sums + value, sums - value])
    return sums


def wilcoxon_p(differences: Sequence[float]) -> float:
    """Two-sided p of the signed-rank test: the sign-flip test on ranks of |difference|; zeros are dropped, ties
    share their mean rank. Wilcoxon, "Individual Comparisons by Ranking Methods", 1945."""
    values = np.asarray(differences, dtype=np.float64)
    values = values[values != 0]
    if not len(values):
        return 1.0
    size = np.abs(values)
    below, equal = size[:, None] > size, size[:, None] == size
    ranks = below.sum(1) + (equal.sum(1) + 1) / 2
    return sign_flip_p((np.sign(values) * ranks).tolist())


def smallest_p(n: int) -> float:
    """The smallest two-sided p that a sign-flip or signed-rank test of n differences can reach.

    >>> smallest_p(5), round(smallest_p(13), 5)
    (0.0625, 0.00024)
    """
    return min(1.0, 2.0 ** (1 - n))


def simultaneous_interval(effects: Sequence[float], family: int) -> Interval:
    """The t interval of the mean effect at level 1 - 5 %/family: with 95 % all intervals of the family are right.

    Where all effects are equal, and not 0, t has no scale: there are no bounds unless the sign test's smallest p is below
    5 %/family.
    """
    values = np.asarray(effects, dtype=np.float64)
    largest = float(np.abs(values).max())
    constant = len(values) > 1 and largest > 0 and np.ptp(values) <= ROUNDING * largest
    if constant and smallest_p(len(values)) >= ALPHA / family:
        return Interval(len(values), float(values.mean()))
    return mean_interval(effects, level=1 - ALPHA / family)


def verdict(simultaneous: Interval, region: Region) -> Verdict:
    """What a `simultaneous_interval` on the scale of the region allows to say, for other seeds: its `standing`, from 13
    paired seeds on.

    >>> verdict(Interval(13, 0.03, 0.02, 0.04), Region(0.01)), verdict(Interval(12, 0.03, 0.02, 0.04), Region(0.01))
    ('larger', 'cannot tell yet')
    """
    return "cannot tell yet" if simultaneous.n < MINIMUM_SEEDS else standing(simultaneous, region)
