"""What every loss of the table keeps, and that each equals its naive twin: every term, its gradient, and the mean."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import reference
import reference_softmax
from losscope.criterion import Criterion
from losscope.losses import LOSSES
from losscope.losses.reductions import mean_over_valid
from losscope.testing import check_loss
from reference import Array, Term

VARIANTS: list[tuple[str, dict[str, Any]]] = [
    ("contrastive", {}),
    ("contrastive", {"margin": 0.4}),
    ("triplet", {}),
    ("triplet", {"squared": True}),
    ("triplet", {"margin": 0.2, "squared": True}),
    ("n_pair", {}),
    ("n_pair", {"scale": 1.0, "penalty": 0.02}),
    ("info_nce", {}),
    ("info_nce", {"temperature": 0.5}),
    ("sup_con", {}),
    ("sup_con", {"sum_outside": False}),
    ("sup_con", {"temperature": 0.5}),
    ("arcface", {}),
    ("arcface", {"margin": 1.2, "scale": 4.0}),  # some angles beyond π - m
    ("arcface", {"margin": 0.0, "scale": 16.0}),
    ("center_contrastive", {}),
    ("center_contrastive", {"margin": 0.0, "scale": 10.0, "center_weight": 0.0}),
    ("center_contrastive", {"margin": 0.35, "scale": 1.0, "center_weight": 0.3}),
]

LABELS = [
    [0, 0, 0, 1, 1, 2, -1, -1], [0, 0, 1, 1], [2, 0, 1, 2, 0, 1, 1, 2], [3, 3, 3], [0, 1, 2], [-1, -1, 5], [5],
]  # fmt: skip
CLASSES, DIM = 6, 4


def naive_contrastive(z: Array, labels: list[int], *, margin: float) -> list[Term]:
    return [reference.contrastive_term(z, i, j, same, margin) for i, j, same in reference.pairs_of(labels)]


def naive_triplet(z: Array, labels: list[int], *, margin: float, squared: bool) -> list[Term]:
    return [reference.triplet_term(z, *one, margin, squared) for one in reference.triplets_of(labels)]


def naive_n_pair(f: Array, labels: list[int], **given: Any) -> list[Term]:
    return [reference_softmax.n_pair_term(f, *one, **given) for one in reference_softmax.blocks_of(labels)]


def naive_info_nce(z: Array, labels: list[int], **given: Any) -> list[Term]:
    return [
        reference_softmax.info_nce_term(z, anchor, positive, negatives, **given)
        for anchor, positives, negatives in reference_softmax.contrasts_of(labels)
        for positive in positives
        if negatives
    ]


def naive_sup_con(z: Array, labels: list[int], **given: Any) -> list[Term]:
    return [reference_softmax.sup_con_term(z, *one, **given) for one in reference_softmax.contrasts_of(labels)]


def of_samples(term: Callable[..., Term]) -> Callable[..., list[Term]]:
    def naive(z: Array, labels: list[int], proxies: Array, **given: Any) -> list[Term]:
        return [term(z, proxies, row, label, **given) for row, label in enumerate(labels) if label != -1]

    return naive


NAIVE: dict[str, Callable[..., list[Term]]] = {
    "contrastive": naive_contrastive,
    "triplet": naive_triplet,
    "n_pair": naive_n_pair,
    "info_nce": naive_info_nce,
    "sup_con": naive_sup_con,
    "arcface": of_samples(reference_softmax.arcface_term),
    "center_contrastive": of_samples(reference_softmax.center_contrastive_term),
}


def criterion_of(name: str, hyperparameters: dict[str, Any]) -> Criterion:
    """In float64, with class vectors that are not of unit length."""
    if not LOSSES[name].proxies:
        return Criterion(name, **hyperparameters)
    made = Criterion(name, classes=CLASSES, dim=DIM, **hyperparameters).double()
    with torch.no_grad():
        made.proxies.copy_(drawn(CLASSES, seed=2))  # type: ignore[union-attr]
    return made


def drawn(count: int, seed: int = 1) -> Tensor:
    return torch.randn(count, DIM, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def naive_terms(criterion: Criterion, z: Tensor, labels: list[int]) -> tuple[list[Term], Array]:
    """All terms of a batch, and the points that their gradients are for: embeddings, then class vectors."""
    if criterion.proxies is None:
        return NAIVE[criterion.name](z.numpy(), labels, **criterion.hyperparameters), z.numpy()
    proxies = criterion.proxies.detach().numpy()
    terms = NAIVE[criterion.name](z.numpy(), labels, proxies, **criterion.hyperparameters)
    return terms, np.concatenate([z.numpy(), proxies])


def gradients(criterion: Criterion, value: Tensor, leaf: Tensor) -> Array:
    """With respect to the embeddings, then the class vectors."""
    leaves = [leaf, *criterion.parameters()]
    found = torch.autograd.grad(value, leaves, allow_unused=True)
    return np.concatenate([
        np.zeros(one.shape) if gradient is None else gradient.numpy()
        for one, gradient in zip(leaves, found, strict=True)
    ])  # fmt: skip


def test_every_loss_has_a_naive_twin_and_is_in_the_variants() -> None:
    assert set(NAIVE) == set(LOSSES) == {name for name, _ in VARIANTS}


@pytest.mark.parametrize(("name", "hyperparameters"), VARIANTS)
def test_the_contract(name: str, hyperparameters: dict[str, Any]) -> None:
    check_loss(LOSSES[name], **hyperparameters)


@pytest.mark.parametrize("unit_length", [True, False])
@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize(("name", "hyperparameters"), VARIANTS)
def test_terms_and_their_mean_equal_the_naive_loop(
    name: str, hyperparameters: dict[str, Any], labels: list[int], unit_length: bool
) -> None:
    z = normalize(drawn(len(labels)), dim=-1) if unit_length else drawn(len(labels))
    criterion = criterion_of(name, hyperparameters)
    naive, points = naive_terms(criterion, z, labels)
    leaf = z.clone().requires_grad_()

    terms, _ = criterion.terms(leaf, torch.tensor(labels))
    found = terms.values[terms.valid]
    np.testing.assert_allclose(found.detach().numpy(), [value for value, _ in naive], rtol=1e-12, atol=1e-13)
    assert not terms.values[~terms.valid].any()
    weights = torch.linspace(0.5, 2.0, len(naive), dtype=torch.float64)  # tell the terms apart
    expected = sum((w * g for w, (_, g) in zip(weights.tolist(), naive, strict=True)), np.zeros_like(points))
    np.testing.assert_allclose(gradients(criterion, (found * weights).sum(), leaf), expected, rtol=1e-10, atol=1e-11)

    loss = criterion(leaf, torch.tensor(labels))
    value, gradient = reference.mean_of(naive, points)
    assert loss.item() == pytest.approx(value, rel=1e-13, abs=1e-14)
    np.testing.assert_allclose(gradients(criterion, loss, leaf), gradient, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize(("name", "hyperparameters"), [one for one in VARIANTS if LOSSES[one[0]].proxies])
def test_the_gradient_of_class_vectors_is_the_derivative(name: str, hyperparameters: dict[str, Any]) -> None:
    criterion, labels = criterion_of(name, hyperparameters), torch.tensor(LABELS[0])
    samples = criterion.terms(drawn(8), labels)[1]

    def values(points: Tensor, proxies: Tensor) -> Tensor:
        terms: Tensor = LOSSES[name].terms(points, samples, proxies=proxies, **criterion.hyperparameters).values
        return terms

    assert torch.autograd.gradcheck(values, (drawn(8).requires_grad_(), drawn(CLASSES, seed=2).requires_grad_()))


def naive_residuals(criterion: Criterion, z: Tensor, labels: list[int]) -> list[float]:
    """1 - q of what is drawn to; for SupCon half the sum of |q - target|."""
    given = criterion.hyperparameters
    if criterion.name != "sup_con":
        plain = criterion_of(criterion.name, given | {key: 0.0 for key in ("penalty", "center_weight") if key in given})
        return [1 - np.exp(-value) for value, _ in naive_terms(plain, z, labels)[0]]
    residuals = []
    for anchor, positives, negatives in reference_softmax.contrasts_of(labels):
        logits = [float(z[anchor] @ z[row]) / given["temperature"] for row in [*positives, *negatives]]
        share = reference_softmax.shares(logits)
        of_positives = sum(share[: len(positives)])
        target = 1 / len(positives)
        apart = sum(abs(q - target) for q in share[: len(positives)]) + 1 - of_positives
        residuals.append(apart / 2 if given["sum_outside"] else 1 - of_positives)
    return residuals


@pytest.mark.parametrize("labels", LABELS[:3])
@pytest.mark.parametrize(("name", "hyperparameters"), [one for one in VARIANTS if LOSSES[one[0]].residual])
def test_residuals_equal_the_naive_loop(name: str, hyperparameters: dict[str, Any], labels: list[int]) -> None:
    z, criterion = normalize(drawn(len(labels)), dim=-1), criterion_of(name, hyperparameters)
    terms, tuples = criterion.terms(z, torch.tensor(labels))
    own = {} if criterion.proxies is None else {"proxies": criterion.proxies.detach()}
    residual = LOSSES[name].residual
    assert residual is not None
    found = residual(z, tuples, **criterion.hyperparameters, **own)
    assert torch.equal(found.valid, terms.valid)
    assert not found.values[~found.valid].any()
    np.testing.assert_allclose(found.values[found.valid], naive_residuals(criterion, z, labels), rtol=1e-9, atol=1e-14)


def test_only_a_loss_that_saturates_has_no_residual() -> None:
    """There the indicator of a term above 0 says it."""
    assert {name for name, loss in LOSSES.items() if loss.residual is None} == {
        name for name, loss in LOSSES.items() if loss.saturates
    }


def test_the_mean_is_over_valid_terms() -> None:
    criterion = Criterion("sup_con")
    labels = torch.tensor([0, 0, 1, 2])  # two anchors have no positive
    terms, _ = criterion.terms(drawn(4), labels)
    assert terms.valid.tolist() == [True, True, False, False]
    assert torch.equal(mean_over_valid(terms), terms.values[:2].mean())
