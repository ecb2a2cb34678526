"""Differences over class splits or folds: their training sets overlap, so they are no replicates.

    t = mean / (s·√(1/n + q/(1 - q))),  n - 1 degrees of freedom,  q = share of the data that a split tests on

The plain t test has 1/n alone and finds differences that are not there. Nadeau & Bengio, "Inference for the
Generalization Error", 2003, eq. 13; the same interval is the posterior of Corani & Benavoli, 2015.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losscope.errors import InvalidInput
from losscope.statistics.intervals import LEVEL, Interval, t_quantile
from losscope.statistics.paired import ROUNDING, smallest_p

MINIMUM_SPLITS = 5
"""Class splits below which no verdict is given: no test without a distribution of fewer can reach 10 %."""


@dataclass(frozen=True)
class FoldDifference:
    """A mean difference over splits with its corrected interval and two-sided p."""

    interval: Interval
    p: float
    test_share: float
    population: str = "other class splits of the same data, at these seeds"


def corrected_fold_difference(
    differences: Sequence[float], *, test_share: float, level: float = LEVEL
) -> FoldDifference:
    """The mean of one difference for each split; average over the seeds of a split first.

    `test_share` is q: 0.5 where half of the classes are tested on, 1/k for k folds. Raises InvalidInput for fewer than
    two splits, values that are not finite or a share outside of (0, 1). Where all differences are equal t has no scale:
    there are no bounds, and p is the smallest that the sign test of so many reaches, or 1 if all are 0.

    >>> found = corrected_fold_difference([0.01, 0.03, 0.02, 0.02], test_share=0.25)
    >>> round(found.interval.low, 3), round(found.interval.high, 3), round(found.p, 3)
    (0.0, 0.04, 0.049)
    """
    from scipy.special import stdtr

    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all() or not 0 < test_share < 1:
        raise InvalidInput(f"{n} differences {differences!r} and a test share of {test_share}; expected at least two finite "
                           "differences and a share between 0 and 1")  # fmt: skip
    mean = float(values.mean())
    error = float(values.std(ddof=1)) * math.sqrt(1 / n + test_share / (1 - test_share))
    half = t_quantile(n - 1, (1 + level) / 2) * error
    if np.ptp(values) <= ROUNDING * np.abs(values).max():
        return FoldDifference(Interval(n, mean), smallest_p(n) if mean else 1.0, test_share)
    p = float(2 * stdtr(n - 1, -abs(mean) / error))
    return FoldDifference(Interval(n, mean, mean - half, mean + half), p, test_share)
