"""Effect sizes of paired differences, each with an interval: how large an effect is beside how sure it is.

    d_z = mean / s,  g_z = J·d_z,  J = Γ(ν/2) / (√(ν/2)·Γ((ν - 1)/2)),  ν = n - 1
    superiority = share of seeds in which the second is larger, ties half
    ratio of geometric means = exp(mean of log second - log first)

Cohen, "Statistical Power Analysis", 1988; Hedges, "Distribution Theory for Glass's Estimator of Effect Size", 1981;
interval of d_z by inverting the noncentral t: Steiger & Fouladi, 1997; of a share: Clopper & Pearson, 1934.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from losscope.errors import InvalidInput
from losscope.statistics.equivalence import Region
from losscope.statistics.intervals import LEVEL, Interval, mean_interval


def cohen_d(differences: Sequence[float], *, level: float = LEVEL, corrected: bool = False) -> Interval:
    """d_z, the mean difference in standard deviations of the differences; `corrected` is Hedges's unbiased g_z.

    The bounds are those of the population's effect, the same for both. Raises InvalidInput for fewer than two
    differences, or for differences that are all equal and so have no standard deviation to count in.

    >>> found = cohen_d([0.1, 0.2, 0.3])
    >>> round(found.mean, 2), round(found.low, 2), round(found.high, 2)
    (2.0, -0.14, 4.11)
    """
    from scipy.special import gammaln, nctdtr

    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n < 2 or not np.isfinite(values).all() or values.std() <= 1e-12 * np.abs(values).max():
        raise InvalidInput(
            f"differences are {differences!r}; expected at least two finite numbers that are not all equal"
        )
    found = float(values.mean() / values.std(ddof=1))
    t, degrees = found * math.sqrt(n), n - 1
    low = _rising(lambda effect: 1 - nctdtr(degrees, effect * math.sqrt(n), t), (1 - level) / 2)
    high = _rising(lambda effect: 1 - nctdtr(degrees, effect * math.sqrt(n), t), (1 + level) / 2)
    if corrected:
        if degrees == 1:
            raise InvalidInput("two differences have no corrected effect size: J is 0; expected at least three")
        found *= math.exp(gammaln(degrees / 2) - gammaln((degrees - 1) / 2)) / math.sqrt(degrees / 2)
    return Interval(n, found, low, high)


def _rising(probability: Callable[[float], float], wanted: float) -> float:
    """The effect at which a rising probability has the value wanted."""
    low, high = -1.0, 1.0
    while probability(low) > wanted:
        low *= 2
    while probability(high) < wanted:
        high *= 2
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if probability(middle) < wanted else (low, middle)
    return (low + high) / 2


def superiority(first: Mapping[int, float], second: Mapping[int, float], *, level: float = LEVEL) -> Interval:
    """The chance that the second is larger with a seed, as the share of paired wins, ties half.

    The bounds hold however ties would have been broken: as losses for the lower, as wins for the upper one. Raises
    InvalidInput if no seed is in both, or for values that are not finite.

    >>> found = superiority({0: 1.0, 1: 2.0, 2: 3.0, 3: 3.0}, {0: 2.0, 1: 3.0, 2: 3.0, 3: 4.0})
    >>> found.mean, round(found.low, 3), found.high
    (0.875, 0.194, 1.0)
    """
    from scipy.special import betaincinv

    signs = np.sign(list(Region(0.0).effects(first, second).values()))
    n = len(signs)
    if not n:
        raise InvalidInput(f"the seeds {sorted(first)} and {sorted(second)} share none; expected losses that ran with "
                           "the same seeds")  # fmt: skip
    won, lost, tail = int((signs > 0).sum()), int((signs < 0).sum()), (1 - level) / 2
    low = float(betaincinv(won, n - won + 1, tail)) if won else 0.0
    high = float(betaincinv(n - lost + 1, lost, 1 - tail)) if lost else 1.0
    return Interval(n, (won + (n - won - lost) / 2) / n, low, high)


def geometric_ratio(first: Mapping[int, float], second: Mapping[int, float], *, level: float = LEVEL) -> Interval:
    """The ratio of geometric means, second / first, with the t interval of the differences of logarithms.

    Raises InvalidInput if no seed is in both, or for values that are not positive.

    >>> round(geometric_ratio({0: 1.0, 1: 2.0}, {0: 2.0, 1: 4.0}).mean, 6)
    2.0
    """
    logs = mean_interval(list(Region(0.0, "log").effects(first, second).values()), level=level)
    if logs.low is None or logs.high is None:
        return Interval(logs.n, math.exp(logs.mean))
    return Interval(logs.n, math.exp(logs.mean), math.exp(logs.low), math.exp(logs.high))
