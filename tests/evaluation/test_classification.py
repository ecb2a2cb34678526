"""Classifiers on frozen embeddings equal scikit-learn's."""

from __future__ import annotations

import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.neighbors import KNeighborsClassifier
from torch import Tensor
from torch.nn.functional import normalize

from losscope.errors import InvalidInput
from losscope.evaluation import knn_accuracy, linear_probe_accuracy


def split(samples: int, seed: int, noise: float = 1.2) -> tuple[Tensor, Tensor]:
    random, centers = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(99)
    labels = torch.tensor([4, 0, 9, 2])[torch.randint(0, 4, (samples,), generator=random)]
    points = torch.randn(10, 6, generator=centers)[labels] + noise * torch.randn(samples, 6, generator=random)
    return points, labels


@pytest.mark.parametrize("k", [1, 3, 5, 8])
@pytest.mark.parametrize("block", [1, 64, 512])
def test_nearest_neighbors_vote_as_in_scikit_learn(k: int, block: int) -> None:
    (train, known), (test, truth) = split(150, 0), split(120, 1)
    theirs = KNeighborsClassifier(k).fit(normalize(train, dim=1).numpy(), known.numpy())
    expected = theirs.score(normalize(test, dim=1).numpy(), truth.numpy())
    assert 0.4 < expected < 0.95
    assert knn_accuracy(train, known, test, truth, k=k, block=block) == pytest.approx(expected)


def test_more_neighbors_than_samples_are_all_samples() -> None:
    (train, known), (test, truth) = split(6, 0), split(40, 1)
    assert knn_accuracy(train, known, test, truth, k=50) == pytest.approx(
        (truth == known.mode().values).double().mean().item()
    )


@pytest.mark.parametrize("ridge", [1e-4, 1e-2])
def test_the_linear_probe_is_logistic_regression(ridge: float) -> None:
    (train, known), (test, truth) = split(150, 0), split(400, 1)
    theirs = LogisticRegression(C=1 / (ridge * len(train)), tol=1e-8, max_iter=5000)
    theirs.fit(normalize(train, dim=1).double().numpy(), known.numpy())
    expected = theirs.score(normalize(test, dim=1).double().numpy(), truth.numpy())
    assert 0.4 < expected < 0.95
    assert linear_probe_accuracy(train, known, test, truth, ridge=ridge) == pytest.approx(expected, abs=2.5e-3)


def test_a_linear_probe_of_separable_classes_is_perfect() -> None:
    labels = torch.arange(5).repeat_interleave(4)
    assert linear_probe_accuracy(torch.eye(5)[labels], labels, torch.eye(5)[labels], labels) == 1


@pytest.mark.parametrize("accuracy", [knn_accuracy, linear_probe_accuracy])
def test_outliers_neither_teach_nor_are_scored(accuracy: object) -> None:
    assert callable(accuracy)
    (train, known), (test, truth) = split(100, 0), split(80, 1)
    without = accuracy(train, known, test, truth)
    outlying, strange = torch.full((30,), -1), torch.randn(30, 6, generator=torch.Generator().manual_seed(2))
    more = (torch.cat([train, strange]), torch.cat([known, outlying]), torch.cat([test, strange]),
            torch.cat([truth, outlying]))  # fmt: skip
    assert accuracy(*more) == pytest.approx(without)


@pytest.mark.parametrize("accuracy", [knn_accuracy, linear_probe_accuracy])
def test_a_class_that_was_never_seen_is_never_right(accuracy: object) -> None:
    assert callable(accuracy)
    (train, known), (test, truth) = split(100, 0), split(80, 1)
    assert accuracy(train, known, test, torch.where(truth == 9, 55, truth)) <= (truth != 9).double().mean().item()


def test_nothing_with_a_class_is_refused() -> None:
    z, labels = torch.eye(4), torch.tensor([0, 0, 1, 1])
    for score in (knn_accuracy, linear_probe_accuracy):
        with pytest.raises(InvalidInput, match="none of 4 test samples has a class"):
            score(z, labels, z, torch.full((4,), -1))
