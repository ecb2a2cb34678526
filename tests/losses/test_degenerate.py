"""Batches that offer too little: never NaN, and what happens instead is what the loss's card says."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.criterion import Criterion
from losscope.losses import LOSSES, arcface, sup_con
from losscope.losses.tuples import all_contrasts, all_tuples
from losscope.types import Samples

CLASSES, DIM = 4, 5
VARIANTS: list[tuple[str, dict[str, Any]]] = [
    *((name, {}) for name in LOSSES),
    ("triplet", {"squared": True}),
    ("n_pair", {"penalty": 0.02}),
    ("sup_con", {"sum_outside": False}),
    ("arcface", {"margin": 3.0}),
    ("center_contrastive", {"center_weight": 0.0}),
]
EMPTY: dict[str, dict[str, bool]] = {  # is there no term at all?
    "one class": {"contrastive": False, "triplet": True, "n_pair": True, "info_nce": True, "sup_con": False},
    "no positives": {"contrastive": False, "triplet": True, "n_pair": True, "info_nce": True, "sup_con": True},
    "outliers only": dict.fromkeys(LOSSES, True),
    "one sample": {"contrastive": True, "triplet": True, "n_pair": True, "info_nce": True, "sup_con": True},
}
LABELS = {
    "one class": torch.tensor([1] * 6),
    "no positives": torch.tensor([0, 1, 2, 3, -1, -1]),
    "outliers only": torch.tensor([-1] * 6),
    "one sample": torch.tensor([2]),
    "one class and outliers": torch.tensor([1, 1, 1, -1, -1, -1]),
    "usual": torch.tensor([0, 0, 1, 1, 2, -1]),
}


def points(samples: int = 6, dtype: torch.dtype = torch.float32) -> Tensor:
    drawn = torch.randn(samples, DIM, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return normalize(drawn, dim=-1).to(dtype)


def of(name: str, hyperparameters: dict[str, Any] | None = None, **options: Any) -> Criterion:
    torch.manual_seed(0)
    size = {"classes": CLASSES, "dim": DIM} if LOSSES[name].proxies else {}
    return Criterion(name, **size, **options, **(hyperparameters or {}))


def finite(criterion: Criterion, z: Tensor, labels: Tensor, *, autocast: bool = False) -> tuple[float, Tensor]:
    """The loss and its gradient; neither, nor that of class vectors, may be anything but finite."""
    leaf = z.detach().clone().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=autocast):
        assert not autocast or (leaf @ leaf.T).dtype == torch.bfloat16
        loss = criterion(leaf, labels)
    gradient, *others = torch.autograd.grad(loss, [leaf, *criterion.parameters()])
    assert loss.isfinite()
    assert all(one.isfinite().all() for one in (gradient, *others))
    return loss.item(), gradient


@pytest.mark.parametrize(("name", "hyperparameters"), VARIANTS)
@pytest.mark.parametrize("case", EMPTY)
def test_what_offers_no_term_is_0_with_gradient_0(name: str, hyperparameters: dict[str, Any], case: str) -> None:
    criterion, labels = of(name, hyperparameters), LABELS[case]
    value, gradient = finite(criterion, points(len(labels)), labels)
    terms, _ = criterion.terms(points(len(labels)), labels)
    if EMPTY[case].get(name, False):
        assert (value, bool(gradient.any())) == (0.0, False)
        assert not terms.valid.any()
    else:
        assert value > 0
        assert terms.valid.any()


def test_one_class_leaves_its_positives_to_sup_con_and_its_pairs_to_contrastive() -> None:
    z, labels = points(), LABELS["one class"]
    squared = torch.pdist(z).square().mean().item()
    assert finite(of("contrastive"), z, labels)[0] == pytest.approx(squared, rel=1e-5)
    assert finite(of("sup_con"), z, labels)[0] > math.log(5)
    value, gradient = finite(of("sup_con", {"sum_outside": False}), z, labels)
    assert value == pytest.approx(math.log(5), rel=1e-6)
    assert gradient.abs().max() < 1e-6


@pytest.mark.parametrize("name", ["triplet", "n_pair", "info_nce", "sup_con", "contrastive"])
def test_outliers_are_negatives_of_a_single_class(name: str) -> None:
    """But not for N-pair, whose negatives are positives of others."""
    value, gradient = finite(of(name), points(), LABELS["one class and outliers"])
    assert (value > 0) == bool(gradient.any()) == (name != "n_pair")


# places ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "hyperparameters"), VARIANTS)
@pytest.mark.parametrize("case", LABELS)
def test_duplicates_and_opposites_and_zeros(name: str, hyperparameters: dict[str, Any], case: str) -> None:
    labels = LABELS[case]
    z, criterion = points(len(labels)), of(name, hyperparameters)
    signs = torch.tensor([1.0, -1, 1, -1, 1, -1])[: len(z)].unsqueeze(1)
    for given in (
        z[:1].expand_as(z),  # all at one point
        z[:1] * signs,  # at two opposite ones
        z[torch.tensor([0, 0, 1, 0, 1, 2]).clamp_max(len(z) - 1)[: len(z)]],
        torch.zeros_like(z),
        z * (signs > 0),  # some are 0
        z * 1e4,
        z * 1e-4,
    ):
        finite(criterion, given, labels)
        finite(of(name, hyperparameters, normalize=True), given, labels)


def test_zero_vectors_have_the_value_on_the_cards() -> None:
    z, labels = torch.zeros(6, DIM), torch.tensor([0, 0, 1, 1, 2, 2])
    assert finite(of("n_pair"), z, labels)[0] == pytest.approx(math.log(3))
    assert finite(of("info_nce"), z, labels)[0] == pytest.approx(math.log(1 + 4))
    assert finite(of("sup_con"), z, labels)[0] == pytest.approx(math.log(1 + 4))
    value, _ = finite(of("arcface", {"margin": 0.5, "scale": 4.0}), z, labels)  # cosine 0 with all class vectors
    assert value == pytest.approx(math.log1p(3 * math.exp(4.0 * math.sin(0.5))), rel=1e-6)
    value, _ = finite(of("center_contrastive", {"scale": 4.0}), z, labels)
    assert value == pytest.approx(math.log1p(3 * math.exp(4.0 * 0.2)) + 2, rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("margin", [0.0, 0.5, 3.0])
@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_arcface_on_its_class_vector_and_opposite_to_it(sign: float, margin: float, dtype: torch.dtype) -> None:
    """cos θ = ±1, where the derivative of the angle is infinite: the pull to the own class vector is 0 there."""
    vectors = torch.eye(3, dtype=dtype)
    z, w = (sign * vectors[:1]).requires_grad_(), vectors.clone().requires_grad_()
    samples = Samples(torch.tensor([0]), torch.tensor([True]))
    value = arcface(z, samples, proxies=w, margin=margin, scale=2.0).values
    gradients = torch.autograd.grad(value, (z, w))
    assert value.isfinite()
    assert all(gradient.isfinite().all() for gradient in gradients)
    cosine = math.cos(margin) if sign > 0 else -1 - margin * math.sin(margin) if margin else -1.0
    assert value.item() == pytest.approx(math.log1p(2 * math.exp(-2.0 * cosine)), abs=6e-3)
    assert gradients[0][0, 0] == 0
    assert gradients[1][0].abs().max() == 0
    near = torch.tensor([[sign, 0.01, 0.0]], dtype=dtype, requires_grad=True)  # and a little beside there is one
    (gradient,) = torch.autograd.grad(arcface(near, samples, proxies=w, margin=margin, scale=2.0).values, near)
    assert gradient.isfinite().all()
    assert gradient.any()


@pytest.mark.parametrize("name", ["arcface", "center_contrastive"])
def test_a_class_vector_of_length_0_is_at_cosine_0(name: str) -> None:
    criterion = of(name)
    with torch.no_grad():
        criterion.proxies.zero_()  # type: ignore[union-attr]
    value, gradient = finite(criterion, points(), LABELS["usual"])
    assert value > 0
    assert not gradient.any()


def test_one_class_vector_at_all() -> None:
    labels = torch.zeros(6, dtype=torch.int64)
    only = Criterion("arcface", classes=1, dim=DIM)
    assert finite(only, points(), labels)[0] == 0
    pulled = Criterion("center_contrastive", classes=1, dim=DIM)
    value, gradient = finite(pulled, points(), labels)
    assert value > 0
    assert gradient.any()


# precision ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "hyperparameters"), VARIANTS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_computed_in_float32(name: str, hyperparameters: dict[str, Any], dtype: torch.dtype) -> None:
    for case, labels in LABELS.items():
        z, criterion = points(len(labels), dtype), of(name, hyperparameters)
        value, gradient = finite(criterion, z, labels)
        expected, exact = finite(criterion, z.float(), labels)
        assert value == expected, case
        assert gradient.dtype == dtype
        torch.testing.assert_close(gradient, exact.to(dtype))


@pytest.mark.parametrize("name", LOSSES)
def test_autocast_outside_changes_nothing(name: str) -> None:
    value, gradient = finite(of(name), points(), LABELS["usual"])
    under, its_gradient = finite(of(name), points(), LABELS["usual"], autocast=True)
    assert under == value
    assert torch.equal(its_gradient, gradient)


@pytest.mark.parametrize("name", LOSSES)
def test_a_bare_function_under_autocast_has_a_gradient_of_the_type_of_its_embeddings(name: str) -> None:
    labels, loss = LABELS["usual"], LOSSES[name]
    leaf = points().float().requires_grad_()
    own = {"proxies": normalize(torch.randn(CLASSES, DIM), dim=-1)} if loss.proxies else {}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        values = loss.terms(leaf, all_tuples(loss, labels, CLASSES), **own).values
        values.float().sum().backward()
    assert leaf.grad is not None
    assert leaf.grad.dtype == torch.float32
    assert leaf.grad.isfinite().all()


def test_the_bare_function_refuses_float16() -> None:
    """It can't hold the logit of an excluded candidate."""
    with pytest.raises(RuntimeError, match="overflow"):
        sup_con(points(dtype=torch.float16), all_contrasts(LABELS["usual"]))
