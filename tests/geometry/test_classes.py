"""The table of classes: collapsed classes, classes that are two, and how often a single Gaussian passes for two."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from conftest import gaussian_classes
from losscope.geometry import describe
from losscope.geometry.class_moments import ClassMoments
from losscope.geometry.classes import PerClass, per_class
from losscope.geometry.rows import Rows
from losscope.geometry.splitting import holm, looked_at, split_gain, split_nulls, split_p


def table_of(embeddings: Tensor, labels: Tensor, seed: int = 0) -> PerClass:
    moments = ClassMoments(second_moment=True)
    moments.update(embeddings, labels)
    rows = Rows(embeddings, labels, similarity="euclidean")
    found = moments.compute()
    return per_class(rows, found, np.zeros(len(found.labels)), seed=seed)


def naive_gain(points: np.ndarray) -> float:
    """The cut of the projection on the first principal component that leaves the least sum of squares, by search."""
    centered = points - points.mean(0)
    axis = np.linalg.svd(centered, full_matrices=False)[2][0]
    along = np.sort(centered @ axis)
    least = max(len(along) // 10, 1)
    cuts = [
        ((along[:at] - along[:at].mean()) ** 2).sum() + ((along[at:] - along[at:].mean()) ** 2).sum()
        for at in range(least, len(along) - least + 1)
    ]
    return float(1 - min(cuts) / (along**2).sum())


@pytest.mark.parametrize("shape", [(9, 3), (40, 6), (20, 50)])
def test_the_gain_is_the_best_cut(shape: tuple[int, int]) -> None:
    points = np.random.default_rng(1).standard_normal((5, *shape))
    found = split_gain(torch.from_numpy(points))
    assert found.tolist() == pytest.approx([naive_gain(one) for one in points], rel=1e-9)


def test_the_gain_of_known_shapes() -> None:
    normal = torch.randn(50, 200, 1, generator=torch.Generator().manual_seed(0))
    assert float(split_gain(normal).mean()) == pytest.approx(2 / math.pi, abs=0.02)
    even = torch.linspace(0, 1, 200).view(1, -1, 1)
    assert float(split_gain(even)) == pytest.approx(0.75, abs=1e-3)
    assert float(split_gain(torch.ones(1, 8, 3))) == 0


@pytest.mark.parametrize(
    ("rows", "dim", "decay"), [(10, 64, 0.0), (30, 16, 0.5), (30, 128, 1.0), (60, 2, 0.0), (200, 32, 2.0)]
)
def test_single_gaussians_are_rarely_called_two(rows: int, dim: int, decay: float) -> None:
    scales = torch.arange(1, dim + 1, dtype=torch.float64) ** -decay
    embeddings, labels = gaussian_classes(400, rows, dim, apart=0.0, seed=rows)
    moments = ClassMoments(second_moment=True)
    moments.update(embeddings * scales, labels)
    size = looked_at(rows)
    nulls = split_nulls(size, torch.linalg.eigvalsh(moments.compute().within).flip(0), 0)
    p = split_p(split_gain((embeddings * scales).view(400, rows, dim)[:, :size]), nulls).numpy()
    assert (p < 0.05).mean() <= 0.09
    assert (p < 0.01).mean() <= 0.03
    assert (holm(p) < 0.05).sum() <= 1


def test_families_of_single_gaussians_raise_few_false_alarms() -> None:
    nulls = split_nulls(24, torch.ones(16, dtype=torch.float64), 0)
    noise = torch.randn(100, 30, 24, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    alarms = [bool((holm(split_p(split_gain(one), nulls).numpy()) < 0.05).any()) for one in noise]
    assert np.mean(alarms) <= 0.1


def test_a_class_of_two_groups_is_found_and_no_other() -> None:
    embeddings, labels = gaussian_classes(30, 40, 16, seed=3)
    labels = torch.where(labels == 7, 6, labels)  # two groups under one label
    table = table_of(embeddings, labels)
    assert table.label[table.looks_like_two].tolist() == [6]
    assert table.split_p[6] < 1e-3
    assert len(table) == 29


def test_a_collapsed_class_is_found_and_no_other() -> None:
    embeddings, labels = gaussian_classes(12, 20, 8, seed=4)
    means = torch.stack([embeddings[labels == label].mean(0) for label in range(12)])[labels]
    shrunk = torch.where((labels == 5).unsqueeze(1), means + 0.1 * (embeddings - means), embeddings)
    assert not table_of(embeddings, labels).looks_collapsed.any()
    table = table_of(shrunk, labels)
    assert table.label[table.looks_collapsed].tolist() == [5]
    equal = torch.where((labels == 5).unsqueeze(1), means, embeddings)
    table = table_of(equal, labels)
    assert table.label[table.looks_collapsed].tolist() == [5]
    assert np.isnan(table.split_p[5])


def test_the_table_agrees_with_its_parts(space: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = space
    table = describe(embeddings, labels, similarity="euclidean").per_class
    rows = list(table.rows())
    assert [row["label"] for row in rows] == sorted(set(labels.tolist()) - {-1})
    means = {row["label"]: embeddings[labels == row["label"]].mean(0) for row in rows}
    for row in rows:
        own = embeddings[labels == row["label"]]
        assert row["count"] == len(own)
        assert row["variance"] == pytest.approx(float((own - own.mean(0)).square().sum(1).mean()), rel=1e-12)
        if row["count"] == 1:
            assert row["nearest_class"] == -1
            assert math.isnan(row["nearest_class_distance"])
            continue
        assert row["variance_low"] < row["variance_unbiased"] < row["variance_high"]
        others = {
            label: float(torch.linalg.vector_norm(mean - own.mean(0)))
            for label, mean in means.items()
            if label != row["label"] and int((labels == label).sum()) > 1
        }
        assert row["nearest_class"] == min(others, key=lambda label: others[label])
        assert row["nearest_class_distance"] == pytest.approx(min(others.values()), rel=1e-12)


def test_holm_by_hand() -> None:
    assert holm(np.array([0.01, 0.04, np.nan, 0.03])) == pytest.approx([0.03, 0.06, np.nan, 0.06], nan_ok=True)
    assert [looked_at(count) for count in (7, 8, 33, 5000)] == [0, 8, 32, 128]
