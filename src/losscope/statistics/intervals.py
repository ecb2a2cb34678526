"""Mean over seeds with its t interval: mean ± t(n - 1) · s / √n, s the unbiased standard deviation over seeds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from losscope.errors import InvalidInput

LEVEL = 0.95


@dataclass(frozen=True)
class Interval:
    """A mean and the bounds of its interval, in the unit of the values; with n = 1 there are no bounds."""

    n: int
    mean: float
    low: float | None = None
    high: float | None = None

    @property
    def negated(self) -> Interval:
        """The interval of the same values with the other sign."""
        if self.low is None or self.high is None:
            return Interval(self.n, -self.mean)
        return Interval(self.n, -self.mean, -self.high, -self.low)


def mean_interval(values: Sequence[float], *, level: float = LEVEL) -> Interval:
    """The mean of one value for each seed, with the t interval at `level`.

    Raises InvalidInput without values, or for values that are not finite.

    >>> found = mean_interval([1.0, 2.0, 3.0])
    >>> found.n, found.mean, round(found.low, 3), round(found.high, 3)
    (3, 2.0, -0.484, 4.484)
    """
    seeds = np.asarray(values, dtype=np.float64)
    if seeds.ndim != 1 or not len(seeds) or not np.isfinite(seeds).all():
        raise InvalidInput(f"values are {values!r}; expected at least one finite number, one for each seed")
    mean = float(seeds.mean())
    if len(seeds) == 1:
        return Interval(1, mean)
    half = t_quantile(len(seeds) - 1, (1 + level) / 2) * float(seeds.std(ddof=1)) / math.sqrt(len(seeds))
    return Interval(len(seeds), mean, mean - half, mean + half)


def t_quantile(degrees: float, probability: float) -> float:
    """Quantile of Student's t distribution."""
    from scipy.special import stdtrit  # a fifth of a second to import: only who asks for an interval pays

    return float(stdtrit(degrees, probability))
