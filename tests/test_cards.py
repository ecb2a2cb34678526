"""Closed forms against the losses themselves, value and gradient by autograd."""

from __future__ import annotations

import math

import pytest
import torch

from losscope import cards
from losscope.errors import InvalidInput
from losscope.losses import contrastive, triplet
from losscope.types import Pairs, Triplets

DISTANCES = [0.1, 0.45, 0.8, 1.0, 1.3, 1.7, 1.99]
MARGINS = [0.5, 1.0, 1.5]


def at(distance: float, turn: float = 1.0) -> torch.Tensor:
    """A point of the unit sphere at `distance` from (1, 0, 0)."""
    angle = 2 * math.asin(distance / 2)
    return torch.tensor(
        [math.cos(angle), math.sin(angle) * turn, math.sin(angle) * math.sqrt(1 - turn**2)], dtype=torch.float64
    )


def measured(points: torch.Tensor, terms: object, which: int) -> tuple[float, float, float]:
    """Value of the one term, and the gradient of row `which`: whole, and along the sphere."""
    points = points.requires_grad_()
    value = terms(points).values.sum()  # type: ignore[operator]
    (gradient,) = torch.autograd.grad(value, points)
    point, pull = points[which].detach(), gradient[which]
    along = pull - (pull @ point) * point
    return value.item(), pull.norm().item(), along.norm().item()


ANCHOR = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("same", [True, False])
def test_contrastive(distance: float, margin: float, same: bool) -> None:
    pairs = Pairs(torch.tensor([0]), torch.tensor([1]), torch.tensor([same]), torch.tensor([True]))
    found = measured(torch.stack([ANCHOR, at(distance)]), lambda z: contrastive(z, pairs, margin=margin), which=1)
    card = cards.contrastive_positive(distance) if same else cards.contrastive_negative(distance, margin=margin)
    assert card == pytest.approx(found, abs=1e-9)


@pytest.mark.parametrize("distance", DISTANCES)
@pytest.mark.parametrize("other", [0.31, 1.17])
@pytest.mark.parametrize("margin", MARGINS)
@pytest.mark.parametrize("squared", [False, True])
def test_triplet(distance: float, other: float, margin: float, squared: bool) -> None:
    one = Triplets(*(torch.tensor([row]) for row in range(3)), torch.tensor([True]))

    def terms(z: torch.Tensor) -> object:
        return triplet(z, one, margin=margin, squared=squared)

    moved = measured(torch.stack([ANCHOR, at(distance), at(other, 0.3)]), terms, which=1)
    card = cards.triplet_positive(distance, negative_distance=other, margin=margin, squared=squared)
    assert card == pytest.approx(moved, abs=1e-9)
    moved = measured(torch.stack([ANCHOR, at(other, 0.3), at(distance)]), terms, which=2)
    card = cards.triplet_negative(distance, positive_distance=other, margin=margin, squared=squared)
    assert card == pytest.approx(moved, abs=1e-9)


@pytest.mark.parametrize("distance", [-0.1, 2.1])
def test_distances_are_those_of_the_sphere(distance: float) -> None:
    with pytest.raises(InvalidInput, match="expected 0 to 2"):
        cards.contrastive_positive(distance)
