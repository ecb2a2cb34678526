"""VARIANCE from merged moments: the study's numbers, blocks and closed forms, and intervals that cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from conftest import gaussian_classes
from losscope import diagnostics
from losscope.geometry import ClassMoments, Moments
from losscope.geometry import variance as module
from losscope.geometry.density import density
from losscope.geometry.variance import centroid_distances, squared_distance_mean, variance, variance_intervals


def moments_of(embeddings: Tensor, labels: Tensor, *, second_moment: bool = True) -> Moments:
    moments = ClassMoments(second_moment=second_moment)
    moments.update(embeddings, labels)
    return moments.compute()


@pytest.mark.parametrize("block", [1, 3, 512])
def test_equals_the_study_side(space: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    monkeypatch.setattr(module, "BLOCK", block)
    found = variance(moments_of(*space, second_moment=False))
    names = {
        "intra_class_variance_mean",
        "intra_class_variance_unbiased_mean",
        "intra_class_variance_over_classes",
        "intra_class_variance_cv",
        "mean_resultant_squared",
        "fisher_ratio",
        "inter_class_distance_mean",
        "inter_class_distance_mean_corrected",
        "inter_class_distance_variance",
        "inter_class_distance_min",
        "inter_class_squared_distance_mean",
        "intra_inter_ratio",
    }
    for name in names:
        expected = float(getattr(diagnostics, name)(*space))
        assert getattr(found, name) == pytest.approx(expected, rel=1e-12), name
    assert found.within == pytest.approx(float(diagnostics.within_variance(*space)), rel=1e-12)
    assert found.total == pytest.approx(found.within + found.between)


def test_unit_rows_spend_one_budget() -> None:
    embeddings, labels = gaussian_classes(5, 20, 6)
    found = variance(moments_of(normalize(embeddings, dim=1), labels))
    assert found.total + found.mean_resultant_squared == pytest.approx(1, rel=1e-12)


def test_nearest_class_and_closed_form() -> None:
    centers = torch.tensor([[0.0, 0.0], [1.0, 0.0], [5.0, 0.0], [5.0, 3.0]], dtype=torch.float64)
    points, labels = centers.repeat_interleave(2, 0), torch.tensor([4, 4, 9, 9, 2, 2, 7, 7])
    moments = moments_of(points, labels)
    apart = centroid_distances(moments.statistics)
    assert moments.labels.tolist() == [2, 4, 7, 9]
    assert moments.labels[apart.nearest].tolist() == [7, 9, 2, 4]
    assert apart.nearest_distance.tolist() == [3.0, 1.0, 3.0, 1.0]
    assert squared_distance_mean(centers) == pytest.approx(float(torch.pdist(centers).square().mean()), rel=1e-14)


def test_correction_finds_the_true_distance_of_small_classes() -> None:
    embeddings, labels = gaussian_classes(400, 5, 16, apart=0.5, seed=1)
    found = variance(moments_of(embeddings, labels))
    drawn = torch.randn(400, 16, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    true = squared_distance_mean(0.5 * drawn)
    assert found.inter_class_squared_distance_mean == pytest.approx(true + 2 * 16 / 5, rel=0.05)
    assert found.inter_class_squared_distance_mean_corrected == pytest.approx(true, rel=0.05)


def test_too_few_classes_say_so() -> None:
    nobody = variance(moments_of(torch.ones(3, 2), torch.tensor([0, 1, -1])))
    assert all(math.isnan(value) for value in vars(nobody).values())
    one = variance(moments_of(torch.eye(3), torch.zeros(3, dtype=torch.int64)))
    assert one.intra_class_variance_mean == pytest.approx(2 / 3)
    assert math.isnan(one.inter_class_distance_mean)
    assert math.isnan(one.inter_class_squared_distance_mean)
    assert one.fisher_ratio == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("rows", [3, 10, 40])
@pytest.mark.parametrize("decay", [0.0, 1.0])
def test_intervals_cover_the_true_variance(rows: int, decay: float) -> None:
    scales = torch.arange(1, 25, dtype=torch.float64) ** -decay
    noise = torch.randn(2000, rows, 24, generator=torch.Generator().manual_seed(rows), dtype=torch.float64) * scales
    low, high = variance_intervals(moments_of(noise.flatten(0, 1), torch.arange(2000).repeat_interleave(rows)))
    true = float(scales.square().sum())
    covered = np.mean((low <= true) & (true <= high))
    assert 0.935 <= covered <= 0.98  # wider than need be with three rows in few directions


def test_intervals_without_variance_or_with_one_row() -> None:
    low, high = variance_intervals(moments_of(torch.ones(4, 2), torch.zeros(4, dtype=torch.int64)))
    assert (low.tolist(), high.tolist()) == ([0.0], [0.0])
    low, high = variance_intervals(moments_of(torch.randn(5, 3), torch.tensor([0, 0, 0, 0, 1])))
    assert np.isnan([low[1], high[1]]).all()
    assert low[0] < high[0]


def test_density_is_mean_cosine_distance_within_over_between(space: tuple[Tensor, Tensor]) -> None:
    points, labels = normalize(space[0], dim=1), space[1]
    classes = [c for c in labels.unique().tolist() if c != -1 and int((labels == c).sum()) > 1]
    intra, centers = [], []
    for label in classes:
        rows = points[labels == label]
        cosines = rows @ rows.T
        intra.append(float((1 - cosines)[~torch.eye(len(rows), dtype=torch.bool)].mean()))
        centers.append(normalize(rows.mean(0), dim=0))
    distances = [float(1 - a @ b) for i, a in enumerate(centers) for b in centers[:i]]
    found = density(moments_of(points, labels), unit=True)
    assert found.pi_intra == pytest.approx(np.mean(intra), rel=1e-12)
    assert found.pi_inter == pytest.approx(np.mean(distances), rel=1e-12)
    assert found.pi_ratio == pytest.approx(np.mean(intra) / np.mean(distances), rel=1e-12)
    assert math.isnan(density(moments_of(points, torch.zeros_like(labels)), unit=True).pi_ratio)
