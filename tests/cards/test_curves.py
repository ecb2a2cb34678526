"""Curves and bounds against autograd of the losses themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cards.scenes import VARIANTS
from losscope.cards import CARDS, NEGATIVE_AT, POSITIVE_AT, Card, card
from losscope.errors import InvalidInput
from losscope.losses import LOSSES
from losscope.losses.binding import hyperparameters
from losscope.types import Blocks, Contrasts, Pairs, Samples, Triplets

SIMILARITIES = [-0.99, -0.6, 0.0, 0.3, 0.52, 0.8, 0.97, 0.9999]
COMPOSITION = {"classes": 4, "per_class": 3}
POSITIVES, NEGATIVES = 2, 9  # of an anchor in this composition


def term(found: Card, anchor: Tensor, own: Tensor, others: Tensor) -> Tensor:
    """The one term with this anchor (dim,), its positives `own` (n, dim) and its negatives `others` (n, dim)."""
    loss = LOSSES[found.name]
    values = {key: value for key, value in found.hyperparameters.items() if key in hyperparameters(loss)}
    points = torch.cat([anchor.unsqueeze(0), own, others])
    yes = torch.tensor([True])
    places = torch.arange(len(points))
    if found.kind == "pair":
        terms = loss.terms(points, Pairs(places[:1], places[1:2], torch.tensor([len(own) == 1]), yes), **values)
    elif found.kind == "triplet":
        terms = loss.terms(points, Triplets(*(torch.tensor([row]) for row in range(3)), yes), **values)
    elif found.kind == "sample":
        terms = loss.terms(points[:1], Samples(torch.tensor([0]), yes), proxies=points[1:], **values)
    elif loss.blocks:
        # A block takes as many anchors as positives: the anchor again for each, and the first term counts.
        block = Blocks(
            torch.zeros(1, len(points) - 1, dtype=torch.int64), places[1:].unsqueeze(0), yes.expand(1, len(points) - 1)
        )
        return loss.terms(points, block, **values).values[0, 0]
    else:
        positive = (places >= 1) & (places <= len(own))
        negative = places > len(own)
        terms = loss.terms(
            points, Contrasts(places[:1], places, positive.unsqueeze(0), negative.unsqueeze(0)), **values
        )
    return terms.values.flatten()[terms.valid.flatten()][0]


def counts(found: Card) -> tuple[int, int]:
    """Positives and negatives of a term."""
    return {
        "triplet": (1, 1),
        "n_pair": (1, 3),
        "info_nce": (1, NEGATIVES),
        "sup_con": (POSITIVES, NEGATIVES),
        "arcface": (1, 3),
        "center_contrastive": (1, 3),
    }[found.name]


def placed(similarities: list[float]) -> Tensor:
    """Points at these cosines from the first axis, each in a dimension of its own."""
    points = torch.zeros(len(similarities), 14, dtype=torch.float64)
    for place, similarity in enumerate(similarities):
        points[place, 0] = similarity
        points[place, place + 1] = math.sqrt(1 - similarity**2)
    return points


def scene(found: Card, side: str, similarity: float) -> tuple[Tensor, Tensor, int]:
    """Positives and negatives of the term, and the place of the one that is moved to `similarity`."""
    if found.name == "contrastive":
        own, others = ([similarity], []) if side == "positive" else ([], [similarity])
    else:
        positives, negatives = counts(found)
        own, others = [POSITIVE_AT] * positives, [NEGATIVE_AT] * negatives
        (own if side == "positive" else others)[0] = similarity
    points = placed(own + others)
    return points[: len(own)], points[len(own) :], 0 if side == "positive" else len(own)


@pytest.mark.parametrize("side", ["positive", "negative"])
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_curves(name: str, settings: dict[str, Any], side: str) -> None:
    found = card(name, **settings)
    anchor = torch.eye(14, dtype=torch.float64)[0]
    for similarity in SIMILARITIES:
        own, others, moved = scene(found, side, similarity)
        points = torch.cat([own, others]).requires_grad_()
        value = term(found, anchor, points[: len(own)], points[len(own) :])
        (gradient,) = torch.autograd.grad(value, points)
        point = points[moved].detach()
        towards = (anchor - similarity * point) / math.sqrt(1 - similarity**2)
        curve = getattr(found, side)(similarity, **COMPOSITION)
        assert curve.value == pytest.approx(value.item(), abs=1e-6)
        assert curve.pull == pytest.approx(-(gradient[moved] @ towards).item(), abs=1e-6)


@pytest.mark.parametrize("side", ["positive", "negative"])
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_curves_have_ends(name: str, settings: dict[str, Any], side: str) -> None:
    for end in (-1.0, 1.0):
        found = getattr(card(name, **settings), side)(end)
        assert all(map(math.isfinite, found))


@pytest.mark.parametrize("name", CARDS)
def test_losses_that_do_not_saturate_always_pull(name: str) -> None:
    found = CARDS[name]
    pulls = [found.positive(s / 10).pull for s in range(-9, 9)] + [-found.negative(s / 10).pull for s in range(-9, 9)]
    assert all(pull >= 0 for pull in pulls)
    assert any(pull == 0 for pull in pulls) is found.saturates


def test_sup_con_pushes_a_positive_away_where_its_share_is_too_large() -> None:
    assert card("sup_con").positive(0.95).pull < 0 < card("sup_con").positive(0.8).pull
    assert card("sup_con", sum_outside=False).positive(0.95).pull > 0


def pull_on_the_anchor(found: Card, anchor: Tensor, own: Tensor, others: Tensor) -> float:
    leaf = anchor.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(term(found, leaf, own, others), leaf)
    return float((gradient - (gradient @ anchor) * anchor).norm())


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_no_gradient_exceeds_the_bound(name: str, settings: dict[str, Any]) -> None:
    """Random points, and all positives and negatives on opposite sides of the anchor, where gradients are largest."""
    found = card(name, **settings)
    random = torch.Generator().manual_seed(0)
    anchor = torch.eye(3, dtype=torch.float64)[0]
    positives, negatives = counts(found) if name != "contrastive" else (1, 1)
    largest = 0.0
    angles = [*np.linspace(0.002, math.pi, 25)]
    scenes = [(a, b) for a in angles for b in angles if name != "contrastive" or b == angles[0]]
    for a, b in scenes:
        own = torch.tensor([[math.cos(a), math.sin(a), 0.0]], dtype=torch.float64).expand(positives, -1)
        others = torch.tensor([[math.cos(b), -math.sin(b), 0.0]], dtype=torch.float64).expand(negatives, -1)
        if name == "contrastive":
            largest = max(largest, pull_on_the_anchor(found, anchor, own, own[:0]))
            largest = max(largest, pull_on_the_anchor(found, anchor, own[:0], own))
        else:
            largest = max(largest, pull_on_the_anchor(found, anchor, own, others))
    assert largest <= found.bound() * (1 + 1e-9)
    sharp = settings.get("scale", 9.0) >= 8 and settings.get("temperature", 0.1) <= 0.1
    assert largest > (0.9 if sharp else 0.6) * found.bound()
    for _ in range(100):
        drawn = normalize(torch.randn(positives + negatives, 3, generator=random, dtype=torch.float64), dim=-1)
        own, others = drawn[:positives], drawn[positives:]
        if name == "contrastive":
            own, others = drawn[:1], drawn[:0]
        assert pull_on_the_anchor(found, anchor, own, others) <= found.bound() * (1 + 1e-9)


@pytest.mark.parametrize("similarity", [-1.1, 1.1, math.nan])
def test_similarities_are_those_of_the_sphere(similarity: float) -> None:
    with pytest.raises(InvalidInput, match="expected -1 to 1"):
        CARDS["contrastive"].positive(similarity)
