"""Retrieval: naive loops, other libraries, ties by enumeration of all orders, and who queries at all."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from pytorch_metric_learning.distances import CosineSimilarity
from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
from pytorch_metric_learning.utils.inference import CustomKNN
from torch import Tensor
from torchmetrics.functional.retrieval import retrieval_hit_rate, retrieval_r_precision

import reference
from losscope.errors import InvalidInput
from losscope.evaluation import retrieval
from losscope.evaluation.retrieval import Retrieval

KS = (1, 2, 5, 10)


def batch(seed: int = 0, samples: int = 60, dim: int = 8) -> tuple[Tensor, Tensor]:
    """Random points with some class structure, without ties; a class of one sample and some outliers."""
    random = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, 5, (samples,), generator=random)
    z = torch.randn(5, dim, generator=random)[labels] + 2 * torch.randn(samples, dim, generator=random)
    labels[3], labels[10:14] = 77, -1
    return z, labels


def relevant_of(labels: Sequence[int], query: int) -> set[int]:
    if labels[query] == -1:
        return set()
    return {row for row in range(len(labels)) if row != query and labels[row] == labels[query]}


@pytest.mark.parametrize("block", [1, 7, 60, 512])
@pytest.mark.parametrize("seed", range(3))
def test_every_query_equals_the_naive_loop(seed: int, block: int) -> None:
    z, labels = batch(seed)
    found = retrieval(z, labels, KS, block=block)
    listed = labels.tolist()
    queries = [row for row in range(60) if relevant_of(listed, row)]
    assert found.queries.tolist() == queries
    assert found.excluded == 60 - len(queries) == 5
    for place, query in enumerate(queries):
        ranking, relevant = reference.neighbors_of(z.double().numpy(), query), relevant_of(listed, query)
        for k in KS:
            assert found.hits[k][place].item() == pytest.approx(reference.hit_at(ranking, relevant, k))
        assert found.query_r_precision[place].item() == pytest.approx(reference.r_precision(ranking, relevant))
        assert found.query_average_precision[place].item() == pytest.approx(
            reference.average_precision_at_r(ranking, relevant)
        )
    assert found.recall_at_k == {k: pytest.approx(hits.mean().item()) for k, hits in found.hits.items()}
    assert found.r_precision == pytest.approx(found.query_r_precision.mean().item())
    assert found.map_at_r == pytest.approx(found.query_average_precision.mean().item())


@pytest.mark.parametrize("seed", range(3))
def test_it_equals_pytorch_metric_learning_without_ties(seed: int) -> None:
    z, labels = batch(seed)
    kept = labels >= 0
    kept[3] = False
    z, labels = z[kept], labels[kept]
    names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
    calculator = AccuracyCalculator(include=names, k="max_bin_count", knn_func=CustomKNN(CosineSimilarity()))
    theirs = calculator.get_accuracy(z, labels)
    found = retrieval(z, labels, KS)
    assert found.recall_at_k[1] == pytest.approx(theirs["precision_at_1"])
    assert found.r_precision == pytest.approx(theirs["r_precision"])
    assert found.map_at_r == pytest.approx(theirs["mean_average_precision_at_r"])


def test_it_equals_torchmetrics_without_ties() -> None:
    z, labels = batch()
    found = retrieval(z, labels, KS)
    units = torch.nn.functional.normalize(z, dim=1)
    for place, query in enumerate(found.queries.tolist()):
        others = torch.arange(60) != query
        similar, same = (units @ units[query])[others], (labels == labels[query])[others]
        for k in KS:
            assert found.hits[k][place].item() == pytest.approx(retrieval_hit_rate(similar, same, top_k=k).item())
        assert found.query_r_precision[place].item() == pytest.approx(retrieval_r_precision(similar, same).item())


# ties -------------------------------------------------------------------------------------------------------

DIRECTIONS = np.array([[1.0, 0.0], [0.0, 1.0], [0.6, 0.8], [-1.0, 0.0]])
TIED = st.lists(st.tuples(st.integers(0, 3), st.integers(-1, 2)), min_size=3, max_size=7)


def rankings_of(z: np.ndarray, query: int) -> Iterator[list[int]]:
    """All orders of the other rows that their similarities allow."""
    similar = np.round(z @ z[query], 6)
    others = sorted((row for row in range(len(z)) if row != query), key=lambda row: -similar[row])
    ties = [list(tie) for _, tie in itertools.groupby(others, key=lambda row: similar[row])]
    for orders in itertools.product(*(itertools.permutations(tie) for tie in ties)):
        yield [row for tie in orders for row in tie]


@settings(max_examples=60, deadline=None)
@given(TIED)
def test_with_ties_it_is_the_mean_over_all_orders_within_its_bounds(listed: list[tuple[int, int]]) -> None:
    places, labels = zip(*listed, strict=True)
    z = DIRECTIONS[list(places)]
    queries = [query for query in range(len(z)) if relevant_of(labels, query)]
    if not queries:
        with pytest.raises(InvalidInput, match="no class has two samples"):
            retrieval(torch.from_numpy(z), torch.tensor(labels), KS)
        return
    scores: list[np.ndarray] = []  # (queries, 3 statistics, measures)
    for query in queries:
        relevant = relevant_of(labels, query)
        each = np.array([
            [*(reference.hit_at(order, relevant, k) for k in KS), reference.r_precision(order, relevant),
             reference.average_precision_at_r(order, relevant)]
            for order in rankings_of(z, query)
        ])  # fmt: skip
        scores.append(np.stack([each.mean(0), each.min(0), each.max(0)]))
    found = retrieval(torch.from_numpy(z), torch.tensor(labels), KS, bounds=True)
    assert found.lowest is not None
    assert found.highest is not None
    for means, expected in zip((found, found.lowest, found.highest), np.mean(scores, axis=0), strict=True):
        assert [*means.recall_at_k.values(), means.r_precision, means.map_at_r] == pytest.approx(expected.tolist())
    for place in range(len(queries)):
        own = [*(found.hits[k][place].item() for k in KS), found.query_r_precision[place].item(),
               found.query_average_precision[place].item()]  # fmt: skip
        assert own == pytest.approx(scores[place][0].tolist())


def collapsed(classes: int = 10, each: int = 100) -> tuple[Tensor, Tensor]:
    """One point, up to rounding, for all classes: rows sorted by class."""
    noise = 1e-7 * torch.randn(classes * each, 16, generator=torch.Generator().manual_seed(0))
    return torch.ones(classes * each, 16) + noise, torch.arange(classes).repeat_interleave(each)


def test_a_collapsed_space_scores_what_chance_scores() -> None:
    """Breaking ties by row, class-sorted rows would score 0.99."""
    z, labels = collapsed()
    found = retrieval(z, labels, (1, 10), bounds=True)
    chance = 99 / 999
    assert found.recall_at_k[1] == pytest.approx(chance)
    assert found.r_precision == pytest.approx(chance)
    missed = np.prod([(900 - i) / (999 - i) for i in range(10)])
    assert found.recall_at_k[10] == pytest.approx(1 - missed)
    shuffled = torch.randperm(1000, generator=torch.Generator().manual_seed(1))
    assert retrieval(z[shuffled], labels[shuffled], (1,)).map_at_r == pytest.approx(found.map_at_r)
    assert found.lowest is not None
    assert found.highest is not None
    assert (found.lowest.recall_at_k, found.lowest.map_at_r) == ({1: 0.0, 10: 0.0}, 0.0)
    assert (found.highest.recall_at_k, found.highest.map_at_r) == ({1: 1.0, 10: 1.0}, 1.0)


def test_collapsed_classes_score_perfectly_without_doubt() -> None:
    labels = torch.arange(10).repeat_interleave(5)
    found = retrieval(torch.eye(10)[labels], labels, (1, 4, 20), bounds=True)
    for means in (found, found.lowest, found.highest):
        assert means is not None
        assert means.recall_at_k == {1: 1.0, 4: 1.0, 20: 1.0}
        assert means.r_precision == means.map_at_r == 1.0


def test_without_ties_the_bounds_are_the_value() -> None:
    z, labels = batch()
    found = retrieval(z, labels, KS, bounds=True)
    for means in (found.lowest, found.highest):
        assert means is not None
        assert means.recall_at_k == pytest.approx(found.recall_at_k)
        assert means.r_precision == pytest.approx(found.r_precision)
        assert means.map_at_r == pytest.approx(found.map_at_r)
    assert retrieval(z, labels, KS).lowest is None


def test_a_tie_that_goes_on_beyond_the_last_place_needed_is_counted_whole() -> None:
    """Row 0 asks for one place; four items tie for it, and one of them is relevant."""
    z = torch.tensor([[1.0, 0.0], [0.6, 0.8], [0.6, 0.8], [0.6, 0.8], [0.6, 0.8]])
    found = retrieval(z, torch.tensor([0, 0, 1, 2, 3]), (1,))
    assert found.hits[1][0].item() == pytest.approx(0.25)
    assert found.hits[1][1].item() == 0  # the three others are nearer than row 0


# queries ----------------------------------------------------------------------------------------------------


def test_the_query_is_removed_by_row_even_among_its_duplicates() -> None:
    """Row 0 has a duplicate of another class: it is found first, the query itself never."""
    z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    found = retrieval(z, torch.tensor([0, 1, 0, 1]), (1, 2))
    assert found.hits[1].tolist() == [0.0, 0.0, 0.5, 0.0]
    assert found.hits[2].tolist() == [1.0, 0.0, 1.0, 1 / 2]


def test_outliers_are_found_but_never_ask() -> None:
    z = torch.tensor([[1.0, 0.0], [0.9, 0.4], [1.0, 0.1], [0.0, 1.0]])
    found = retrieval(z, torch.tensor([0, 0, -1, -1]), (1, 2))
    assert found.queries.tolist() == [0, 1]
    assert found.excluded == 2
    assert found.recall_at_k == {1: 0.0, 2: 1.0}  # the outlier in between comes first


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 30))
def test_recall_never_falls_with_k_and_all_lie_in_the_unit_interval(seed: int, samples: int) -> None:
    random = np.random.default_rng(seed)
    labels = torch.from_numpy(random.integers(-1, 3, samples))
    if (torch.bincount(labels[labels >= 0], minlength=1) < 2).all():
        return
    z = torch.from_numpy(np.round(random.normal(size=(samples, 2)), 1))
    found = retrieval(z, labels, range(1, samples + 3), bounds=True)
    recalls = list(found.recall_at_k.values())
    assert all(before <= after + 1e-12 for before, after in itertools.pairwise(recalls))
    assert recalls[-1] == pytest.approx(1)  # everything is shown
    assert -1e-12 <= found.map_at_r <= found.r_precision + 1e-12 <= 1 + 2e-12
    assert found.lowest is not None
    assert found.highest is not None
    assert found.lowest.map_at_r - 1e-9 <= found.map_at_r <= found.highest.map_at_r + 1e-9


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_only_directions_count(scale: float) -> None:
    z, labels = batch()
    lengths = torch.rand(60, 1, generator=torch.Generator().manual_seed(1)) + 0.1
    one, other = retrieval(z, labels, KS), retrieval(z * lengths * scale, labels, KS)
    assert other.map_at_r == pytest.approx(one.map_at_r)
    assert other.recall_at_k == pytest.approx(one.recall_at_k)


def test_the_order_and_number_of_ks_change_nothing() -> None:
    z, labels = batch()
    assert retrieval(z, labels, (10, 1, 1)).recall_at_k == retrieval(z, labels, (1, 10)).recall_at_k
    assert retrieval(z, labels, (1, 500)).map_at_r == pytest.approx(retrieval(z, labels, (1,)).map_at_r)


def test_a_result_is_frozen() -> None:
    found: Retrieval = retrieval(*batch())
    with pytest.raises(AttributeError):
        found.map_at_r = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("z", "labels", "ks", "message"),
    [
        (torch.ones(4), torch.zeros(4).long(), (1,), r"\(4,\) and labels \(4,\)"),
        (torch.ones(4, 2), torch.zeros(3).long(), (1,), r"\(4, 2\) and labels \(3,\)"),
        (torch.tensor([[1.0], [torch.nan]]), torch.zeros(2).long(), (1,), "NaN or infinite"),
        (torch.ones(3, 2), torch.tensor([0, 1, -1]), (1,), "no class has two samples"),
        (torch.ones(3, 2), torch.zeros(3), (1,), "labels have the type torch.float32"),
        (np.ones((3, 2)), torch.zeros(3), (1,), "of type ndarray"),
        (torch.ones(3, 2), torch.zeros(3).long(), (), r"ks = \[\]; expected whole numbers"),
        (torch.ones(3, 2), torch.zeros(3).long(), (0, 1), r"ks = \[0, 1\]"),
    ],
)
def test_what_can_t_be_queried_is_refused(z: Tensor, labels: Tensor, ks: tuple[int, ...], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        retrieval(z, labels, ks)


def test_the_unsigned_label_255_is_a_class() -> None:
    z, labels = batch()
    labels = torch.where(labels == 0, 255, labels.clamp_min(0))
    found, expected = retrieval(z, labels.to(torch.uint8)), retrieval(z, labels)
    assert (found.excluded, found.map_at_r) == (expected.excluded, expected.map_at_r)


@pytest.mark.parametrize(
    ("dtype", "scale"), [(torch.float32, 1e25), (torch.float32, 1e-25), (torch.float64, 1e300), (torch.float64, 1e-300)]
)
def test_no_scale_overflows_or_vanishes(dtype: torch.dtype, scale: float) -> None:
    z, labels = batch()
    found, expected = retrieval(z.to(dtype) * scale, labels), retrieval(z, labels)
    assert found.map_at_r == pytest.approx(expected.map_at_r)
    largest = torch.full((4, 2), torch.finfo(dtype).max, dtype=dtype)
    assert retrieval(largest, torch.tensor([0, 0, 1, 1])).map_at_r == pytest.approx(1 / 3)
