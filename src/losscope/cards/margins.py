"""What a margin asks of cosines, whatever its unit: on the unit sphere d² = 2 - 2s.

A contrastive margin m (distance) stops a negative at s = 1 - m²/2. A squared triplet margin m asks for the cosine gap
s_ap - s_an = m/2, whatever the positive. An unsquared one asks for d_an >= d_ap + m, that is for the gap m·d_ap + m²/2:
the farther the positive, the larger the gap.
"""

from __future__ import annotations

import math

from losscope.cards.sphere import similarity_of
from losscope.errors import InvalidInput


def contrastive_similarity(margin: float) -> float:
    """The cosine at which contrastive loss stops pushing a negative.

    >>> contrastive_similarity(1.0)
    0.5
    """
    return similarity_of(_at_least_0("margin", margin))


def contrastive_margin(similarity: float) -> float:
    """The margin that stops a negative at `similarity`.

    >>> contrastive_margin(0.5)
    1.0
    """
    if not -1 <= similarity <= 1:
        raise InvalidInput(f"similarity is {similarity}; expected -1 to 1")
    return math.sqrt(2 - 2 * similarity)


def triplet_gap(margin: float, *, squared: bool, positive_distance: float = 0.0) -> float:
    """The cosine gap s_ap - s_an from which a triplet with its positive at `positive_distance` is satisfied.

    More than 2 - d_ap²/2 can't be met.

    >>> triplet_gap(1.0, squared=True), round(triplet_gap(1.0, squared=False, positive_distance=0.3), 3)
    (0.5, 0.8)
    """
    margin = _at_least_0("margin", margin)
    return margin / 2 if squared else margin * _distance(positive_distance) + margin**2 / 2


def triplet_margin(gap: float, *, squared: bool, positive_distance: float = 0.0) -> float:
    """The margin that asks for the cosine `gap` of a triplet with its positive at `positive_distance`.

    >>> triplet_margin(0.5, squared=True), triplet_margin(0.5, squared=False)
    (1.0, 1.0)
    """
    gap, distance = _at_least_0("gap", gap), _distance(positive_distance)
    return 2 * gap if squared else math.sqrt(distance**2 + 2 * gap) - distance


def _at_least_0(name: str, value: float) -> float:
    if not 0 <= value < math.inf:
        raise InvalidInput(f"{name} is {value}; expected a finite number of at least 0")
    return value


def _distance(value: float) -> float:
    if not 0 <= value <= 2:
        raise InvalidInput(f"positive_distance is {value}; expected 0 to 2, the distances on the unit sphere")
    return value
