"""Adding seeds until it is clear: a t test and an interval that stay valid however often they are looked at.

    E_n = (1 + n·g)^(-1/2) · [(1 + x) / (1 + x/(1 + n·g))]^(n/2),   x = t²/(n - 1)

t is Student's statistic of the first n differences about the effect in question, g the variance of a normal prior on
effect/σ. E_n is a ratio of marginal likelihoods that does not depend on the unknown σ, so with an effect as supposed it
exceeds 1/α at any time with a chance of at most α (Ville 1939): p_n = min(1, 1/E_n) may be looked at after every seed,
and the interval of all effects with E_n < 1/α covers the true one at all times together.
Lai, "On Confidence Sequences", 1976; Wang & Ramdas, "Anytime-Valid t-Tests and Confidence Sequences for Gaussian Means
with Unknown Variance", 2023; the ratio itself: Rouder, Speckman, Sun, Morey & Iverson, 2009.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from losscope.errors import InvalidInput
from losscope.statistics.intervals import LEVEL, Interval

PRIOR_VARIANCE = 1.0
"""g. With 1 the test is strongest for effects of about one standard deviation of the differences."""

LARGEST_EXPONENT = 709.0
"""e to this power is still a float."""


def e_value(differences: Sequence[float], *, reference: float = 0.0, prior_variance: float = PRIOR_VARIANCE) -> float:
    """E_n of normal differences about `reference`; 1 for a single one, inf beyond the range of floats.

    Raises InvalidInput for differences or settings that are not finite, or a prior variance that is not positive.

    >>> round(e_value([1.0, 2.0, 3.0]), 3), e_value([1.0, 2.0, 3.0], reference=2.0)
    (2.343, 0.5)
    """
    logarithm = _log_e(_checked(differences, prior_variance, reference), reference, prior_variance)
    return math.exp(logarithm) if logarithm < LARGEST_EXPONENT else math.inf


def anytime_p(differences: Sequence[float], *, reference: float = 0.0, prior_variance: float = PRIOR_VARIANCE) -> float:
    """Two-sided p that may be looked at after each added seed: min(1, 1/E_n). Raises like `e_value`."""
    logarithm = _log_e(_checked(differences, prior_variance, reference), reference, prior_variance)
    return min(1.0, math.exp(min(0.0, -logarithm)))


def anytime_interval(
    differences: Sequence[float], *, level: float = LEVEL, prior_variance: float = PRIOR_VARIANCE
) -> Interval:
    """The mean difference with bounds that cover the true one at all n together, with a chance of `level`.

    No bounds while any effect is still possible: for the default prior and 95 %, up to four differences. Raises like
    `e_value`.

    >>> found = anytime_interval([0.1, 0.2, 0.3, 0.2, 0.1, 0.3])
    >>> round(found.mean, 2), round(found.low, 2), round(found.high, 2)
    (0.2, 0.0, 0.4)
    """
    values = _checked(differences, prior_variance)
    n, mean = len(values), float(values.mean())
    growth = 1 + n * prior_variance
    bound = math.exp((2 * math.log(1 / (1 - level)) + math.log(growth)) / n)
    if n == 1 or bound >= growth:
        return Interval(n, mean)
    x = (bound - 1) / (1 - bound / growth)
    half = float(values.std(ddof=1)) * math.sqrt((n - 1) * x / n)
    return Interval(n, mean, mean - half, mean + half)


def anytime_sign_tests(wins: int, losses: int) -> tuple[float, float]:
    """One-sided p that the chance of a win is at most one half, and that it is at least one half, valid at any time.

    Each is one over the likelihood ratio of a uniform prior on the chances beyond one half against one half, a
    supermartingale under every chance that is in question (Ville 1939).

    >>> [round(p, 4) for p in anytime_sign_tests(13, 0)], anytime_sign_tests(1, 1)
    ([0.0009, 1.0], (1.0, 1.0))
    """
    from scipy.special import betainc, betaln

    whole = (wins + losses + 1) * math.log(2) + float(betaln(wins + 1, losses + 1))
    shares = float(betainc(losses + 1, wins + 1, 0.5)), float(betainc(wins + 1, losses + 1, 0.5))
    more, less = (math.exp(-max(0.0, whole + math.log(share))) if share else 1.0 for share in shares)
    return more, less


def anytime_share(wins: int, losses: int, *, level: float = LEVEL) -> Interval:
    """The share of wins with bounds that cover the chance of one at all n together; a uniform prior, as above.

    >>> found = anytime_share(13, 0)
    >>> round(found.low, 3), found.high
    (0.648, 1.0)
    """
    from scipy.special import betaln, xlogy

    n = wins + losses
    least = float(betaln(wins + 1, losses + 1)) + math.log(1 - level)
    bounds = []
    for outside in (0.0, 1.0):
        inside = wins / n
        for _ in range(60):
            middle = (outside + inside) / 2
            likely = float(xlogy(wins, middle) + xlogy(losses, 1 - middle)) > least
            outside, inside = (outside, middle) if likely else (middle, inside)
        bounds.append(inside if abs(inside - round(inside)) > 1e-12 else float(round(inside)))
    return Interval(n, wins / n, *bounds)


def _log_e(values: np.ndarray, reference: float, prior_variance: float) -> float:
    n = len(values)
    growth = 1 + n * prior_variance
    distance = float(values.mean()) - reference
    spread = float(values.std(ddof=1)) if n > 1 else 0.0
    if n == 1:
        return 0.0
    if spread == 0:  # x → ∞
        return (n * math.log(growth) * (distance != 0) - math.log(growth)) / 2
    x = n * (distance / spread) ** 2 / (n - 1)
    return (n * (math.log1p(x) - math.log1p(x / growth)) - math.log(growth)) / 2


def _checked(differences: Sequence[float], prior_variance: float, reference: float = 0.0) -> np.ndarray:
    values = np.asarray(differences, dtype=np.float64)
    if values.ndim != 1 or not len(values) or not np.isfinite(values).all() or not math.isfinite(reference):
        raise InvalidInput(f"differences are {differences!r} about {reference}; expected at least one finite number")
    if not (math.isfinite(prior_variance) and prior_variance > 0):
        raise InvalidInput(f"the prior variance is {prior_variance}; expected a positive number such as 1")
    return values
