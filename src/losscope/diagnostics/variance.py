"""VARIANCE within classes: how far a class spreads around its centroid, and what that leaves for the others.

    v_c   = 1/N_c Σ_{i ∈ c} |zᵢ - μ_c|²          intra-class variance of class c (biased; N_c/(N_c - 1) v_c is not)

The mean over classes goes with the *population* variance over classes: so paper A's numbers were made. For unit-length
embeddings v_c = 1 - |μ_c|², and with the center μ of all samples

    1 = Σ_c N_c/N v_c + Σ_c N_c/N |μ_c - μ|² + |μ|²,        within + between + what all samples share:

looseness and separation spend one budget, and keeping more of both takes a smaller |μ|.

Labels -1 and classes with one sample are left out. Everything accumulates in float64. Leading run axes pass
through; labels are (samples,), equal for all runs, or have the same run axes with the same classes in each run.
Source: Zeng et al. 2025 (arXiv 2510.02161), eq. (3) and Table 1.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from losscope.types import OUTLIER


@dataclass(frozen=True)
class ClassStatistics:
    """What the measures within and between classes are made of."""

    classes: Tensor  # (classes,) int64 labels
    counts: Tensor  # (..., classes) float64
    centroids: Tensor  # (..., classes, dim) float64
    variances: Tensor  # (..., classes) float64, biased

    @cached_property
    def distances(self) -> Tensor:
        """Distances (..., pairs) of the centroids of all class pairs c < c', by differences, never by dot products."""
        runs, (count, dim) = self.centroids.shape[:-2], self.centroids.shape[-2:]
        distances = torch.stack([torch.pdist(one) for one in self.centroids.view(runs.numel(), count, dim)])
        return distances.view(*runs, distances.shape[-1])


def class_statistics(embeddings: Tensor, labels: Tensor) -> ClassStatistics:
    """Count, centroid and variance of each class with at least two samples in every run.

    embeddings (..., samples, dim), labels (samples,) or (..., samples).
    """
    runs, (samples, dim) = embeddings.shape[:-2], embeddings.shape[-2:]
    points = embeddings.reshape(-1, samples, dim).double()
    given = labels.expand(*runs, samples).reshape(-1, samples)
    classes = torch.unique(given[given != OUTLIER])
    place = torch.searchsorted(classes, given.contiguous()).clamp_max(max(len(classes) - 1, 0))
    run = torch.arange(len(points), device=points.device).unsqueeze(1)
    flat = torch.where(given == OUTLIER, len(points) * len(classes), run * len(classes) + place).flatten()
    slots = len(points) * len(classes) + 1  # the last one takes the outliers

    def sums(of: Tensor) -> Tensor:
        total = torch.zeros(slots, of.shape[-1], dtype=torch.float64, device=of.device)
        return total.index_add_(0, flat, of.reshape(-1, of.shape[-1]))[:-1].view(
            len(points), len(classes), of.shape[-1]
        )

    counts = sums(torch.ones_like(points[..., :1])).squeeze(-1)
    centroids = sums(points) / counts.clamp_min(1).unsqueeze(-1)
    own = torch.cat([centroids.reshape(-1, dim), centroids.new_zeros(1, dim)])[flat].view_as(points)
    squares = (points - own).square().sum(-1, keepdim=True)
    variances = sums(squares).squeeze(-1) / counts.clamp_min(1)
    kept = (counts >= 2).all(0)
    return ClassStatistics(
        classes[kept],
        *(part[:, kept].reshape(*runs, *part[:, kept].shape[1:]) for part in (counts, centroids, variances)),
    )


def statistics_of(embeddings: Tensor | ClassStatistics, labels: Tensor | None) -> ClassStatistics:
    """Statistics as they are, or those of embeddings and labels."""
    if isinstance(embeddings, ClassStatistics):
        return embeddings
    assert labels is not None
    return class_statistics(embeddings, labels)


def intra_class_variance(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """v_c of each class: (..., classes), in order of the labels.

    >>> z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [-1.0, 0.0]])
    >>> intra_class_variance(z, torch.tensor([0, 0, 1, 1])).tolist()
    [0.5, 0.0]
    """
    return statistics_of(embeddings, labels).variances


def intra_class_variance_mean(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """Mean of v_c over classes."""
    return intra_class_variance(embeddings, labels).mean(-1)


def intra_class_variance_unbiased_mean(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """Mean over classes of N_c/(N_c - 1) v_c, to compare classes or splits of different size."""
    return unbiased_variances(statistics_of(embeddings, labels)).mean(-1)


def unbiased_variances(statistics: ClassStatistics) -> Tensor:
    """N_c/(N_c - 1) v_c of each class: (..., classes)."""
    return statistics.variances * statistics.counts / (statistics.counts - 1)


def intra_class_variance_over_classes(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """Population variance of v_c over classes (paper A's second column of Table 1)."""
    return intra_class_variance(embeddings, labels).var(-1, correction=0)


def intra_class_variance_cv(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """Population standard deviation of v_c over classes, over its mean; NaN where every class is one point."""
    variances = intra_class_variance(embeddings, labels)
    return variances.std(-1, correction=0) / variances.mean(-1)


def within_variance(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """Mean of v_c over samples: Σ_c N_c/N v_c."""
    statistics = statistics_of(embeddings, labels)
    return (statistics.counts * statistics.variances).sum(-1) / statistics.counts.sum(-1)


def between_variance(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """Variance of the centroids around the center of all samples: Σ_c N_c/N |μ_c - μ|²."""
    statistics = statistics_of(embeddings, labels)
    squares = (statistics.centroids - _center(statistics).unsqueeze(-2)).square().sum(-1)
    return (statistics.counts * squares).sum(-1) / statistics.counts.sum(-1)


def mean_resultant_squared(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """|μ|² with μ the center of all samples: what they share, which separates nothing."""
    return _center(statistics_of(embeddings, labels)).square().sum(-1)


def _center(statistics: ClassStatistics) -> Tensor:
    """Mean (..., dim) of all samples that the statistics are of."""
    total = (statistics.counts.unsqueeze(-1) * statistics.centroids).sum(-2)
    return total / statistics.counts.sum(-1, keepdim=True)


def fisher_ratio(embeddings: Tensor | ClassStatistics, labels: Tensor | None = None) -> Tensor:
    """Variance between classes over variance within: infinite where every class is one point."""
    statistics = statistics_of(embeddings, labels)
    return between_variance(statistics) / within_variance(statistics)


def class_deviations(embeddings: Tensor, labels: Tensor, statistics: ClassStatistics | None = None) -> Tensor:
    """zᵢ - μ_c of each sample in its class: (..., samples, dim) float64, 0 for a sample that is in no statistic.

    Arguments as in `class_statistics`, which saves a pass where the statistics are at hand.
    """
    found = class_statistics(embeddings, labels) if statistics is None else statistics
    if not len(found.classes):
        return torch.zeros_like(embeddings, dtype=torch.float64)
    given = labels.expand(embeddings.shape[:-1])
    place = torch.searchsorted(found.classes, given.contiguous()).clamp_max(len(found.classes) - 1)
    own = found.centroids.gather(-2, place.unsqueeze(-1).expand(embeddings.shape))
    return torch.where((found.classes[place] == given).unsqueeze(-1), embeddings.double() - own, 0.0)
