"""VARIANCE: exact identities on the unit sphere, bounds, known answers, and what finite classes add."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from losscope.diagnostics import (
    inter_class_distance_mean,
    inter_class_distance_mean_corrected,
    inter_class_distance_variance,
    inter_class_squared_distance_mean,
    intra_class_variance,
    intra_class_variance_mean,
    intra_class_variance_unbiased_mean,
    intra_inter_ratio,
)
from losscope.diagnostics.variance import class_statistics

LABELS = st.lists(st.integers(0, 3), min_size=8, max_size=20).filter(
    lambda labels: sum(labels.count(label) > 1 for label in set(labels)) >= 2
)


def sphere(samples: int, dim: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(samples, dim, generator=random, dtype=torch.float64), dim=1)


@settings(max_examples=40, deadline=None)
@given(LABELS, st.integers(0, 100))
def test_on_the_sphere_a_variance_is_one_minus_the_squared_length_of_the_centroid(labels: list[int], seed: int) -> None:
    z = sphere(len(labels), 4, seed)
    statistics = class_statistics(z, torch.tensor(labels))
    torch.testing.assert_close(statistics.variances, 1 - statistics.centroids.square().sum(-1))


@settings(max_examples=40, deadline=None)
@given(LABELS, st.integers(0, 100))
def test_equation_3_is_the_spread_of_the_centroids(labels: list[int], seed: int) -> None:
    z, given_labels = sphere(len(labels), 4, seed), torch.tensor(labels)
    centroids = class_statistics(z, given_labels).centroids
    classes = len(centroids)
    spread = (centroids - centroids.mean(0)).square().sum(-1).mean()
    squared = inter_class_squared_distance_mean(z, given_labels)
    torch.testing.assert_close(squared, 2 * classes / (classes - 1) * spread)
    budget = 1 - intra_class_variance_mean(z, given_labels) - centroids.mean(0).square().sum()
    torch.testing.assert_close(squared, 2 * classes / (classes - 1) * budget)
    assert squared <= 2 * classes / (classes - 1) + 1e-12
    assert inter_class_distance_mean(z, given_labels) ** 2 <= squared + 1e-12  # Jensen


@pytest.mark.parametrize("seed", range(3))
def test_mean_squared_distance_within_a_class_is_twice_the_unbiased_variance(seed: int) -> None:
    z = sphere(7, 5, seed)
    pairs = torch.pdist(z).square().mean()
    labels = torch.zeros(7, dtype=torch.int64)
    torch.testing.assert_close(pairs, 2 * 7 / 6 * intra_class_variance(z, labels)[0])
    torch.testing.assert_close(pairs, 2 * intra_class_variance_unbiased_mean(z, labels))


def test_ten_classes_collapsed_to_a_simplex() -> None:
    corners = normalize(torch.eye(10, dtype=torch.float64) - 0.1, dim=1)
    labels = torch.arange(10).repeat_interleave(4)
    z = corners[labels]
    assert intra_class_variance_mean(z, labels).item() == pytest.approx(0, abs=1e-15)
    assert inter_class_distance_mean(z, labels).item() == pytest.approx(1.490712, abs=1e-6)
    assert inter_class_squared_distance_mean(z, labels).item() == pytest.approx(2.222222, abs=1e-6)
    assert inter_class_distance_variance(z, labels).item() == pytest.approx(0, abs=1e-15)
    assert intra_inter_ratio(z, labels).item() == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("count", [2, 5, 30])
def test_random_directions_have_the_variance_of_their_number(count: int) -> None:
    """v_c -> 1 - 1/N_c, the value of no structure at all; its unbiased form is 1."""
    labels = torch.arange(200).repeat_interleave(count)
    z = sphere(200 * count, 64)
    assert intra_class_variance_mean(z, labels).item() == pytest.approx(1 - 1 / count, abs=0.005)
    assert intra_class_variance_unbiased_mean(z, labels).item() == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize(("count", "naive"), [(30, math.sqrt(0.68)), (5, math.sqrt(0.88))])
def test_the_corrected_distance_takes_off_what_small_classes_add(count: int, naive: float) -> None:
    """Two classes of variance 0.6 at a distance of 0.80, in 64 dimensions, drawn 400 times."""
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(400, 2 * count, 64, generator=random, dtype=torch.float64) * math.sqrt(0.6 / 64)
    labels = torch.arange(2).repeat_interleave(count)
    centers = torch.zeros(2, 64, dtype=torch.float64)
    centers[1, 0] = 0.8
    z = noise + centers[labels]
    assert inter_class_distance_mean(z, labels).mean().item() == pytest.approx(naive, abs=0.01)
    assert inter_class_distance_mean_corrected(z, labels).mean().item() == pytest.approx(0.8, abs=0.01)


def test_classes_that_lie_together_have_a_corrected_distance_near_0() -> None:
    labels = torch.arange(2).repeat_interleave(5)
    z = sphere(10, 512)
    assert inter_class_distance_mean(z, labels).item() > 0.5
    assert inter_class_distance_mean_corrected(z, labels).item() < 0.2


def test_the_variance_of_distances_needs_three_classes() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    assert inter_class_distance_variance(sphere(4, 3), labels).isnan()
    assert inter_class_distance_variance(sphere(4, 3).expand(2, 4, 3), labels).isnan().all()


def test_variances_come_in_the_order_of_the_labels() -> None:
    labels = torch.tensor([9, 2, 9, 2, -1, 5])
    statistics = class_statistics(sphere(6, 3), labels)
    assert statistics.classes.tolist() == [2, 9]
    assert statistics.counts.tolist() == [2, 2]
    torch.testing.assert_close(statistics.centroids[1], sphere(6, 3)[[0, 2]].mean(0))


@pytest.mark.parametrize("labels", [[-1, -1, -1], [0, 1, 2], [-1, 0, 1]])
def test_without_a_class_of_two_samples_there_is_no_statistic(labels: list[int]) -> None:
    statistics = class_statistics(sphere(3, 2), torch.tensor(labels))
    assert statistics.classes.shape == (0,)
    assert intra_class_variance(statistics).shape == (0,)
    assert intra_class_variance_mean(statistics).isnan()


def test_a_tiny_variance_far_from_the_origin_is_not_lost() -> None:
    """Centered before squaring: E z² - μ² would lose it even in float64."""
    offsets = torch.tensor([-1e-6, 1e-6], dtype=torch.float64)
    z = (1e4 + offsets).unsqueeze(1)
    assert intra_class_variance(z, torch.tensor([0, 0])).item() == pytest.approx(1e-12, rel=1e-4)
