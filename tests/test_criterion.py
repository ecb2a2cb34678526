"""Criterion: a loss in somebody else's loop, its options and its border."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

import reference
from losscope.criterion import Criterion
from losscope.errors import InvalidInput, InvalidStudy, LosscopeError, UnknownName
from losscope.types import BatchTriplets, Loss, LossTerms, Pairs, Triplets

LABELS = torch.tensor([0, 0, 0, 1, 1, 2, -1, -1])


def points(dtype: torch.dtype = torch.float64, samples: int = 8) -> Tensor:
    drawn = torch.randn(samples, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    return normalize(drawn, dim=1).to(dtype)


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("mining", ["semi_hard", "batch_hard"])
def test_mined_triplets_are_the_naive_ones(mining: str, squared: bool) -> None:
    z = points().numpy()
    labels = LABELS.tolist()
    mined = (
        [(a, p, q) for (a, p), q in reference.semi_hard_triplets(z, labels, 0.5, squared).items()]
        if mining == "semi_hard"
        else [(a, *partners) for a, partners in reference.hardest_triplets(z, labels).items()]
    )
    value, gradient = reference.mean_of([reference.triplet_term(z, *one, 0.5, squared) for one in mined], z)
    leaf = points().requires_grad_()
    loss = Criterion("triplet", margin=0.5, squared=squared, mining=mining)(leaf, LABELS)  # type: ignore[arg-type]
    loss.backward()
    assert mined
    assert loss.item() == pytest.approx(value)
    assert leaf.grad is not None
    np.testing.assert_allclose(leaf.grad.numpy(), gradient, atol=1e-14)


def test_balanced_sides_weigh_positives_and_negatives_equally() -> None:
    z = points().numpy()
    terms = [(reference.contrastive_term(z, *one, 1.0)[0], one[2]) for one in reference.pairs_of(LABELS.tolist())]
    sides = [[value for value, same in terms if same is side] for side in (True, False)]
    expected = sum(sum(side) / len(side) for side in sides) / 2
    assert Criterion("contrastive", balance="sides")(points(), LABELS).item() == pytest.approx(expected)
    assert Criterion("contrastive")(points(), LABELS).item() != pytest.approx(expected)


def test_embeddings_are_used_as_given_unless_asked() -> None:
    z = points()
    given, scaled = Criterion("triplet"), Criterion("triplet", normalize=True)
    assert given(3 * z, LABELS).item() != pytest.approx(given(z, LABELS).item())
    assert scaled(3 * z, LABELS).item() == pytest.approx(given(z, LABELS).item())


def test_terms_are_shown_with_their_tuples() -> None:
    terms, tuples = Criterion("contrastive").terms(points(), LABELS)
    assert isinstance(tuples, Pairs)
    assert terms.values.shape == (28,)
    assert int(terms.valid.sum()) == 27  # the two outliers make no pair
    terms, tuples = Criterion("triplet").terms(points(), LABELS)
    assert isinstance(tuples, BatchTriplets)
    assert int(terms.valid.sum()) == len(reference.triplets_of(LABELS.tolist()))
    _, tuples = Criterion("triplet", mining="batch_hard").terms(points(), LABELS)
    assert isinstance(tuples, Triplets)


@pytest.mark.parametrize("labels", [[0], [0, 1, 2], [-1, -1]])
@pytest.mark.parametrize(
    "options",
    [{}, {"balance": "sides"}, {"mining": "none"}, {"mining": "semi_hard"}, {"mining": "batch_hard"}],
)
def test_a_batch_without_a_valid_term_gives_0_with_gradient_0(labels: list[int], options: dict[str, str]) -> None:
    name = "triplet" if "mining" in options else "contrastive"
    if name == "contrastive" and len(labels) == 3:
        labels = [-1, -1, -1]  # three classes make negative pairs
    leaf = points(samples=len(labels)).requires_grad_()
    loss = Criterion(name, **options)(leaf, torch.tensor(labels))  # type: ignore[arg-type]
    loss.backward()
    assert loss.item() == 0
    assert leaf.grad is not None
    assert not leaf.grad.any()


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.int64])
def test_any_integer_labels_will_do(dtype: torch.dtype) -> None:
    labels = LABELS.clamp_min(0)
    assert torch.equal(Criterion("triplet")(points(), labels.to(dtype)), Criterion("triplet")(points(), labels))


def test_it_trains_a_network_and_fits_in_a_module() -> None:
    torch.manual_seed(0)
    network, criterion = nn.Linear(4, 3), Criterion("triplet", normalize=True)
    assert list(criterion.parameters()) == []
    optimizer = torch.optim.SGD(network.parameters(), lr=0.5)
    inputs = points(torch.float32)
    first = criterion(network(inputs), LABELS).item()
    for _ in range(20):
        optimizer.zero_grad()
        criterion(network(inputs), LABELS).backward()
        optimizer.step()
    assert criterion(network(inputs), LABELS).item() < 0.8 * first


def test_class_vectors_are_parameters_of_unit_length() -> None:
    torch.manual_seed(3)
    criterion = Criterion("arcface", classes=5, dim=4)
    torch.manual_seed(3)
    assert torch.equal(criterion.proxies, Criterion("arcface", classes=5, dim=4).proxies)  # type: ignore[arg-type]
    assert [tuple(one.shape) for one in criterion.parameters()] == [(5, 4)]
    torch.testing.assert_close(criterion.proxies.norm(dim=1), torch.ones(5))  # type: ignore[union-attr]
    assert list(Criterion("sup_con").parameters()) == []


@pytest.mark.parametrize("name", ["arcface", "center_contrastive"])
def test_class_vectors_train_with_a_rate_of_their_own(name: str) -> None:
    torch.manual_seed(0)
    network, criterion = nn.Linear(4, 3), Criterion(name, classes=3, dim=3, scale=8.0)
    optimizer = torch.optim.Adam([
        {"params": network.parameters(), "lr": 1e-2},
        {"params": criterion.parameters(), "lr": 1e-1},
    ])  # fmt: skip
    inputs = points(torch.float32)
    first = criterion(network(inputs), LABELS).item()
    for _ in range(50):
        optimizer.zero_grad()
        criterion(network(inputs), LABELS).backward()
        optimizer.step()
    assert criterion(network(inputs), LABELS).item() < 0.5 * first


@pytest.mark.parametrize("labels", [[0, 1, 5], [0, 1, 3], [0, -2, 1]])
def test_a_label_without_a_class_vector_is_refused(labels: list[int]) -> None:
    criterion = Criterion("center_contrastive", classes=3, dim=4)
    with pytest.raises(InvalidInput, match="expected 0 to 2, one of the 3 class vectors, or -1"):
        criterion(points(torch.float32, 3), torch.tensor(labels))
    assert criterion(points(torch.float32, 3), torch.tensor([0, -1, 2])).isfinite()


def test_labels_of_other_losses_are_any_integers() -> None:
    for name in ("contrastive", "triplet", "n_pair", "info_nce", "sup_con"):
        criterion = Criterion(name)
        named = torch.tensor([700, 700, 700, 31, 31, 8, -1, -1])
        assert criterion(points(), named).item() == pytest.approx(criterion(points(), LABELS).item(), rel=1e-12)


def test_its_repr_names_the_loss_and_every_value() -> None:
    criterion = Criterion("triplet", margin=1, mining="semi_hard", normalize=True)
    assert repr(criterion) == "Criterion('triplet', normalize=True, mining='semi_hard', margin=1.0, squared=False)"
    assert repr(Criterion("contrastive")) == "Criterion('contrastive', margin=1.0)"


def mine(z: Tensor, pairs: Pairs, *, weight: float = 2.0) -> LossTerms:
    gap = z[pairs.first] - z[pairs.second]
    return LossTerms(torch.where(pairs.valid, weight * gap.square().sum(-1), torch.nan), pairs.valid)


def test_a_loss_of_ones_own_may_leave_anything_in_invalid_terms() -> None:
    criterion = Criterion(Loss(mine, kind="pair", saturates=False, reference="mine"), weight=3)
    gaps = [reference.distance(points().numpy(), i, j) ** 2 for i, j, _ in reference.pairs_of(LABELS.tolist())]
    assert criterion(points(), LABELS).item() == pytest.approx(3 * sum(gaps) / len(gaps))
    assert repr(criterion) == "Criterion('mine', weight=3.0)"


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"loss": "tripet"}, UnknownName, "unknown loss 'tripet'; did you mean 'triplet'"),
        ({"loss": "triplet", "magin": 1.0}, UnknownName, "'magin'; did you mean 'margin'"),
        ({"loss": "contrastive", "squared": True}, UnknownName, "hyper-parameter of loss 'contrastive'"),
        ({"loss": "triplet", "margin": 0.0}, InvalidStudy, "margin = 0.0; expected a positive, finite"),
        ({"loss": "triplet", "margin": float("nan")}, InvalidStudy, "margin = nan"),
        ({"loss": "triplet", "margin": "1"}, InvalidStudy, "margin = '1'; expected a number"),
        ({"loss": "triplet", "margin": True}, InvalidStudy, "margin = True; expected a number"),
        ({"loss": "triplet", "squared": 1}, InvalidStudy, "squared = 1; expected true or false"),
        ({"loss": "triplet", "mining": "semihard"}, UnknownName, "did you mean 'semi_hard'"),
        ({"loss": "triplet", "balance": "side"}, UnknownName, "did you mean 'sides'"),
        ({"loss": "contrastive", "mining": "batch_hard"}, InvalidStudy, "whose terms are pairs"),
        ({"loss": "triplet", "balance": "sides"}, InvalidStudy, "whose terms are triplets"),
        ({"loss": "sup_con", "mining": "batch_hard"}, InvalidStudy, "whose terms are anchors"),
        ({"loss": "arcface"}, InvalidStudy, "got classes = None, dim = None; expected their number and length"),
        ({"loss": "arcface", "classes": 3}, InvalidStudy, "dim = None"),
        ({"loss": "arcface", "classes": 0, "dim": 4}, InvalidStudy, "classes = 0"),
        ({"loss": "sup_con", "classes": 3}, InvalidStudy, "has no class vectors: leave them out"),
        ({"loss": "arcface", "classes": 3, "dim": 4, "proxy_lr": 0.1}, InvalidStudy, "a parameter group with that rate"),
        ({"loss": "n_pair", "unit_length": False}, InvalidStudy, "use `normalize`"),
        ({"loss": "arcface", "classes": 3, "dim": 4, "margin": -0.1}, InvalidStudy, "finite number of at least 0"),
        ({"loss": "center_contrastive", "classes": 3, "dim": 4, "momentum": 1.0}, InvalidStudy, "a number below 1"),
        ({"loss": "n_pair", "penalty": -1.0}, InvalidStudy, "finite number of at least 0"),
        ({"loss": "n_pair", "scale": 0.0}, InvalidStudy, "scale = 0.0; expected a positive, finite"),
        ({"loss": "info_nce", "temperature": 0}, InvalidStudy, "temperature = 0; expected a positive, finite"),
        ({"loss": "sup_con", "sum_outside": 0}, InvalidStudy, "expected true or false"),
        ({"loss": "sup_con", "temprature": 0.1}, UnknownName, "did you mean 'temperature'"),
    ],
)  # fmt: skip
def test_what_is_impossible_is_refused_at_once(
    arguments: dict[str, object], error: type[LosscopeError], message: str
) -> None:
    with pytest.raises(error, match=message):
        Criterion(**arguments)  # type: ignore[arg-type]


def test_semi_hard_mining_of_a_loss_without_margin_is_refused() -> None:
    def bare(z: Tensor, triplets: Triplets) -> LossTerms:
        return LossTerms(z.sum(-1), triplets.valid)

    with pytest.raises(InvalidStudy, match="'margin' and 'squared'; loss 'bare' has \\[\\]"):
        Criterion(Loss(bare, kind="triplet", saturates=False, reference="mine"), mining="semi_hard")


@pytest.mark.parametrize(
    ("embeddings", "labels", "message"),
    [
        (points(), LABELS[:5], r"shape \(8, 4\) and labels \(5,\)"),
        (points()[0], LABELS[:4], r"shape \(4,\)"),
        (points().unsqueeze(0), LABELS, r"shape \(1, 8, 4\)"),
        (points(), LABELS.unsqueeze(1), r"labels \(8, 1\)"),
        (points()[:0], LABELS[:0], "at least one sample"),
        (points().long(), LABELS, "type torch.int64; expected real numbers"),
        (points(), LABELS.float(), "labels have the type torch.float32; expected integers"),
        (points(), LABELS.double() * torch.nan, "expected integers"),
        (points(), LABELS > 0, "type torch.bool"),
        (points().numpy(), LABELS, "embeddings are of type ndarray; expected a torch.Tensor"),
        (points(), LABELS.tolist(), "labels are of type list"),
    ],
)
def test_what_no_loss_can_be_taken_of_is_refused(embeddings: Tensor, labels: Tensor, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Criterion("triplet")(embeddings, labels)


@pytest.mark.parametrize("name", ["contrastive", "triplet", "n_pair", "info_nce", "sup_con"])
def test_the_loss_sees_labels_not_only_their_mean(name: str) -> None:
    """A distance (B, 1) times labels (B,) sees no difference between batches of equal class sizes."""
    given = torch.tensor([0, 0, 0, 0, 1, 1, 1, 1])
    orders = [0, 1, 2, 3, 4, 5, 6, 7], [0, 4, 2, 6, 1, 5, 3, 7], [0, 1, 4, 5, 2, 3, 6, 7]
    losses = {Criterion(name)(points(), given[torch.tensor(order)]).item() for order in orders}
    assert len(losses) == 3


def test_looking_at_terms_moves_no_center() -> None:
    criterion = Criterion("center_contrastive", classes=3, dim=4, momentum=0.5)
    z, labels = normalize(torch.randn(6, 4), dim=-1), torch.tensor([0, 0, 1, 1, 2, 2])
    assert criterion.proxies is not None
    before = criterion.proxies.clone()
    criterion.terms(z, labels)
    with torch.no_grad():
        criterion(z, labels)
    assert torch.equal(criterion.proxies, before)
    criterion(z, labels)
    assert not torch.equal(criterion.proxies, before)
