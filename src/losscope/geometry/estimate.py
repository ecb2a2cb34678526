"""A number, and how far it may be off where it was measured on a sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A value and the bounds of its 95 % interval; without bounds where every row was looked at."""

    value: float
    low: float | None = None
    high: float | None = None
    n: int = 0  # rows, pairs of spaces or classes it is made of


def over_groups(value: float, groups: Sequence[float], n: int) -> Estimate:
    """`value` from a whole sample, with a t interval from the same measure in disjoint equal groups of the sample.

    The groups are independent, so that the standard error is their standard deviation over √groups; groups without a
    value are left out, and with fewer than three there is no interval.
    """
    known = np.asarray(groups, dtype=np.float64)
    known = known[np.isfinite(known)]
    if len(known) < 3:
        return Estimate(value, n=n)
    half = t_quantile(len(known) - 1) * float(known.std(ddof=1)) / float(np.sqrt(len(known)))
    return Estimate(value, value - half, value + half, n)


def over_units(values: np.ndarray) -> Estimate:
    """Mean of one value for each class, query or pair of them, with its t interval; units without a value are left out."""
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    mean = float(known.mean()) if len(known) else float("nan")
    return over_groups(mean, known.tolist(), len(known))


def t_quantile(degrees: int) -> float:
    """Upper quantile of Student's t for a two-sided interval at LEVEL."""
    from scipy.special import stdtrit  # a fifth of a second to import: only who asks for an interval pays

    return float(stdtrit(degrees, (1 + LEVEL) / 2))
