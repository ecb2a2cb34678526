"""Label noise and duplicates: planted ones are found, by row number, and those not planted are not."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import cross_val_predict
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor

from conftest import gaussian_classes
from losscope.geometry import describe
from losscope.geometry.class_moments import ClassMoments
from losscope.geometry.nearest import Nearest
from losscope.geometry.pairs import draw_queries, watch
from losscope.geometry.rows import Rows
from losscope.geometry.silhouette import to_classes
from losscope.geometry.suspects import Suspects, suspects, votes

FEATURES = Path(os.environ.get("LOSSCOPE_DATA", "data")) / "features/cub200_efficientnet_lite0_224.npz"


def suspects_of(embeddings: np.ndarray, labels: np.ndarray) -> Suspects:
    """Only what `describe` does for suspects."""
    rows = Rows(embeddings, labels)
    queries = draw_queries(rows, sample=1, exact_up_to=len(rows), seed=0)
    near, moments = Nearest(queries, 10), ClassMoments()
    watch(rows, queries, [near])
    moments.update(queries.points, rows.labels)
    classes = to_classes(queries.points, queries.places, moments.compute())
    by_neighbors = votes(near.rows, rows.places, queries.places)
    return suspects(queries.rows, queries.places, by_neighbors, (classes.margins, classes.nearest), rows.classes)


def planted(labels: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Labels of which 5 % are another class, drawn evenly, and which rows those are."""
    draw = np.random.default_rng(seed)
    rows = draw.choice(len(labels), round(0.05 * len(labels)), replace=False)
    classes = labels.max() + 1
    noisy = labels.copy()
    noisy[rows] = (labels[rows] + draw.integers(1, classes, len(rows))) % classes
    return noisy, noisy != labels


def confident_learning(labels: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Rows by self-confidence, the least first, those that confident learning calls issues before all others.

    Northcutt, Jiang and Chuang, "Confident learning", 2021: a row is an issue if a class is predicted for which it
    reaches the mean self-confidence of that class's rows, and it is not the given one.
    """
    own = probabilities[np.arange(len(labels)), labels]
    thresholds = np.array([own[labels == label].mean() for label in range(probabilities.shape[1])])
    reached = np.where(probabilities >= thresholds, probabilities, -1)
    issue = (reached.max(1) >= 0) & (reached.argmax(1) != labels)
    return np.lexsort((own, ~issue))


def precision(rows: np.ndarray, wrong: np.ndarray) -> float:
    return float(wrong[rows[:100]].mean())


@pytest.mark.parametrize("seed", range(5))
def test_on_digits_at_least_as_precise_as_confident_learning(seed: int) -> None:
    images, clean = load_digits(return_X_y=True)
    labels, wrong = planted(clean, seed)
    found = suspects_of(images.astype(np.float32), labels)
    ours = precision(found.rows, wrong)
    logistic = cross_val_predict(LogisticRegression(max_iter=200), images / 16, labels, cv=5, method="predict_proba")
    neighbors = KNeighborsClassifier(10, metric="cosine")
    voted = cross_val_predict(neighbors, images, labels, cv=5, method="predict_proba")
    theirs = [precision(confident_learning(labels, one), wrong) for one in (logistic, voted)]
    assert ours >= max(theirs)
    assert ours >= 0.85  # 90 rows are wrong: 0.90 is the most there can be
    right = found.suggested == clean[found.rows]
    assert right[wrong[found.rows]].mean() > 0.9


@pytest.mark.skipif(not FEATURES.is_file(), reason="the CUB features are not in LOSSCOPE_DATA")
@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_on_cub_features_the_first_hundred_are_wrong(seed: int) -> None:
    stored = np.load(FEATURES)
    labels, wrong = planted(stored["label"].astype(np.int64), seed)
    found = suspects_of(stored["features"], labels)
    assert precision(found.rows, wrong) >= 0.99
    assert found.ranked_by == "centroids"


def test_clean_classes_far_apart_have_no_suspects() -> None:
    embeddings, labels = gaussian_classes(5, 30, 10, apart=6)
    found = describe(embeddings, labels, similarity="euclidean").suspects
    assert (found.total, found.agreement, found.looked_at) == (0, 1.0, 150)
    labels[[3, 99]] = torch.tensor([4, -1])
    found = describe(embeddings, labels, similarity="euclidean").suspects
    assert (found.rows.tolist(), found.label.tolist(), found.suggested.tolist()) == ([3], [4], [0])


def test_votes_by_hand() -> None:
    places = torch.tensor([0, 0, 1, 1, 1, -1, 2])
    neighbors = torch.tensor([[1, 2, 3, 4], [0, 5, 5, 6], [5, -1, -1, -1], [0, 3, 4, 1]])
    margins, suggested = votes(neighbors, places, torch.tensor([0, 0, 1, 1]))
    assert margins.tolist() == [0.5, 0.0, 0.0, 0.0]
    assert suggested.tolist() == [1, 2, -1, 0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_duplicates_are_found_by_row(dtype: torch.dtype) -> None:
    embeddings, labels = gaussian_classes(6, 50, 16, dtype=dtype)
    embeddings[7] = embeddings[290]  # across classes
    embeddings[20] = embeddings[21]
    embeddings[100] = embeddings[101] * 1.0001
    labels[[60, 61]] = torch.tensor([-1, 1])
    embeddings[60] = embeddings[61]  # one of them without a class
    for keywords in ({}, {"sample": 300, "exact_up_to": 10}):
        found = describe(embeddings, labels, similarity="euclidean", **keywords).duplicates  # type: ignore[arg-type]
        assert {tuple(pair) for pair in found.pairs.tolist()} == {(7, 290), (20, 21), (60, 61), (100, 101)}
        assert found.pairs[0].tolist() == [7, 290]
        assert found.across.tolist() == [True, False, False, False]
        assert (found.total, found.across_total) == (4, 1)
        distances = torch.linalg.vector_norm(embeddings[found.pairs[:, 0]] - embeddings[found.pairs[:, 1]], dim=1)
        np.testing.assert_allclose(found.distance, distances.double(), rtol=1e-6)


def test_equal_rows_are_found_among_all_when_few_ask() -> None:
    embeddings, labels = gaussian_classes(6, 50, 16, dtype=torch.float32)
    embeddings[[250, 4]] = embeddings[[13, 13]]
    found = describe(embeddings, labels, sample=5, exact_up_to=10).duplicates
    assert {4, 13, 250} == {*found.pairs.flatten().tolist()}
    assert found.looked_at == 5


@pytest.mark.parametrize("keywords", [{}, {"sample": 20, "exact_up_to": 10}])
def test_all_pairs_of_equal_rows_are_counted(keywords: dict[str, int]) -> None:
    embeddings, labels = gaussian_classes(6, 50, 16, dtype=torch.float32)
    embeddings[:60] = embeddings[0]  # 50 of class 0 and 10 of class 1
    labels[[0, 1]] = -1
    found = describe(embeddings, labels, similarity="euclidean", **keywords).duplicates  # type: ignore[arg-type]
    assert (found.total, found.across_total) == (60 * 59 // 2, 48 * 10)


def test_a_dense_space_is_not_taken_for_copies() -> None:
    line = torch.linspace(0, 1, 3000).unsqueeze(1) * torch.ones(1, 4)
    found = describe(line, torch.arange(3000) % 2, similarity="euclidean").duplicates
    assert found.total == 0
    assert found.threshold > 0


def test_lone_rows_and_outliers_are_never_suspects(space: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = space
    found = describe(embeddings, labels).suspects
    counts = {label: labels.tolist().count(label) for label in found.label.tolist()}
    assert -1 not in counts
    assert all(count > 1 for count in counts.values())
    assert (labels.numpy()[found.rows] == found.label).all()
