"""A card agrees with the loss of its name, and with what it says of other libraries and of degenerate batches."""

from __future__ import annotations

import inspect
import math
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import pytorch_metric_learning
import torch
from pytorch_metric_learning import losses as pml
from pytorch_metric_learning.distances import LpDistance
from torch import Tensor
from torch.nn.functional import normalize

import losscope
from cards.scenes import criterion, labels_of, measured, simplex
from losscope.cards import CARDS, Card, card
from losscope.cards.margins import contrastive_margin, contrastive_similarity, triplet_gap, triplet_margin
from losscope.errors import InvalidStudy, UnknownName
from losscope.losses import LOSSES
from losscope.losses.binding import bind
from losscope.losses.tuples import all_tuples


def test_every_loss_has_a_card() -> None:
    assert set(CARDS) == set(LOSSES)
    assert [one.name for one in CARDS.values()] == list(CARDS)


@pytest.mark.parametrize("name", CARDS)
def test_card_and_loss_say_the_same(name: str) -> None:
    found, loss = CARDS[name], LOSSES[name]
    assert (found.kind, found.saturates) == (loss.kind, loss.saturates)
    assert found.defaults == bind(name, loss, {})
    assert list(found.defaults) == list(bind(name, loss, {}))
    assert found.hyperparameters == found.defaults
    assert set(found.meanings) == set(found.defaults)
    libraries = " ".join(one.library for one in found.elsewhere)
    assert all(library in libraries for library in ("pytorch-metric-learning", "sentence-transformers", "torch"))
    assert {"one class", "no positives", "duplicates", "zero vectors", "half precision"} == set(found.degenerate)


@pytest.mark.parametrize("value", [0, 0.0, -0.1, 0.3, 1, 1.5, math.inf, math.nan, True, False, "1", None])
@pytest.mark.parametrize(("name", "key"), [(name, key) for name in CARDS for key in CARDS[name].defaults])
def test_a_card_refuses_what_the_loss_refuses(name: str, key: str, value: Any) -> None:
    refused = refusal(lambda: bind(name, LOSSES[name], {key: value}))
    assert refusal(lambda: card(name, **{key: value})) == refused
    if refused is None:
        given, bound = card(name, **{key: value}).hyperparameters, bind(name, LOSSES[name], {key: value})
        assert given == bound
        assert type(given[key]) is type(bound[key])


def refusal(attempt: Callable[[], object]) -> str | None:
    """The message of an InvalidStudy."""
    try:
        attempt()
    except InvalidStudy as error:
        return str(error)
    return None


def test_unknown_names_are_told_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'triplet'"):
        card("triplett")
    with pytest.raises(UnknownName, match="did you mean 'temperature'"):
        card("sup_con", temperatur=0.1)


def test_the_door_of_the_package() -> None:
    assert losscope.card("triplet", squared=True) == card("triplet", squared=True)
    code = "import losscope, sys; losscope.card('sup_con').floor(); print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


# what the cards say of other libraries ------------------------------------------------------------------------


@pytest.fixture
def batch() -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(3)
    return normalize(torch.randn(12, 5, generator=random, dtype=torch.float64), dim=-1), labels_of(4, 3)


def default(function: type, name: str) -> Any:
    return inspect.signature(function.__init__).parameters[name].default


def test_the_version_that_was_read() -> None:
    named = {one.library.split()[-1] for found in CARDS.values() for one in found.elsewhere if "metric" in one.library}
    assert named == {"2.9.0"}
    if pytorch_metric_learning.__version__ != "2.9.0":
        pytest.skip(f"the cards were read from 2.9.0, this is {pytorch_metric_learning.__version__}")


def test_defaults_of_pytorch_metric_learning() -> None:
    assert (default(pml.ContrastiveLoss, "pos_margin"), default(pml.ContrastiveLoss, "neg_margin")) == (0, 1)
    assert default(pml.TripletMarginLoss, "margin") == 0.05
    assert default(pml.NTXentLoss, "temperature") == 0.07
    assert default(pml.SupConLoss, "temperature") == 0.1
    assert (default(pml.ArcFaceLoss, "margin"), default(pml.ArcFaceLoss, "scale")) == (28.6, 64)
    assert (default(pml.CosFaceLoss, "margin"), default(pml.CosFaceLoss, "scale")) == (0.35, 64)
    assert default(torch.nn.TripletMarginLoss, "margin") == 1
    assert default(torch.nn.TripletMarginLoss, "eps") == 1e-6
    assert default(torch.nn.CosineEmbeddingLoss, "margin") == 0


def test_contrastive_elsewhere(batch: tuple[Tensor, Tensor]) -> None:
    z, labels = batch
    distance = torch.cdist(z, z)
    same = labels.unsqueeze(0) == labels.unsqueeze(1)
    positive = distance[same & ~torch.eye(12, dtype=torch.bool)]
    negative = (1 - distance[~same]).clamp_min(0)
    assert pml.ContrastiveLoss()(z, labels).item() == pytest.approx(
        (positive.mean() + negative[negative > 0].mean()).item(), abs=1e-6
    )
    hinge = (1 - distance[~same] ** 2).clamp_min(0)
    assert pml.ContrastiveLoss(distance=LpDistance(power=2))(z, labels).item() == pytest.approx(
        ((positive**2).mean() + hinge[hinge > 0].mean()).item(), abs=1e-6
    )


def test_triplet_elsewhere(batch: tuple[Tensor, Tensor]) -> None:
    z, labels = batch
    terms, _ = criterion("triplet", {"margin": 0.05}, z).terms(z, labels)
    violating = terms.values[terms.valid & (terms.values > 0)]
    assert pml.TripletMarginLoss()(z, labels).item() == pytest.approx(violating.mean().item(), abs=1e-6)
    one = torch.nn.TripletMarginLoss()(z[:1], z[:1], z[:1])
    assert one.item() == pytest.approx(1)


def test_n_pair_elsewhere(batch: tuple[Tensor, Tensor]) -> None:
    z, labels = batch
    first = torch.arange(12).view(4, 3)[:, :2].flatten()  # the first pair of each class
    scores = z[first[::2]] @ z[first[1::2]].T
    expected = torch.nn.functional.cross_entropy(scores, torch.arange(4))
    assert pml.NPairsLoss()(z, labels).item() == pytest.approx(expected.item())
    corners = simplex(10)
    twice = labels_of(10, 2)
    assert pml.NPairsLoss()(corners[twice], twice).item() == pytest.approx(1.376935, abs=1e-6)


def test_info_nce_and_sup_con_elsewhere(batch: tuple[Tensor, Tensor]) -> None:
    z, labels = batch
    assert pml.NTXentLoss()(z, labels).item() == pytest.approx(measured("info_nce", {}, z, labels, z))
    assert pml.SupConLoss()(z, labels).item() == pytest.approx(measured("sup_con", {}, z, labels, z))
    one = torch.zeros(12, dtype=torch.int64)
    assert pml.SupConLoss()(z, one).item() == 0
    assert measured("sup_con", {}, z, one, z) >= math.log(11)
    assert measured("sup_con", {"sum_outside": False}, z, one, z) == pytest.approx(math.log(11))


def test_losses_with_class_vectors_elsewhere(batch: tuple[Tensor, Tensor]) -> None:
    z, labels = batch
    w = normalize(torch.randn(4, 5, generator=torch.Generator().manual_seed(5), dtype=torch.float64), dim=-1)
    pairs = [
        (pml.ArcFaceLoss(4, 5), "arcface", {"margin": math.radians(28.6)}),
        (pml.CosFaceLoss(4, 5), "center_contrastive", {"margin": 0.35, "center_weight": 0.0}),
    ]
    for theirs, name, settings in pairs:
        theirs.W.data = w.T.clone()
        assert theirs(z, labels).item() == pytest.approx(measured(name, settings, z, labels, w), abs=1e-6)
    assert math.radians(28.6) == pytest.approx(0.499, abs=1e-3)


def test_gradients_on_the_own_class_vector() -> None:
    w = torch.eye(4, dtype=torch.float64)
    labels = torch.tensor([0])
    z = w[:1].clone().requires_grad_()
    theirs = pml.ArcFaceLoss(4, 4)
    theirs.W.data = w.T.clone()
    theirs(z, labels).backward()
    assert z.grad is not None
    assert not z.grad.isfinite().all()
    z = w[:1].clone().requires_grad_()
    criterion("arcface", {}, w)(z, labels).backward()
    assert z.grad is not None
    assert z.grad.isfinite().all()


def test_sentence_transformers_contrastive_stops_where_a_margin_of_1_does() -> None:
    assert card("contrastive").negative(0.5).pull == 0 > card("contrastive").negative(0.51).pull


# degenerate batches ---------------------------------------------------------------------------------------------


def loss_and_gradient(name: str, z: Tensor, labels: Tensor, **settings: Any) -> tuple[float, Tensor]:
    leaf = z.clone().requires_grad_()
    w = torch.eye(6, z.shape[1], dtype=torch.float64)[-4:]
    loss = criterion(name, settings, w)(leaf, labels)
    loss.backward()
    assert leaf.grad is not None
    assert leaf.grad.isfinite().all()
    return loss.item(), leaf.grad


POINTS = torch.eye(6, dtype=torch.float64)
SILENT = ("triplet", "n_pair", "info_nce")


@pytest.mark.parametrize("name", CARDS)
def test_one_class(name: str) -> None:
    value, gradient = loss_and_gradient(name, POINTS, torch.zeros(6, dtype=torch.int64))
    if name in SILENT:
        assert (value, gradient.abs().max().item()) == (0, 0)
    elif name == "contrastive":
        assert value == pytest.approx(2)  # d² of orthogonal points
    elif name == "sup_con":
        collapsed, _ = loss_and_gradient(name, POINTS[:1].expand(6, -1), torch.zeros(6, dtype=torch.int64))
        assert collapsed == pytest.approx(math.log(5))
    else:
        assert value > 0


@pytest.mark.parametrize("name", CARDS)
def test_no_positives(name: str) -> None:
    value, gradient = loss_and_gradient(name, POINTS[:4], torch.arange(4))
    if name in (*SILENT, "sup_con"):
        assert (value, gradient.abs().max().item()) == (0, 0)
    elif name == "contrastive":
        assert value == 0  # orthogonal points are farther than the margin
    else:
        assert value > 0


@pytest.mark.parametrize("name", CARDS)
def test_duplicates(name: str) -> None:
    value, gradient = loss_and_gradient(name, POINTS[:1].expand(4, -1), torch.tensor([0, 0, 1, 1]))
    if name in ("contrastive", "triplet"):
        expected = {"contrastive": 4 / 6, "triplet": 1.0}[name]
        assert value == pytest.approx(expected, abs=1e-5)
        assert gradient.abs().max() < 1e-5
    else:
        assert value > 0


@pytest.mark.parametrize("name", CARDS)
def test_zero_vectors(name: str) -> None:
    labels = torch.tensor([0, 0, 1, 1])
    value, _ = loss_and_gradient(name, torch.zeros(4, 6, dtype=torch.float64), labels)
    if name == "n_pair":
        assert value == pytest.approx(math.log(2))
    elif name in ("info_nce", "sup_con"):
        assert value == pytest.approx(math.log(3))  # 2 negatives and 1 positive
    elif name == "arcface":
        orthogonal, _ = loss_and_gradient(name, POINTS[:1].expand(4, -1), labels)
        assert value == pytest.approx(orthogonal)
    distance, _ = loss_and_gradient("contrastive", torch.stack([POINTS[0], 0 * POINTS[0]]), torch.tensor([0, 0]))
    assert distance == pytest.approx(1)


@pytest.mark.parametrize("name", CARDS)
def test_half_precision_is_computed_in_float32(name: str) -> None:
    labels = torch.tensor([0, 0, 1, 1])
    z = normalize(torch.randn(4, 6, generator=torch.Generator().manual_seed(0)), dim=-1).half()
    w = torch.eye(6)[-4:]
    own = {"classes": 4, "dim": 6} if LOSSES[name].proxies else {}
    loss = losscope.Criterion(name, **own)
    if own:
        with torch.no_grad():
            loss.proxies.copy_(w)
    value = loss(z, labels)
    assert value.dtype == torch.float32
    assert value.item() == pytest.approx(loss(z.float(), labels).item())
    if "refuses float16" in CARDS[name].degenerate["half precision"]:
        proxies = {"proxies": w.half()} if own else {}
        with pytest.raises(RuntimeError, match="overflow"):
            LOSSES[name].terms(z, all_tuples(LOSSES[name], labels, 2), **proxies)


def test_one_class_vector_at_all() -> None:
    z, labels = POINTS[:2], torch.tensor([0, 0])
    w = POINTS[:1]
    assert measured("arcface", {}, z, labels, w) == 0
    assert measured("center_contrastive", {}, z, labels, w) == pytest.approx(1)  # the mean of 0 and 2


# margins --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("margin", [0.2, 1.0, 1.4])
@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("positive_distance", [0.0, 0.3, 0.5])
def test_a_triplet_is_satisfied_from_its_gap_on(margin: float, squared: bool, positive_distance: float) -> None:
    gap = triplet_gap(margin, squared=squared, positive_distance=positive_distance)
    assert triplet_margin(gap, squared=squared, positive_distance=positive_distance) == pytest.approx(margin)
    positive = 1 - positive_distance**2 / 2
    for step, active in ((-1e-4, True), (1e-4, False)):
        negative = positive - gap - step
        if abs(negative) < 1:
            points = [[one, math.sqrt(1 - one**2)] for one in (1, positive, negative)]
            loss = criterion("triplet", {"margin": margin, "squared": squared}, POINTS)
            terms, _ = loss.terms(torch.tensor(points, dtype=torch.float64), torch.tensor([0, 0, 1]))
            assert (terms.values[0, 2].item() > 1e-5) is active


def test_margins_of_pairs_and_demands() -> None:
    assert contrastive_margin(contrastive_similarity(0.7)) == pytest.approx(0.7)
    assert "cosine 0.5" in CARDS["contrastive"].demands()
    assert "0.5, 1, 1.5" in CARDS["triplet"].demands()
    assert "m/2 = 0.5" in card("triplet", squared=True).demands()
    assert "28.65 degrees" in CARDS["arcface"].demands()
    assert all(found.demands() for found in CARDS.values())


def test_every_card_is_a_value() -> None:
    cards: list[Card] = [card(name) for name in CARDS]
    assert len({*cards, *CARDS.values()}) == len(CARDS)
