"""What `decide` can see: power, the smallest effect it detects, and how many seeds an effect needs.

A claim of an effect above δ holds when the one-sided t test of effect ≤ δ has p < α/(2k), k the size of Holm's family:
the threshold of Holm's first step, the hardest of its steps. So the power here is a lower bound for k > 1. With n
seeds, true effect e and standard deviation σ of the differences over seeds, (mean - δ)/(s/√n) has the noncentral t
distribution with n - 1 degrees of freedom and noncentrality (e - δ)√n/σ.
"""

from __future__ import annotations

import math

from losscope.errors import InvalidInput
from losscope.statistics.intervals import t_quantile
from losscope.statistics.paired import ALPHA, MINIMUM_SEEDS

WANTED_POWER = 0.8
MOST_SEEDS = 10_000


def power(effect: float, sd: float, n: int, *, margin: float = 0.0, family: int = 1) -> float:
    """The chance that a claim of an effect above `margin` holds, at a true `effect`, in the unit of `sd`.

    `sd` is that of the differences over seeds. 0 below 13 seeds, where no verdict is given. Raises InvalidInput for a
    standard deviation that is negative or not finite, n below 2 or an empty family.

    >>> round(power(0.02, 0.01, 13, margin=0.01), 2), round(power(0.02, 0.01, 13, margin=0.01, family=21), 2)
    (0.91, 0.46)
    """
    _check(sd, n, family, effect, margin)
    if n < MINIMUM_SEEDS:
        return 0.0
    if sd == 0:
        return float(effect > margin)
    return _power((effect - margin) * math.sqrt(n) / sd, n, family)


def detectable_effect(
    sd: float, n: int, *, margin: float = 0.0, family: int = 1, wanted_power: float = WANTED_POWER
) -> float:
    """The smallest true effect that is found beyond `margin` with the wanted power. Raises like `power`.

    >>> round(detectable_effect(0.01, 13, margin=0.01), 4)
    0.0185
    """
    _check(sd, n, family, margin)
    low, high = 0.0, 8.0
    while _power(high, n, family) < wanted_power:
        high *= 2
    while high - low > 1e-9 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _power(middle, n, family) < wanted_power else (low, middle)
    return margin + high * sd / math.sqrt(n)


def seeds_needed(
    effect: float, sd: float, *, margin: float = 0.0, family: int = 1, wanted_power: float = WANTED_POWER
) -> int | None:
    """The fewest seeds, at least 13, that show a true `effect` to lie beyond `margin` with the wanted power.

    An effect below the margin counts by its distance: so many seeds show that the claim does not hold. None where
    more than 10,000 would be needed. Raises like `power`.

    >>> seeds_needed(0.02, 0.02, margin=0.01), seeds_needed(0.02, 0.005, margin=0.01)
    (34, 13)
    """
    _check(sd, MINIMUM_SEEDS, family, effect, margin)
    if sd == 0:
        return None if effect == margin else MINIMUM_SEEDS
    distance = abs(effect - margin) / sd

    def enough(n: int) -> bool:
        return _power(distance * math.sqrt(n), n, family) >= wanted_power

    if not enough(MOST_SEEDS):
        return None
    low, high = MINIMUM_SEEDS - 1, MINIMUM_SEEDS
    while not enough(high):
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _power(noncentrality: float, n: int, family: int) -> float:
    from scipy.special import nctdtr

    if noncentrality > 1e3:  # beyond where the distribution is evaluated well, and certain
        return 1.0
    return 1 - float(nctdtr(n - 1, noncentrality, t_quantile(n - 1, 1 - ALPHA / (2 * family))))


def _check(sd: float, n: int, family: int, *finite: float) -> None:
    if not (math.isfinite(sd) and sd >= 0 and n >= 2 and family >= 1 and all(map(math.isfinite, finite))):
        raise InvalidInput(f"standard deviation {sd}, {n} seeds, a family of {family}, effect and margin {finite}; "
                           "expected finite numbers, sd ≥ 0, at least 2 seeds and 1 claim")  # fmt: skip
