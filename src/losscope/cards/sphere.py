"""The unit sphere: distances and cosines, and what to expect of directions that know nothing of one another.

The cosine of two independent, uniform directions in D dimensions has the density ∝ (1 - s²)^((D-3)/2) (mean 0, variance
1/D), and the cosines of one direction with several independent ones are independent. So expectations are integrals over
one angle each; for D → ∞ (`dim=None` below) every cosine is 0.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache

from losscope.cards.softmax import log_sum_exp
from losscope.errors import InvalidInput

FINEST = 1e-3
"""Smallest step of an angle: steeper functions would take minutes."""


def distance_of(similarity: float) -> float:
    """d = √(2 - 2s).

    >>> distance_of(0.5), distance_of(-1)
    (1.0, 2.0)
    """
    return math.sqrt(2 - 2 * similarity)


def similarity_of(distance: float) -> float:
    """s = 1 - d²/2."""
    return 1 - distance**2 / 2


def tangent(similarity: float) -> float:
    """sin θ = √(1 - s²): how far a step of a point along the sphere moves its cosine with another."""
    return math.sqrt(max(0.0, 1 - similarity**2))


def half_angle(similarity: float) -> float:
    """cos θ/2 = √(1 - d²/4): the part of a pull along the straight line between two points that is along the sphere."""
    return math.sqrt(max(0.0, (1 + similarity) / 2))


@lru_cache(maxsize=16)
def _cosines(dim: int, step: float) -> tuple[tuple[float, float], ...]:
    """Cosines and weights that sum to 1: midpoints in the angle, where the density is ∝ sin^(D-2) θ."""
    if dim < 2:
        raise InvalidInput(f"dim = {dim}; expected at least 2: in one dimension there are two directions only")
    count = math.ceil(math.pi / step)
    angles = [math.pi * (place + 0.5) / count for place in range(count)]
    weights = [math.exp((dim - 2) * math.log(math.sin(angle))) for angle in angles]
    kept = [(math.cos(angle), weight) for angle, weight in zip(angles, weights, strict=True) if weight > 1e-17]
    total = sum(weight for _, weight in kept)
    return tuple((cosine, weight / total) for cosine, weight in kept)


def expected(function: Callable[[float], float], dim: int | None) -> float:
    """Mean of `function(s)` over the cosine of two random directions."""
    if dim is None:
        return function(0.0)
    return sum(weight * function(cosine) for cosine, weight in _cosines(dim, 2e-3))


def expected_of_two(function: Callable[[float, float], float], dim: int | None) -> float:
    """Mean of `function(s, s')` over the cosines of one random direction with two others."""
    if dim is None:
        return function(0.0, 0.0)
    nodes = _cosines(dim, 1e-2)
    return sum(weight * other * function(one, two) for one, weight in nodes for two, other in nodes)


Part = tuple[int, Callable[[float], float]]
"""How many independent cosines, and the logit that each of them becomes."""


def expected_log_sum_exp(parts: Sequence[Part], dim: int | None) -> float:
    """Mean of log S, S = Σ e^logit, over random directions, by E log S = ∫ (e^-t - E e^-tS) dt/t.

    E e^-tS is the product over the independent cosines. Both integrals converge geometrically in the step.
    """
    if dim is None:
        return log_sum_exp([(count, logit(0.0)) for count, logit in parts])
    present = [(count, logit) for count, logit in parts if count]
    ends = [logit(end / 8) for _, logit in present for end in range(-8, 9)]
    steepness = (max(ends) - min(ends)) / 2
    step = min(2e-2, 0.5 / max(steepness, 1.0))
    if step < FINEST:
        raise InvalidInput(
            f"logits that span {2 * steepness:.0f} are too steep for the value in {dim} dimensions; expected a scale of "
            f"at most {0.5 / FINEST:.0f}, or no dim for the limit of many dimensions"
        )
    tables = [(count, [(logit(cosine), weight) for cosine, weight in _cosines(dim, step)]) for count, logit in present]
    every = [logit for _, table in tables for logit, _ in table]
    total = sum(count for count, _ in tables)
    first, last = -max(every) - math.log(total) - 37, -min(every) + 4
    width = 0.4
    steps = math.ceil((last - first) / width)
    return width * sum(_laplace(first + place * width, tables) for place in range(steps + 1))


def _laplace(u: float, tables: Sequence[tuple[int, list[tuple[float, float]]]]) -> float:
    """e^-t - E e^-tS at t = eᵘ."""
    product = 1.0
    for count, table in tables:
        product *= sum(weight * _gumbel(u + logit) for logit, weight in table) ** count
    return _gumbel(u) - product


def _gumbel(x: float) -> float:
    return math.exp(-math.exp(x)) if x < 7 else 0.0
