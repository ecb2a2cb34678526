"""Floor, collapse and random value against a naive loop and against the losses themselves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from cards import naive
from cards.scenes import ON_THE_CLAMP, VARIANTS, criterion, labels_of, measured, simplex
from losscope.cards import CARDS, Card, card
from losscope.errors import InvalidInput

COMPOSITIONS = [(10, 5), (3, 2), (2, 4)]


def both(name: str, settings: dict[str, Any], z: Tensor, labels: Tensor, w: Tensor) -> tuple[float, float]:
    """The loss by the naive loop and by the package."""
    values = card(name, **settings).hyperparameters
    return naive.mean(name, z.numpy(), labels.tolist(), w.numpy(), **values), measured(name, settings, z, labels, w)


@pytest.mark.parametrize(("classes", "per_class"), COMPOSITIONS)
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_the_floor(name: str, settings: dict[str, Any], classes: int, per_class: int) -> None:
    labels, corners = labels_of(classes, per_class), simplex(classes)
    loop, loss = both(name, settings, corners[labels], labels, corners)
    floor = card(name, **settings).floor(classes=classes, per_class=per_class)
    assert floor == pytest.approx(loop, abs=1e-7)  # the loop's angles: acos near 1
    assert floor == pytest.approx(loss, abs=ON_THE_CLAMP.get(name, 1e-5))


@pytest.mark.parametrize(("classes", "per_class"), COMPOSITIONS)
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_the_value_at_collapse(name: str, settings: dict[str, Any], classes: int, per_class: int) -> None:
    labels, point = labels_of(classes, per_class), torch.eye(4, dtype=torch.float64)[:1]
    loop, loss = both(name, settings, point.expand(len(labels), -1), labels, point.expand(classes, -1))
    collapse = card(name, **settings).collapse_value(classes=classes, per_class=per_class)
    assert collapse == pytest.approx(loop, abs=1e-9)
    assert collapse == pytest.approx(loss, abs=ON_THE_CLAMP.get(name, 1e-5))


@pytest.mark.parametrize(("classes", "per_class"), COMPOSITIONS)
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_the_random_value_of_many_dimensions(name: str, settings: dict[str, Any], classes: int, per_class: int) -> None:
    """Orthogonal points have the cosines of random ones in the limit."""
    labels = labels_of(classes, per_class)
    directions = torch.eye(len(labels) + classes, dtype=torch.float64)
    loop, loss = both(name, settings, directions[: len(labels)], labels, directions[len(labels) :])
    random = card(name, **settings).random_value(classes=classes, per_class=per_class)
    assert random == pytest.approx(loop, abs=1e-9)
    assert random == pytest.approx(loss, abs=1e-9)


@pytest.mark.parametrize("dim", [3, 8, 32])
@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_the_random_value_by_drawing(name: str, settings: dict[str, Any], dim: int) -> None:
    random = torch.Generator().manual_seed(0)
    labels = labels_of(4, 3)

    def draw(count: int) -> Tensor:
        return normalize(torch.randn(count, dim, generator=random, dtype=torch.float64), dim=-1)

    drawn = np.array([measured(name, settings, draw(12), labels, draw(4)) for _ in range(400)])
    expected = card(name, **settings).random_value(classes=4, per_class=3, dim=dim)
    assert abs(drawn.mean() - expected) < 4.5 * drawn.std(ddof=1) / math.sqrt(len(drawn))


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_dimensions_approach_their_limit(name: str, settings: dict[str, Any]) -> None:
    found = card(name, **settings)
    gaps = [abs(found.random_value(dim=dim) - found.random_value()) for dim in (16, 256, 4096)]
    assert gaps[2] <= gaps[1] + 1e-4
    assert gaps[1] <= gaps[0] + 1e-4
    assert gaps[2] < 0.05 * max(1.0, found.random_value())


def test_the_second_order_in_one_over_the_dimension() -> None:
    """log N plus half the variance of a logit, (1 - 1/N) of it."""
    found = card("sup_con", temperature=1.0)
    count = 10 * 5 - 1
    assert found.random_value(dim=64) == pytest.approx(math.log(count) + (1 - 1 / count) / (2 * 64), abs=1e-4)


@pytest.mark.parametrize(("name", "settings"), VARIANTS)
def test_nothing_is_below_the_floor(name: str, settings: dict[str, Any]) -> None:
    """Gradient descent from random points on the loss itself, class vectors included, doesn't get there."""
    random = torch.Generator().manual_seed(1)
    labels = labels_of(3, 3)
    z = torch.randn(9, 3, generator=random, dtype=torch.float64, requires_grad=True)
    w = torch.randn(3, 3, generator=random, dtype=torch.float64)
    loss = criterion(name, settings, normalize(w, dim=-1))
    optimizer = torch.optim.Adam([z, *loss.parameters()], lr=0.05)
    values = []
    for _ in range(300):
        optimizer.zero_grad()
        value = loss(normalize(z, dim=-1), labels)
        value.backward()
        optimizer.step()
        values.append(value.item())
    floor = card(name, **settings).floor(classes=3, per_class=3)
    assert min(values) >= floor - 1e-9
    assert min(values) < floor + 0.2 * (values[0] - floor)


def test_numbers_that_are_known() -> None:
    assert card("n_pair", scale=1.0).floor() == pytest.approx(1.376935, abs=1e-6)
    assert card("n_pair", scale=1.0).floor(classes=100) == pytest.approx(3.612, abs=1e-3)
    assert card("n_pair", scale=1.0).floor(classes=200) == pytest.approx(4.302, abs=1e-3)
    assert card("sup_con").floor(classes=10, per_class=5) == pytest.approx(1.386463, abs=1e-6)
    assert card("sup_con").floor(classes=10, per_class=6) == pytest.approx(math.log(5 + 54 * math.exp(-100 / 9)))
    assert card("info_nce", temperature=0.1).floor(per_class=6) == pytest.approx(8e-4, rel=0.01)
    assert card("contrastive").floor() == card("triplet").floor() == card("triplet", squared=True).floor() == 0
    assert card("arcface").floor() < 1e-26


def test_the_floor_of_a_batch_with_some_of_the_classes() -> None:
    """The simplex has a corner for each class there is; negatives are those of the batch."""
    corners, chosen = simplex(6), labels_of(3, 2)
    for name, settings in VARIANTS:
        loop, _ = both(name, settings, corners[chosen], chosen, corners)
        found = card(name, **settings).floor(classes=6, per_class=2, batch_classes=3)
        assert found == pytest.approx(loop, abs=1e-9), name


def test_one_positive_for_each_anchor() -> None:
    composition = {"classes": 4, "per_class": 5, "sampling": "one_tuple"}
    assert card("contrastive", margin=0.6).collapse_value(**composition) == pytest.approx(0.36 / 2)
    assert card("sup_con").floor(**composition) == pytest.approx(card("info_nce", temperature=0.1).floor(**composition))
    assert card("sup_con", sum_outside=False).collapse_value(**composition) == pytest.approx(math.log(16))


@pytest.mark.parametrize("scale", [1.0, 2.0])
@pytest.mark.parametrize("penalty", [0.005, 0.02, 0.3, 3.0])
def test_the_floor_of_embeddings_of_any_length(penalty: float, scale: float) -> None:
    corners, labels = simplex(5), labels_of(5, 2)
    settings = {"scale": scale, "penalty": penalty}
    lengths = np.linspace(0, 6, 6001)
    gap = 5 / 4
    values = np.log1p(4 * np.exp(-scale * lengths**2 * gap)) + penalty * lengths**2
    found = card("n_pair", unit_length=False, **settings)
    assert found.floor(classes=5) == pytest.approx(values.min(), abs=1e-6)
    best = float(lengths[values.argmin()])
    assert found.floor(classes=5) == pytest.approx(
        measured("n_pair", settings, best * corners[labels], labels, corners), abs=1e-6
    )
    assert found.bound() == math.inf
    assert card("n_pair", unit_length=False, scale=scale).floor() == 0


@pytest.mark.parametrize("name", CARDS)
def test_a_single_sample_of_each_class(name: str) -> None:
    found: Card = CARDS[name]
    if found.kind in ("pair", "sample"):
        assert found.floor(per_class=1) >= 0
    else:
        with pytest.raises(InvalidInput, match="has no term without a positive"):
            found.floor(per_class=1)


@pytest.mark.parametrize(
    ("composition", "said"),
    [
        ({"classes": 1}, "expected at least 2"),
        ({"classes": 4, "batch_classes": 5}, "no more in a batch"),
        ({"per_class": 0}, "expected at least 1"),
        ({"dim": 1}, "expected at least 2: in one dimension"),
    ],
)
def test_an_impossible_composition(composition: dict[str, int], said: str) -> None:
    with pytest.raises(InvalidInput, match=said):
        CARDS["info_nce"].random_value(**composition)


def test_a_scale_too_steep_to_integrate() -> None:
    with pytest.raises(InvalidInput, match="scale of at most 500"):
        card("arcface", scale=5000.0).random_value(dim=8)
