"""Values that can be derived by hand: total collapse, and classes collapsed to the corners of a regular simplex."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

import reference
from losscope.criterion import Criterion
from losscope.losses import LOSSES


def simplex(classes: int, each: int) -> tuple[Tensor, Tensor]:
    """Collapsed classes at the corners of a regular simplex on the unit sphere; labels in turn."""
    corners = normalize(torch.eye(classes, dtype=torch.float64) - 1 / classes, dim=-1)
    labels = torch.arange(classes).repeat(each)
    return corners[labels], labels


def of(name: str, proxies: Tensor | None = None, **hyperparameters: Any) -> Criterion:
    if proxies is None:
        return Criterion(name, **hyperparameters)
    made = Criterion(name, classes=len(proxies), dim=proxies.shape[1], **hyperparameters).double()
    with torch.no_grad():
        made.proxies.copy_(proxies)  # type: ignore[union-attr]
    return made


def at_simplex(name: str, classes: int, each: int, **hyperparameters: Any) -> float:
    z, labels = simplex(classes, each)
    proxies = simplex(classes, 1)[0] if LOSSES[name].proxies else None
    value: float = of(name, proxies, **hyperparameters)(z, labels).item()
    return value


# hinges ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.4, 1.0])
def test_hinges_at_total_collapse(margin: float) -> None:
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
def test_hinges_at_the_collapsed_simplex(classes: int) -> None:
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


# softmax --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "classes", "each", "hyperparameters", "value"),
    [
        ("n_pair", 10, 2, {"scale": 1.0}, 1.376935),
        ("n_pair", 10, 5, {"scale": 1.0}, 1.376935),  # whatever the number of samples
        ("n_pair", 100, 2, {"scale": 1.0}, 3.612),
        ("n_pair", 200, 2, {"scale": 1.0}, 4.302),
        ("n_pair", 10, 2, {}, 1.3e-4),
        ("n_pair", 200, 2, {}, 8.6e-3),
        ("sup_con", 10, 5, {}, 1.386463),
        ("sup_con", 10, 6, {}, 1.610),
        ("sup_con", 10, 51, {}, 3.9),
    ],
)
def test_published_floors(name: str, classes: int, each: int, hyperparameters: dict[str, Any], value: float) -> None:
    digits = len(f"{value:g}".split(".")[-1]) if value > 0.01 else 4
    assert at_simplex(name, classes, each, **hyperparameters) == pytest.approx(value, abs=0.6 * 10**-digits)


@pytest.mark.parametrize("scale", [1.0, 4.0, 10.0])
@pytest.mark.parametrize(("classes", "each"), [(3, 2), (10, 5)])
def test_floors_of_softmax_losses(classes: int, each: int, scale: float) -> None:
    """The classes at the corners of the simplex: cosines 1 and -1/(C - 1), a gap of C/(C - 1) to every other class."""
    gap, others, negatives = classes / (classes - 1), classes - 1, (classes - 1) * each

    def close(value: float) -> Any:
        return pytest.approx(value, rel=1e-12)

    def found(name: str, **given: Any) -> float:
        return at_simplex(name, classes, each, **given)

    assert found("n_pair", scale=scale) == close(math.log1p(others * math.exp(-scale * gap)))
    assert found("n_pair", scale=scale, penalty=0.3) == close(math.log1p(others * math.exp(-scale * gap)) + 0.3)
    assert found("info_nce", temperature=1 / scale) == close(math.log1p(negatives * math.exp(-scale * gap)))
    for sum_outside in (True, False):  # all positives alike: L_in is L_out
        floor = math.log(each - 1 + negatives * math.exp(-scale * gap))
        assert found("sup_con", temperature=1 / scale, sum_outside=sum_outside) == close(floor)
    for weight in (0.0, 1.0):  # the centers are met
        floor = math.log1p(others * math.exp(-scale * (gap - 0.2)))
        assert found("center_contrastive", scale=scale, center_weight=weight) == close(floor)
    nearest = math.acos(1 - 1e-6)  # what the angle is kept above
    for angle, precision in ((nearest, 1e-12), (0.0, 0.01)):
        floor = math.log1p(others * math.exp(-scale * (math.cos(0.5 + angle) + 1 / others)))
        assert found("arcface", scale=scale) == pytest.approx(floor, rel=precision)


@pytest.mark.parametrize("name", [name for name, loss in LOSSES.items() if loss.residual])
def test_nothing_pulls_at_the_collapsed_simplex(name: str) -> None:
    """The tangential gradient is 0 although the losses are not. Also ArcFace's, whose pull jumps to 0 at its cusp."""
    z, labels = simplex(4, 3)
    proxies = simplex(4, 1)[0] if LOSSES[name].proxies else None
    scale = {"temperature": 0.5} if name in ("info_nce", "sup_con") else {"scale": 2.0}
    leaf = z.requires_grad_()
    loss = of(name, proxies, **scale)(leaf, labels)
    (gradient,) = torch.autograd.grad(loss, leaf)
    tangential = gradient - z * (gradient * z).sum(-1, keepdim=True)
    assert loss.item() > 0.01
    assert tangential.norm(dim=-1).max() < 1e-15
    assert name in ("arcface", "center_contrastive") or gradient.norm() > 0.01


@pytest.mark.parametrize(("name", "value"), [("n_pair", 0.7476), ("sup_con", 0.0), ("info_nce", None)])
def test_residuals_at_the_collapsed_simplex(name: str, value: float | None) -> None:
    """SupCon has what it wants; N-pair at scale 1 is as near as it can get, and still misses three quarters."""
    z, labels = simplex(10, 5)
    criterion = of(name, **({"scale": 1.0} if name == "n_pair" else {"temperature": 0.1}))
    residual = LOSSES[name].residual
    assert residual is not None
    found = residual(z, criterion.terms(z, labels)[1], **criterion.hyperparameters)
    expected = 45 * math.exp(-100 / 9) / (1 + 45 * math.exp(-100 / 9)) if value is None else value
    assert found.values[found.valid].numpy() == pytest.approx(expected, abs=2e-4)


@pytest.mark.parametrize("name", ["n_pair", "info_nce", "sup_con"])
def test_at_total_collapse_a_softmax_is_the_logarithm_of_a_count(name: str) -> None:
    """Whatever the temperature."""
    labels = torch.tensor([0, 0, 0, 1, 1, 1, 2, 2, 2])
    z = torch.full((9, 4), 0.5, dtype=torch.float64, requires_grad=True)
    count = {"n_pair": 3, "info_nce": 1 + 6, "sup_con": 8}[name]
    for sharpness in (0.07, 1.0):
        loss = of(name, **{"scale" if name == "n_pair" else "temperature": sharpness})(z, labels)
        assert loss.item() == pytest.approx(math.log(count), rel=1e-12)
    assert of("sup_con", sum_outside=False)(z, labels).item() == pytest.approx(math.log(8), rel=1e-12)


def test_class_vectors_at_total_collapse() -> None:
    """Everything at one point, the class vectors too: only the margin is left."""
    labels, point = torch.tensor([0, 1, 2, 3]), torch.full((4, 4), 0.5, dtype=torch.float64)
    found = of("center_contrastive", point, margin=0.2, scale=5.0)(point, labels)
    assert found.item() == pytest.approx(math.log1p(3 * math.exp(5.0 * 0.2)), rel=1e-12)
    found = of("arcface", point, margin=0.5, scale=5.0)(point, labels)
    assert found.item() == pytest.approx(math.log1p(3 * math.exp(5.0 * (1 - math.cos(0.5)))), rel=1e-2)


@pytest.mark.parametrize(("batch", "stuck"), [(64, 6.9203), (256, 8.9091)])
def test_where_trainings_of_the_authors_code_are_reported_to_stick(batch: int, stuck: float) -> None:
    """Two issues of the SupCon repository report a loss that stays at 6.920 (batches of 64) and at 8.909 (256). That is
    total collapse: two views of each image make 2B samples, and the loss is log(2B - 1), times 0.1/0.07 there."""
    labels = torch.arange(10).repeat(batch // 5 + 1)[: 2 * batch]
    loss = Criterion("sup_con", temperature=0.1)(torch.full((2 * batch, 4), 0.5), labels).item()
    assert loss == pytest.approx(math.log(2 * batch - 1), rel=1e-6)
    assert loss * 0.1 / 0.07 == pytest.approx(stuck, abs=5e-5)
