"""Spectra, neural collapse and the alarm: known answers, and what the study side and the naive formula say."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from conftest import gaussian_classes
from losscope.diagnostics import effective_rank, within_class_effective_rank
from losscope.errors import InvalidInput
from losscope.geometry import ClassMoments, Moments
from losscope.geometry.collapse import collapse_alarm, neural_collapse
from losscope.geometry.spectrum import Spectrum, spectrum


def moments_of(embeddings: Tensor, labels: Tensor) -> Moments:
    moments = ClassMoments(second_moment=True)
    moments.update(embeddings, labels)
    return moments.compute()


def spectrum_of(embeddings: Tensor, labels: Tensor) -> Spectrum:
    return spectrum(moments_of(embeddings, labels))


def simplex(classes: int, dim: int) -> Tensor:
    """The regular simplex of unit vectors in `dim` dimensions."""
    corners = torch.eye(classes, dtype=torch.float64) - 1 / classes
    return torch.cat([normalize(corners, dim=1), torch.zeros(classes, dim - classes, dtype=torch.float64)], dim=1)


def test_equals_the_study_side_and_numpy(space: tuple[Tensor, Tensor]) -> None:
    embeddings, labels = space
    found = spectrum_of(embeddings, labels)
    assert found.effective_rank == pytest.approx(float(effective_rank(embeddings)), rel=1e-12)
    within = float(within_class_effective_rank(embeddings, labels))
    assert found.within_class_effective_rank == pytest.approx(within, rel=1e-12)
    singular = np.linalg.svd(embeddings.numpy(), compute_uv=False)
    np.testing.assert_allclose(found.singular_values, singular, rtol=1e-12)
    share = singular / singular.sum()
    assert found.spectral_decay == pytest.approx(float(np.mean(np.log(1 / len(share) / share))), rel=1e-11)
    values = np.linalg.eigvalsh(np.cov(embeddings.numpy().T, ddof=0))[::-1]
    assert found.participation_ratio == pytest.approx(values.sum() ** 2 / (values**2).sum(), rel=1e-12)
    assert found.components_90 == 1 + int(np.searchsorted(values.cumsum() / values.sum(), 0.9))


def test_known_spectra() -> None:
    axes = torch.cat([torch.eye(6), -torch.eye(6)]).double()
    even = spectrum_of(axes, torch.zeros(12, dtype=torch.int64))
    assert even.effective_rank == pytest.approx(6)
    assert even.participation_ratio == pytest.approx(6)
    assert even.spectral_decay == pytest.approx(0, abs=1e-12)
    assert even.components_90 == 6
    line = torch.linspace(-1, 1, 9, dtype=torch.float64).unsqueeze(1) * torch.tensor([[3.0, 4.0, 0.0]])
    one = spectrum_of(line, torch.zeros(9, dtype=torch.int64))
    assert one.effective_rank == pytest.approx(1, abs=1e-5)
    assert one.participation_ratio == pytest.approx(1)
    assert one.components_90 == 1
    assert one.spectral_decay > 5


def test_without_variance_there_is_no_rank_within() -> None:
    found = spectrum_of(torch.ones(5, 3, dtype=torch.float64), torch.zeros(5, dtype=torch.int64))
    assert found.effective_rank == pytest.approx(1, abs=1e-5)
    assert math.isnan(found.participation_ratio)
    assert math.isnan(found.within_class_effective_rank)
    assert found.components_90 == 0


def naive_neural_collapse(z: np.ndarray, labels: np.ndarray) -> tuple[float, float, float, float]:
    classes = [c for c in np.unique(labels) if c != -1 and (labels == c).sum() > 1]
    means = np.array([z[labels == c].mean(0) for c in classes])
    centered = means - means.mean(0)
    deviations = np.concatenate([z[labels == c] - mean for c, mean in zip(classes, means, strict=True)])
    within, between = deviations.T @ deviations / len(deviations), centered.T @ centered / len(classes)
    nc1 = np.trace(within @ np.linalg.pinv(between, rcond=1e-10)) / len(classes)
    lengths = np.linalg.norm(centered, axis=1)
    cosines = [
        float(a @ b / np.linalg.norm(a) / np.linalg.norm(b)) for i, a in enumerate(centered) for b in centered[:i]
    ]
    angle = np.mean(np.abs(np.array(cosines) + 1 / (len(classes) - 1)))
    return float(nc1), float(lengths.std() / lengths.mean()), float(np.std(cosines)), float(angle)


def test_neural_collapse_equals_the_naive_formula(space: tuple[Tensor, Tensor]) -> None:
    found = neural_collapse(moments_of(*space))
    expected = naive_neural_collapse(space[0].numpy(), space[1].numpy())
    assert tuple(vars(found).values()) == pytest.approx(expected, rel=1e-9)


def test_the_collapsed_simplex_is_zero_throughout() -> None:
    points = simplex(5, 9).repeat_interleave(4, 0)
    labels = torch.arange(5).repeat_interleave(4)
    found = neural_collapse(moments_of(points, labels))
    assert tuple(vars(found).values()) == pytest.approx((0, 0, 0, 0), abs=1e-12)
    spread = points + 0.1 * torch.randn(points.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert neural_collapse(moments_of(spread, labels)).nc1 > 1e-3
    assert math.isnan(neural_collapse(moments_of(points, torch.zeros(20, dtype=torch.int64))).nc1)


def alarm(embeddings: Tensor, labels: Tensor, *, unit: bool = True) -> str:
    moments = moments_of(embeddings, labels)
    found = collapse_alarm(moments, spectrum(moments), unit=unit)
    assert all(found.evidence)
    assert bool(found) is (found.kind != "none")
    return found.kind


def test_the_alarm_knows_total_and_dimensional_collapse() -> None:
    labels = torch.arange(20).repeat_interleave(10)
    noise = torch.randn(200, 32, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    alike = normalize(torch.ones(1, 32, dtype=torch.float64) + 0.02 * noise, dim=1)
    assert alarm(alike, labels) == "total"
    assert alarm(torch.zeros(200, 32, dtype=torch.float64), labels) == "total"
    plane = noise * torch.tensor([1.0] + [0.02] * 31, dtype=torch.float64)
    assert alarm(normalize(plane, dim=1), labels) == "dimensional"
    assert alarm(normalize(noise, dim=1), labels) == "none"
    collapsed_classes = simplex(20, 32).repeat_interleave(10, 0)
    assert alarm(collapsed_classes, labels) == "none"
    assert alarm(*gaussian_classes(3, 30, 8)) == "none"


@pytest.mark.parametrize("offset", [0.0, 100.0, 1e4])
def test_far_from_the_origin_is_no_collapse(offset: float) -> None:
    embeddings, labels = gaussian_classes(10, 6, 8, apart=5)
    assert alarm(embeddings + offset, labels, unit=False) == "none"
    alike = torch.full((60, 8), offset, dtype=torch.float64)
    assert alarm(alike, labels, unit=False) == "total"


def test_spectra_ask_for_second_moments() -> None:
    moments = ClassMoments()
    moments.update(torch.ones(3, 2), torch.zeros(3, dtype=torch.int64))
    with pytest.raises(InvalidInput, match="second_moment=True"):
        spectrum(moments.compute())
