"""The losses: one function each, and one line each in this table."""

from __future__ import annotations

from losscope.losses.contrastive import contrastive
from losscope.losses.triplet import triplet
from losscope.types import Loss

LOSSES: dict[str, Loss] = {
    "contrastive": Loss(
        contrastive,
        kind="pair",
        saturates=True,
        stacking="native",
        reference="Zeng et al. 2025, eq. (1); Hadsell, Chopra, LeCun 2006",
    ),
    "triplet": Loss(
        triplet,
        kind="triplet",
        saturates=True,
        stacking="native",
        reference="Zeng et al. 2025, eq. (2); Schroff, Kalenichenko, Philbin 2015",
    ),
}

__all__ = ["LOSSES", "contrastive", "triplet"]
