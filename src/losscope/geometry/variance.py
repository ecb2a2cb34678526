"""VARIANCE of a space at any size: the study's measures from merged moments, with intervals for each class.

The interval of v_c takes the squared deviations of a class for a sum of independent Gaussian directions whose
spectrum is that of all classes together, so that (Box 1954, Satterthwaite's degrees of freedom)

    v_u(c) ν / v ~ χ²(ν),   ν = (n_c - 1) · participation ratio within classes

It is approximate: too narrow for heavy tails or for a class whose variance lies in fewer directions than the others'.
Distances of many centroids are handled in blocks; the mean squared one has the closed form 2/(C - 1) Σ |μ_c - μ̄|².
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope import diagnostics
from losscope.diagnostics.variance import ClassStatistics, unbiased_variances
from losscope.geometry.estimate import LEVEL
from losscope.geometry.moments import Moments

BLOCK = 512
"""Centroids compared with all others at a time."""


@dataclass(frozen=True)
class Variance:
    """As defined in `losscope.diagnostics`, over the classes with at least two rows; NaN where there are too few."""

    intra_class_variance_mean: float
    intra_class_variance_unbiased_mean: float
    intra_class_variance_over_classes: float
    intra_class_variance_cv: float
    within: float
    between: float
    total: float
    mean_resultant_squared: float
    fisher_ratio: float
    inter_class_distance_mean: float
    inter_class_distance_mean_corrected: float
    inter_class_distance_variance: float
    inter_class_distance_min: float
    inter_class_squared_distance_mean: float
    inter_class_squared_distance_mean_corrected: float
    intra_inter_ratio: float


def variance(moments: Moments) -> Variance:
    """All measures of looseness and separation; second moments are not needed."""
    statistics = moments.statistics
    if not len(statistics.classes):
        return Variance(*[math.nan] * 16)
    apart = centroid_distances(statistics)
    within, between = float(diagnostics.within_variance(statistics)), float(diagnostics.between_variance(statistics))
    intra = float(diagnostics.intra_class_variance_mean(statistics))
    excess = float((unbiased_variances(statistics) / statistics.counts).mean())
    squared = squared_distance_mean(statistics.centroids)
    return Variance(
        intra_class_variance_mean=intra,
        intra_class_variance_unbiased_mean=float(diagnostics.intra_class_variance_unbiased_mean(statistics)),
        intra_class_variance_over_classes=float(diagnostics.intra_class_variance_over_classes(statistics)),
        intra_class_variance_cv=float(diagnostics.intra_class_variance_cv(statistics)),
        within=within,
        between=between,
        total=within + between,
        mean_resultant_squared=float(diagnostics.mean_resultant_squared(statistics)),
        fisher_ratio=between / within if within > 0 else math.inf if between > 0 else math.nan,
        inter_class_distance_mean=apart.mean,
        inter_class_distance_mean_corrected=apart.corrected,
        inter_class_distance_variance=apart.variance,
        inter_class_distance_min=float(apart.nearest_distance.min()) if len(statistics.classes) > 1 else math.nan,
        inter_class_squared_distance_mean=squared,
        inter_class_squared_distance_mean_corrected=max(squared - 2 * excess, 0.0),
        intra_inter_ratio=intra / squared if squared > 0 else math.nan,
    )


def squared_distance_mean(centroids: Tensor) -> float:
    """Mean of |μ_c - μ_c'|² over pairs of centroids (classes, dim), in closed form; NaN with fewer than two.

    >>> squared_distance_mean(torch.tensor([[0.0], [1.0], [3.0]], dtype=torch.float64))
    4.666666666666667
    """
    count = len(centroids)
    return 2 / (count - 1) * float((centroids - centroids.mean(0)).square().sum()) if count > 1 else math.nan


@dataclass(frozen=True)
class CentroidDistances:
    """Distances of centroids over class pairs, and each class's nearest other class."""

    mean: float
    corrected: float  # without what finite classes add
    variance: float  # unbiased, over pairs
    nearest: Tensor  # (classes,) place of the nearest other class; -1 if there is none
    nearest_distance: Tensor  # (classes,) NaN if there is none


def centroid_distances(statistics: ClassStatistics) -> CentroidDistances:
    """Distances of all pairs of centroids in blocks: memory linear in the number of classes."""
    centroids, count = statistics.centroids, len(statistics.classes)
    excess = unbiased_variances(statistics) / statistics.counts
    nearest = torch.full((count,), -1, device=centroids.device)
    nearest_distance = centroids.new_full((count,), math.nan)
    if count < 2:
        return CentroidDistances(math.nan, math.nan, math.nan, nearest, nearest_distance)
    sums = centroids.new_zeros(3)
    middle = math.sqrt(squared_distance_mean(centroids))  # near the mean, so that its square cancels little
    for start in range(0, count, BLOCK):
        here = slice(start, min(start + BLOCK, count))
        distances = torch.cdist(centroids[here], centroids, compute_mode="donot_use_mm_for_euclid_dist")
        corrected = (distances.square() - excess[here].unsqueeze(1) - excess).clamp_min_(0).sqrt_()
        own = torch.arange(here.start, here.stop, device=centroids.device)
        other = torch.ones_like(distances, dtype=torch.bool)
        other[own - start, own] = False
        off = torch.where(other, distances - middle, 0)
        sums += torch.stack([off.sum(), off.square().sum(), torch.where(other, corrected, 0).sum()])
        nearest_distance[here], nearest[here] = torch.where(other, distances, torch.inf).min(1)
    pairs = count * (count - 1)  # ordered: each counted twice
    mean = float(sums[0]) / pairs
    squares = float(sums[1]) / 2 - pairs / 2 * mean**2
    spread = max(squares, 0.0) / (pairs / 2 - 1) if count > 2 else math.nan
    return CentroidDistances(middle + mean, float(sums[2]) / pairs, spread, nearest, nearest_distance)


def variance_intervals(moments: Moments) -> tuple[np.ndarray, np.ndarray]:
    """Low and high ends (classes,) of the 95 % interval of each class's unbiased variance; NaN with one row.

    Raises InvalidInput without second moments.
    """
    from scipy.special import chdtri

    from losscope.geometry.spectrum import eigenvalues, participation_ratio

    unbiased = moments.unbiased_variances.cpu().numpy()
    directions = participation_ratio(eigenvalues(moments.within))
    if math.isnan(directions):  # no class spreads at all
        return unbiased, unbiased
    freedom = (moments.counts.cpu().numpy() - 1).clip(1) * directions
    scaled = unbiased * freedom
    return scaled / chdtri(freedom, (1 - LEVEL) / 2), scaled / chdtri(freedom, (1 + LEVEL) / 2)
