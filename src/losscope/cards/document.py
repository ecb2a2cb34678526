"""A card as plain data, for JSON."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any, Unpack

from losscope.cards.definition import Card, Composition, Response, Shape

CURVE = tuple(step / 20 for step in range(-20, 21))
"""Cosines of the curves."""


def document(card: Card, *, dim: int | None = None, **composition: Unpack[Shape]) -> dict[str, Any]:
    """Everything that a card says of a batch of this composition. A bound that is infinite is None."""
    bound = card.bound()
    return {
        "name": card.name,
        "title": card.title,
        "equation": card.equation,
        "kind": card.kind,
        "active": card.active,
        "saturates": card.saturates,
        "demands": card.demands(),
        "hyperparameters": [
            {"name": key, "value": value, "default": card.defaults[key], **card.meanings[key]._asdict()}
            for key, value in card.hyperparameters.items()
        ],
        "composition": {**asdict(Composition(**composition)), "dim": dim},
        "floor": card.floor(**composition),
        "collapse_value": card.collapse_value(**composition),
        "random_value": card.random_value(dim=dim, **composition),
        "bound": bound if math.isfinite(bound) else None,
        "curve": {
            "similarity": list(CURVE),
            "positive": _curve([card.positive(similarity, **composition) for similarity in CURVE], card.held[0]),
            "negative": _curve([card.negative(similarity, **composition) for similarity in CURVE], card.held[1]),
        },
        "elsewhere": [one._asdict() for one in card.elsewhere],
        "degenerate": dict(card.degenerate),
    }


def _curve(found: list[Response], held: str) -> dict[str, Any]:
    return {"value": [one.value for one in found], "pull": [one.pull for one in found], "held": held}
