"""VARIANCE between classes, and the budget that it shares with variance within: identities, known answers, scale."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import normalize

from losscope.diagnostics import (
    DIAGNOSTICS,
    between_variance,
    centroid_cosine_max,
    centroid_cosine_mean,
    fisher_ratio,
    inter_class_distance_cv,
    inter_class_distance_mean,
    inter_class_distance_min,
    inter_class_distance_q05,
    inter_class_squared_distance_mean,
    intra_class_variance_cv,
    intra_class_variance_mean,
    mean_resultant_squared,
    within_class_effective_rank,
    within_variance,
)
from losscope.diagnostics.separation import _quantile
from losscope.diagnostics.variance import class_statistics

LABELS = st.lists(st.integers(-1, 3), min_size=8, max_size=20).filter(
    lambda labels: sum(labels.count(label) > 1 for label in set(labels) - {-1}) >= 2
)

BETWEEN = [
    inter_class_distance_cv,
    inter_class_distance_min,
    inter_class_distance_q05,
    centroid_cosine_mean,
    centroid_cosine_max,
]


def sphere(samples: int, dim: int, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    return normalize(torch.randn(samples, dim, generator=random, dtype=torch.float64), dim=1)


def simplex(classes: int, each: int) -> tuple[Tensor, Tensor]:
    corners = normalize(torch.eye(classes, dtype=torch.float64) - 1 / classes, dim=1)
    labels = torch.arange(classes).repeat_interleave(each)
    return corners[labels], labels


# the budget -------------------------------------------------------------------------------------------------


@settings(max_examples=40, deadline=None)
@given(LABELS, st.integers(0, 100), st.sampled_from([1.0, 3.0]))
def test_within_between_and_what_all_share_sum_to_the_mean_squared_length(
    labels: list[int], seed: int, length: float
) -> None:
    z, given_labels = length * sphere(len(labels), 4, seed), torch.tensor(labels)
    statistics = class_statistics(z, given_labels)
    total = within_variance(statistics) + between_variance(statistics) + mean_resultant_squared(statistics)
    assert total.item() == pytest.approx(length**2)


@settings(max_examples=40, deadline=None)
@given(LABELS, st.integers(0, 100))
def test_classes_of_one_size_have_a_between_variance_of_their_squared_distances(labels: list[int], seed: int) -> None:
    """Σ_c |μ_c - μ|²/C = (C - 1)/2C of the mean squared distance (eq. 3), and the mean of v_c is the within variance."""
    classes = len(set(labels))
    z, given_labels = sphere(3 * classes, 4, seed), torch.arange(classes).repeat(3)
    squared = inter_class_squared_distance_mean(z, given_labels)
    torch.testing.assert_close(between_variance(z, given_labels), (classes - 1) / (2 * classes) * squared)
    torch.testing.assert_close(within_variance(z, given_labels), intra_class_variance_mean(z, given_labels))


@settings(max_examples=40, deadline=None)
@given(LABELS, st.integers(0, 100))
def test_mean_squared_distance_over_ordered_pairs_of_a_class(labels: list[int], seed: int) -> None:
    z, given_labels = sphere(len(labels), 4, seed), torch.tensor(labels)
    statistics = class_statistics(z, given_labels)
    for label, count, variance in zip(statistics.classes, statistics.counts, statistics.variances, strict=True):
        members = z[given_labels == label]
        squares = [
            (one - other).square().sum() for i, one in enumerate(members) for j, other in enumerate(members) if i != j
        ]
        torch.testing.assert_close(torch.stack(squares).mean(), 2 * count / (count - 1) * variance)


def test_equal_samples_leave_nothing_to_separate() -> None:
    z, labels = sphere(1, 4).expand(6, 4), torch.tensor([0, 0, 0, 1, 1, 1])
    assert mean_resultant_squared(z, labels).item() == pytest.approx(1)
    assert between_variance(z, labels).item() == pytest.approx(0, abs=1e-15)


# known answers ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("classes", "distance", "squared"), [(10, 1.490712, 2.222222), (11, 1.48324, 2.2),
                                                              (100, 1.42134, 2.0202)])  # fmt: skip
def test_a_collapsed_simplex_reaches_every_bound(classes: int, distance: float, squared: float) -> None:
    z, labels = simplex(classes, 3)
    for function in (inter_class_distance_mean, inter_class_distance_min, inter_class_distance_q05):
        assert function(z, labels).item() == pytest.approx(distance, abs=1e-5)
    assert inter_class_squared_distance_mean(z, labels).item() == pytest.approx(squared, abs=1e-5)
    assert inter_class_distance_cv(z, labels).item() == pytest.approx(0, abs=1e-12)
    for function in (centroid_cosine_mean, centroid_cosine_max):
        assert function(z, labels).item() == pytest.approx(-1 / (classes - 1))
    assert within_variance(z, labels).item() == pytest.approx(0, abs=1e-15)
    assert between_variance(z, labels).item() == pytest.approx(1)
    assert mean_resultant_squared(z, labels).item() == pytest.approx(0, abs=1e-15)


def test_cosines_see_directions_only() -> None:
    """Looser classes have shorter centroids: their distances shrink, their cosines don't."""
    axes = torch.eye(3, dtype=torch.float64)[:2]
    for spread in (0.1, 1.2):
        z = torch.stack(
            [math.cos(spread) * axis + sign * math.sin(spread) * torch.eye(3)[2] for axis in axes for sign in (1, -1)]
        )
        labels = torch.tensor([0, 0, 1, 1])
        assert centroid_cosine_mean(z, labels).item() == pytest.approx(0, abs=1e-15)
        assert inter_class_distance_mean(z, labels).item() == pytest.approx(math.sqrt(2) * math.cos(spread))


def test_a_centroid_without_a_direction_has_cosine_0() -> None:
    z = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert centroid_cosine_mean(z, torch.tensor([0, 0, 1, 1])).item() == 0


def test_the_nearest_pair_is_one_pair_and_the_quantile_is_not() -> None:
    places = torch.tensor([0.0, 1e-3, *range(2, 40)], dtype=torch.float64)
    z, labels = places.repeat_interleave(2).unsqueeze(1), torch.arange(40).repeat_interleave(2)
    assert inter_class_distance_min(z, labels).item() == pytest.approx(1e-3)
    assert inter_class_distance_q05(z, labels).item() == pytest.approx(2, abs=1e-3)


@pytest.mark.parametrize("count", [1, 2, 3, 19, 20, 21, 190])
def test_the_quantile_is_the_linear_one(count: int) -> None:
    values = torch.rand(3, count, generator=torch.Generator().manual_seed(count), dtype=torch.float64)
    for share in (0.05, 0.5):
        np.testing.assert_allclose(_quantile(values, share), np.quantile(values.numpy(), share, axis=-1))


def test_the_within_class_rank_counts_the_directions_that_classes_vary_in() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(2000)
    centers = 5 * torch.randn(4, 16, generator=random)
    every = torch.randn(8000, 16, generator=random)
    assert within_class_effective_rank(every + centers[labels], labels).item() == pytest.approx(16, abs=0.05)
    assert within_class_effective_rank(every[:, :1] + centers[labels], labels).item() == pytest.approx(1, abs=1e-3)


# what leaves them alone -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "power"), [
    ("inter_class_distance_min", 1), ("inter_class_distance_q05", 1), ("within_variance", 2), ("between_variance", 2),
    ("mean_resultant_squared", 2), ("intra_class_variance_cv", 0), ("inter_class_distance_cv", 0), ("fisher_ratio", 0),
    ("centroid_cosine_mean", 0), ("centroid_cosine_max", 0), ("within_class_effective_rank", 0),
])  # fmt: skip
def test_scaled_embeddings_scale_what_has_a_unit(name: str, power: int) -> None:
    z, labels = sphere(12, 5), torch.arange(4).repeat(3)
    function: Callable[..., Tensor] = DIAGNOSTICS[name].function
    torch.testing.assert_close(function(7 * z, labels), 7**power * function(z, labels))


@pytest.mark.parametrize("name", ["inter_class_distance_min", "inter_class_distance_cv", "within_variance",
                                  "between_variance", "fisher_ratio", "within_class_effective_rank"])  # fmt: skip
def test_what_is_relative_ignores_where_the_origin_is(name: str) -> None:
    z, labels = sphere(12, 5), torch.arange(4).repeat(3)
    function: Callable[..., Tensor] = DIAGNOSTICS[name].function
    torch.testing.assert_close(function(z + 3, labels), function(z, labels))


# where nothing can be said ----------------------------------------------------------------------------------


@pytest.mark.parametrize("labels", [[0, 0, 0, 0], [0, 0, 1, -1], [-1, 0, 1, 2]])
@pytest.mark.parametrize("function", BETWEEN)
def test_fewer_than_two_classes_have_no_separation(function: Callable[..., Tensor], labels: list[int]) -> None:
    z = sphere(4, 3)
    assert function(z, torch.tensor(labels)).isnan()
    together = function(z.expand(2, 3, 4, 3), torch.tensor(labels))
    assert together.shape == (2, 3)
    assert together.isnan().all()


@pytest.mark.parametrize("name", ["within_variance", "between_variance", "mean_resultant_squared",
                                  "within_class_effective_rank"])  # fmt: skip
def test_without_a_class_there_is_no_budget(name: str) -> None:
    assert DIAGNOSTICS[name].function(sphere(3, 2), torch.tensor([-1, 0, 1])).isnan()


def test_classes_of_one_point_vary_in_no_direction() -> None:
    z, labels = torch.eye(3).repeat_interleave(2, dim=0), torch.arange(3).repeat_interleave(2)
    assert within_class_effective_rank(z, labels).isnan()
    assert intra_class_variance_cv(z, labels).isnan()
    assert fisher_ratio(z, labels).isposinf()
    rank = within_class_effective_rank(torch.stack([z, z + sphere(6, 3)]), labels)
    assert rank.isnan().tolist() == [True, False]  # each run by itself
