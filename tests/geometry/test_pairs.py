"""Measures over pairs and neighbors against naive loops and scikit-learn; samples against all pairs."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score, silhouette_samples
from torch import Tensor
from torch.nn.functional import normalize

from conftest import gaussian_classes
from losscope.geometry import Estimate, Geometry, describe
from losscope.geometry.alignment_uniformity import Uniformity
from losscope.geometry.hubness import bad_share
from losscope.geometry.nearest import Nearest
from losscope.geometry.overlap import Distances
from losscope.geometry.pairs import draw_queries, watch
from losscope.geometry.rows import Rows


def distances_of(embeddings: Tensor) -> np.ndarray:
    points = embeddings.double().numpy()
    return np.linalg.norm(points[:, None] - points[None], axis=2)


@pytest.fixture(scope="module")
def found(space: tuple[Tensor, Tensor]) -> Geometry:
    return describe(*space, similarity="euclidean", k=5, chunk=37)


def test_neighbors_are_the_naive_ones_in_any_chunks(space: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = space
    distances = distances_of(embeddings)
    np.fill_diagonal(distances, np.inf)
    expected = distances.argsort(1)[:, :6]
    for chunk in (1, 50, 1000):
        rows = Rows(embeddings, labels, similarity="euclidean", chunk=chunk)
        queries = draw_queries(rows, sample=1, exact_up_to=1000, seed=0)
        near = Nearest(queries, 6)
        watch(rows, queries, [near])
        np.testing.assert_array_equal(near.rows.numpy(), expected)
        np.testing.assert_allclose(near.squared.sqrt(), np.take_along_axis(distances, expected, 1), rtol=1e-9)


def test_sampled_queries_have_the_neighbors_they_have_among_all(space: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = space
    rows = Rows(embeddings.numpy(), labels.numpy(), chunk=23)
    queries = draw_queries(rows, sample=41, exact_up_to=10, seed=3)
    assert not queries.exact
    assert len(set(queries.rows.tolist())) == 41
    near = Nearest(queries, 4)
    watch(rows, queries, [near])
    distances = distances_of(normalize(embeddings, dim=1))
    np.fill_diagonal(distances, np.inf)
    np.testing.assert_array_equal(near.rows, distances.argsort(1)[queries.rows, :4])


def test_more_neighbors_than_rows() -> None:
    found = describe(torch.eye(3), torch.tensor([0, 0, 1]), k=10)
    assert found.hubness.counts is not None
    assert found.hubness.counts.tolist() == [2, 2, 2]
    assert found.hubness.skewness.value == 0
    assert found.hubness.bad_share.value == pytest.approx(4 / 6)


def test_overlap_is_the_exact_auc(space: tuple[Tensor, Tensor], found: Geometry) -> None:
    embeddings, labels = space
    distances, own = distances_of(embeddings), labels.numpy()
    pairs = (own[:, None] >= 0) & (own[None] >= 0) & ~np.eye(len(own), dtype=bool)
    same = (own[:, None] == own[None])[pairs]
    assert found.overlap.auc.value == pytest.approx(roc_auc_score(same, -distances[pairs]), abs=1e-4)
    assert found.overlap.same.sum() == same.sum()
    assert found.overlap.other.sum() == (~same).sum()
    expected = [np.histogram(distances[pairs][which], found.overlap.edges)[0] for which in (same, ~same)]
    np.testing.assert_array_equal(found.overlap.same, expected[0])
    np.testing.assert_array_equal(found.overlap.other, expected[1])
    shares = [counts / counts.sum() for counts in expected]
    assert found.overlap.coefficient.value == pytest.approx(np.minimum(*shares).sum())
    assert found.overlap.auc.low is None


def test_overlap_at_its_ends() -> None:
    labels = torch.arange(3).repeat_interleave(5)
    apart = describe(torch.eye(3).repeat_interleave(5, 0), labels)
    assert (apart.overlap.auc.value, apart.overlap.coefficient.value) == (1, 0)
    alike = describe(torch.ones(15, 4), labels)
    assert (alike.overlap.auc.value, alike.overlap.coefficient.value) == (0.5, 1)
    alone = describe(torch.eye(3), torch.zeros(3, dtype=torch.int64))
    assert math.isnan(alone.overlap.auc.value)


def test_uniformity_and_alignment_are_the_published_formulas(space: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = space
    result = describe(embeddings, labels, chunk=60).alignment_uniformity
    points = normalize(embeddings, dim=1)
    expected = torch.pdist(points).square().mul(-2).exp().mean().log()  # as in the authors' code
    assert result.uniformity.value == pytest.approx(float(expected), rel=1e-12)
    means = [
        float(torch.pdist(points[labels == label]).square().mean())
        for label in labels.unique().tolist()
        if label != -1 and int((labels == label).sum()) > 1
    ]
    assert result.alignment == pytest.approx(np.mean(means), rel=1e-12)
    assert result.tolerance == pytest.approx(1 - np.mean(means) / 2, rel=1e-12)


@pytest.mark.parametrize("similarity", ["cosine", "euclidean"])
def test_silhouettes_equal_scikit_learn(space: tuple[Tensor, Tensor], similarity: str) -> None:
    embeddings, labels = space
    kept = labels != -1
    measure = "cosine" if similarity == "cosine" else "sqeuclidean"
    expected = silhouette_samples(embeddings[kept], labels[kept], metric=measure)
    result = describe(embeddings, labels, similarity=similarity, chunk=29).silhouette  # type: ignore[arg-type]
    assert result.mean.value == pytest.approx(expected.mean(), rel=1e-10)
    by_class = [expected[labels[kept] == label].mean() for label in labels[kept].unique()]
    np.testing.assert_allclose(result.by_class, by_class, rtol=1e-9, atol=1e-12)


def test_hubness_equals_the_naive_counts(space: tuple[Tensor, Tensor], found: Geometry) -> None:
    embeddings, labels = space
    distances, own = distances_of(embeddings), labels.numpy()
    np.fill_diagonal(distances, np.inf)
    neighbors = distances.argsort(1)[:, :5]
    counts = np.bincount(neighbors.ravel(), minlength=len(own))
    np.testing.assert_array_equal(found.hubness.counts, counts)
    deviations = counts - counts.mean()
    skewness = (deviations**3).mean() / (deviations**2).mean() ** 1.5
    assert found.hubness.skewness.value == pytest.approx(skewness, rel=1e-12)
    assert found.hubness.antihub_share.value == pytest.approx((counts == 0).mean())
    asked = own >= 0
    wrong = own[neighbors[asked]] != own[asked, None]
    assert found.hubness.bad_share.value == pytest.approx(wrong.mean())
    bad = np.bincount(neighbors[asked][wrong], minlength=len(own))
    assert found.hubness.bad_hub_share.value == pytest.approx(((counts > 10) & (2 * bad > counts)).mean())
    assert counts[found.hubness.hubs].tolist() == sorted(counts)[::-1][:10]


def test_a_row_in_the_middle_is_a_hub() -> None:
    far = 5 * torch.eye(30, dtype=torch.float64)
    result = describe(
        torch.cat([torch.zeros(1, 30), far]), torch.zeros(31, dtype=torch.int64), similarity="euclidean", k=1
    )
    assert result.hubness.hubs[0] == 0
    assert result.hubness.skewness.value > 4
    assert result.hubness.antihub_share.value > 0.9


def test_samples_give_intervals_that_cover_what_all_pairs_give() -> None:
    embeddings, labels = gaussian_classes(20, 60, 10, apart=0.5, dtype=torch.float32)

    def measured(**how: int) -> dict[str, Estimate]:
        rows = Rows(embeddings, labels)
        queries = draw_queries(rows, **how)
        near, uniformity, distances = Nearest(queries, 10), Uniformity(queries), Distances(queries, 2.0)
        watch(rows, queries, [near, uniformity, distances])
        overlap = distances.compute()
        return {
            "auc": overlap.auc,
            "coefficient": overlap.coefficient,
            "uniformity": uniformity.compute(len(queries.rows)),
            "bad": bad_share(near.rows, rows.places, queries.places, exact=queries.exact),
        }

    truths = measured(sample=1, exact_up_to=2000, seed=0)
    hits = dict.fromkeys(truths, 0)
    draws = 60
    for seed in range(draws):
        for name, one in measured(sample=200, exact_up_to=100, seed=seed).items():
            assert one.low is not None
            assert one.high is not None
            hits[name] += one.low <= truths[name].value <= one.high
    shares = {name: count / draws for name, count in hits.items()}
    assert min(shares.values()) >= 0.85, shares


def test_counting_distances_keeps_the_longest() -> None:
    rows = Rows(torch.tensor([[0.0], [3.0]]), torch.tensor([0, 0]), similarity="euclidean")
    queries = draw_queries(rows, sample=1, exact_up_to=10, seed=0)
    counted = Distances(queries, 3.0)
    watch(rows, queries, [counted])
    assert counted.compute().same[-1] == 2
