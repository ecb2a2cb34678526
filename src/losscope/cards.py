"""Closed forms of the losses on the unit sphere: what a pair at a given distance costs and how hard it is pulled.

Both losses are functions of distances alone. With d the distance of the two members, dᵢ of unit length,

    contrastive, positive pair      ℓ = d²                  |∂ℓ/∂z| = 2 d
    contrastive, negative pair      ℓ = [m - d]₊²           |∂ℓ/∂z| = 2 [m - d]₊
    triplet, unsquared              ℓ = [d_ap - d_an + m]₊      |∂ℓ/∂p| = |∂ℓ/∂n| = 1 while active
    triplet, squared                ℓ = [d²_ap - d²_an + m]₊    |∂ℓ/∂p| = 2 d_ap, |∂ℓ/∂n| = 2 d_an while active

Every gradient points along the line through the two members, at the angle θ/2 to the sphere, so its tangential part,
the one that turns an embedding, is √(1 - d²/4) of it: it vanishes between opposite points. A term is per pair or
triplet, before any reduction. Zeng et al. 2025 (arXiv 2510.02161), eqs. (1) and (2).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from losscope.errors import InvalidInput

DIAMETER = 2.0
"""The largest distance on the unit sphere."""


class Response(NamedTuple):
    """What one term does to the member at the given distance."""

    value: float  # of the term, before any reduction
    gradient: float  # |∂ℓ/∂z|, loss per unit of distance
    tangential: float  # the part of it along the sphere


def contrastive_positive(distance: float) -> Response:
    """A positive pair at `distance` (0 to 2).

    >>> contrastive_positive(1.0)[:2]
    (1.0, 2.0)
    """
    return _response(distance, distance**2, 2 * distance)


def contrastive_negative(distance: float, *, margin: float = 1.0) -> Response:
    """A negative pair at `distance` (0 to 2); `margin` > 0 in units of distance.

    >>> contrastive_negative(0.5)[:2], contrastive_negative(1.5)[:2]
    ((0.25, 1.0), (0.0, 0.0))
    """
    gap = max(0.0, margin - distance)
    return _response(distance, gap**2, 2 * gap)


def triplet_positive(
    distance: float, *, negative_distance: float, margin: float = 1.0, squared: bool = False
) -> Response:
    """The positive of a triplet at `distance` from the anchor, its negative at `negative_distance` (both 0 to 2).

    `margin` > 0 in the unit of the distance used, squared or not.
    """
    value = _violation(distance, negative_distance, margin, squared)
    return _response(distance, value, _slope(distance, squared) if value else 0.0)


def triplet_negative(
    distance: float, *, positive_distance: float, margin: float = 1.0, squared: bool = False
) -> Response:
    """The negative of a triplet at `distance` from the anchor, its positive at `positive_distance` (both 0 to 2)."""
    value = _violation(positive_distance, distance, margin, squared)
    return _response(distance, value, _slope(distance, squared) if value else 0.0)


def _violation(positive: float, negative: float, margin: float, squared: bool) -> float:
    power = 2 if squared else 1
    return max(0.0, positive**power - negative**power + margin)


def _slope(distance: float, squared: bool) -> float:
    return 2 * distance if squared else 1.0


def _response(distance: float, value: float, gradient: float) -> Response:
    if not 0 <= distance <= DIAMETER:
        raise InvalidInput(f"distance is {distance}; expected 0 to 2, the distances on the unit sphere")
    return Response(value, gradient, gradient * math.sqrt(1 - (distance / DIAMETER) ** 2))
