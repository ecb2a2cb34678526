"""Batches whose loss a card knows, and the variants of each loss that are tested."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.cards import Card, card
from losscope.criterion import Criterion

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("contrastive", {}),
    ("contrastive", {"margin": 0.4}),
    ("contrastive", {"margin": 1.9}),  # beyond the simplex
    ("triplet", {}),
    ("triplet", {"squared": True}),
    ("triplet", {"margin": 2.5, "squared": True}),
    ("triplet", {"margin": 1.8}),
    ("n_pair", {}),
    ("n_pair", {"scale": 1.0}),
    ("n_pair", {"scale": 2.0, "penalty": 0.05}),
    ("info_nce", {}),
    ("info_nce", {"temperature": 0.5}),
    ("sup_con", {}),
    ("sup_con", {"temperature": 0.5, "sum_outside": False}),
    ("arcface", {}),
    ("arcface", {"margin": 0.3, "scale": 8.0}),
    ("arcface", {"margin": 2.0, "scale": 4.0}),  # orthogonal points are beyond π - m
    ("center_contrastive", {}),
    ("center_contrastive", {"margin": 0.0, "scale": 4.0, "center_weight": 0.3}),
]

ON_THE_CLAMP = {"arcface": 0.05}
"""How much a loss may differ from its card where a sample lies on its class vector: cosines are kept 1e-6 below 1 there,
an angle of 0.0014, which a scale of 64 makes 0.043."""


def labels_of(classes: int, per_class: int) -> Tensor:
    return torch.arange(classes).repeat_interleave(per_class)


def simplex(classes: int) -> Tensor:
    """Corners (classes, classes) of a regular simplex on the unit sphere."""
    return normalize(torch.eye(classes, dtype=torch.float64) - 1 / classes, dim=-1)


def measured(name: str, settings: dict[str, Any], z: Tensor, labels: Tensor, w: Tensor) -> float:
    """The loss itself, with class vectors `w` where it has any."""
    return criterion(name, settings, w)(z, labels).item()


def criterion(name: str, settings: dict[str, Any], w: Tensor) -> Criterion:
    own = {"classes": len(w), "dim": w.shape[1]} if name in ("arcface", "center_contrastive") else {}
    made = Criterion(name, **own, **settings)
    if own:
        made.double()
        with torch.no_grad():
            made.proxies.copy_(w)
    return made


def of(name: str, settings: dict[str, Any]) -> Card:
    return card(name, **settings)
