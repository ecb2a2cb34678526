"""What every loss of the table keeps, and that each has a naive twin and known values at collapse."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import reference
from losscope.criterion import Criterion
from losscope.losses import LOSSES
from losscope.testing import check_loss

VARIANTS = [
    ("contrastive", {}),
    ("contrastive", {"margin": 0.4}),
    ("triplet", {}),
    ("triplet", {"squared": True}),
    ("triplet", {"margin": 0.2, "squared": True}),
]


def naive_contrastive(z: np.ndarray, labels: list[int], *, margin: float) -> list[reference.Term]:
    return [reference.contrastive_term(z, i, j, same, margin) for i, j, same in reference.pairs_of(labels)]


def naive_triplet(z: np.ndarray, labels: list[int], *, margin: float, squared: bool) -> list[reference.Term]:
    return [reference.triplet_term(z, *one, margin, squared) for one in reference.triplets_of(labels)]


NAIVE: dict[str, Callable[..., list[reference.Term]]] = {
    "contrastive": naive_contrastive,
    "triplet": naive_triplet,
}


def simplex(classes: int, each: int) -> tuple[Tensor, Tensor]:
    """Collapsed classes at the corners of a regular simplex on the unit sphere."""
    corners = normalize(torch.eye(classes, dtype=torch.float64) - 1 / classes, dim=-1)
    labels = torch.arange(classes).repeat_interleave(each)
    return corners[labels], labels


def test_every_loss_has_a_naive_twin_and_is_in_the_variants() -> None:
    assert set(NAIVE) == set(LOSSES) == {name for name, _ in VARIANTS}


@pytest.mark.parametrize(("name", "hyperparameters"), VARIANTS)
def test_the_contract(name: str, hyperparameters: dict[str, object]) -> None:
    check_loss(LOSSES[name], **hyperparameters)


@pytest.mark.parametrize("labels", [[0, 0, 0, 1, 1, 2, -1, -1], [0, 0, 1, 1], [3, 3, 3], [0, 1, 2], [-1, -1, 5]])
@pytest.mark.parametrize(("name", "hyperparameters"), VARIANTS)
def test_value_and_gradient_of_a_batch_equal_the_naive_loop(
    name: str, hyperparameters: dict[str, object], labels: list[int]
) -> None:
    random = torch.Generator().manual_seed(1)
    z = normalize(torch.randn(len(labels), 4, generator=random, dtype=torch.float64), dim=-1)
    criterion = Criterion(name, **hyperparameters)
    leaf = z.clone().requires_grad_()
    loss = criterion(leaf, torch.tensor(labels))
    loss.backward()
    naive = NAIVE[name](z.numpy(), labels, **criterion.hyperparameters)
    value, gradient = reference.mean_of(naive, z.numpy())
    assert loss.item() == pytest.approx(value, abs=1e-14)
    assert leaf.grad is not None
    np.testing.assert_allclose(leaf.grad.numpy(), gradient, atol=1e-13)


@pytest.mark.parametrize("margin", [0.4, 1.0])
def test_values_at_total_collapse(margin: float) -> None:
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, -1])
    z = torch.full((9, 4), 0.5, dtype=torch.float64)
    pairs = reference.pairs_of(labels.tolist())
    negative_share = sum(not same for *_, same in pairs) / len(pairs)
    assert Criterion("contrastive", margin=margin)(z, labels).item() == pytest.approx(
        negative_share * margin**2, abs=1e-5  # distances are at least 1e-6, so that their gradient is finite
    )  # fmt: skip
    for squared in (False, True):
        loss = Criterion("triplet", margin=margin, squared=squared)(z, labels)
        assert loss.item() == pytest.approx(margin, abs=1e-12)


@pytest.mark.parametrize("classes", [3, 10])
def test_floors_at_the_collapsed_simplex(classes: int) -> None:
    """0 while the margin can be met: up to √(2C/(C-1)) for distances, 2C/(C-1) for squared ones."""
    z, labels = simplex(classes, 3)
    far = (2 * classes / (classes - 1)) ** 0.5
    for name, hyperparameters, reach in [
        ("contrastive", {}, far),
        ("triplet", {"squared": False}, far),
        ("triplet", {"squared": True}, far**2),
    ]:
        met = Criterion(name, margin=reach - 1e-6, **hyperparameters)(z, labels)
        assert met.item() == pytest.approx(0, abs=1e-5)
        missed = Criterion(name, margin=reach + 0.25, **hyperparameters)(z, labels)
        share = 0.25**2 * (classes - 1) * 3 / (classes * 3 - 1) if name == "contrastive" else 0.25
        assert missed.item() == pytest.approx(share, rel=1e-4)


def test_ten_collapsed_classes_lie_at_the_known_distance() -> None:
    z, _ = simplex(10, 1)
    gaps = torch.pdist(z)
    assert gaps.max().item() == pytest.approx(1.490712, abs=1e-6)
    assert gaps.square().mean().item() == pytest.approx(2.222222, abs=1e-6)
