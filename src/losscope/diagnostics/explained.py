"""GRANULARITY: how much of the variance that a loss keeps within its classes a finer label explains.

    T_g = Σ_{i ∈ g} |zᵢ - μ_g|²                       within the class g that was trained on
    R_g = Σ_{f ⊂ g} Σ_{i ∈ f} |zᵢ - μ_f|²             of it, within the fine classes f ⊂ g: nuisance
    η²  = 1 - Σ_g R_g / Σ_g T_g                       explained share
    ε²  = 1 - Σ_g (n_g - 1)/(n_g - F_g) R_g / Σ_g T_g      corrected for F_g fine classes among n_g samples

Many small fine classes explain something of anything: for labels at random η² is about (F_g - 1)/(n_g - 1). ε² is 0
then, exactly so in the mean over all orders of the labels within each class. It may be negative, and is 1 where every
fine class is one point. Classes with fewer than two fine classes, fine classes with one sample, and samples labelled -1
in either way are left out; where nothing is left, or nothing varies, all shares are NaN.

embeddings (..., samples, dim); coarse and fine labels (samples,), or with the same run axes and the same classes in each
run. Everything accumulates in float64. Free of rotation and scale, but for the variance itself.
Sources: Kelley 1935 (ε²); Anderson 2001 (sums of squared distances in place of squares).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.diagnostics.variance import class_statistics
from losscope.errors import InvalidInput
from losscope.types import OUTLIER


@dataclass(frozen=True)
class FineStatistics:
    """Sums of squares of each class that holds several fine ones."""

    samples: Tensor  # (..., classes) float64, n_g
    fine_classes: Tensor  # (classes,) int64, F_g
    total: Tensor  # (..., classes) float64, T_g
    residual: Tensor  # (..., classes) float64, R_g


def fine_statistics(embeddings: Tensor, coarse: Tensor, fine: Tensor) -> FineStatistics:
    """What the measures of this file are made of. Raises InvalidInput if a fine class lies in several classes."""
    found = class_statistics(embeddings, torch.where(coarse == OUTLIER, OUTLIER, fine))
    groups, of, fine_classes = torch.unique(
        _parents(found.classes, coarse, fine), return_inverse=True, return_counts=True
    )

    def sums(values: Tensor, dim: int) -> Tensor:
        shape = list(values.shape)
        shape[dim] = len(groups)
        return values.new_zeros(shape).index_add_(dim, of, values)

    samples = sums(found.counts, -1)
    centers = sums(found.counts.unsqueeze(-1) * found.centroids, -2) / samples.unsqueeze(-1)
    residual = found.counts * found.variances
    between = found.counts * (found.centroids - centers.index_select(-2, of)).square().sum(-1)
    total, kept = sums(residual + between, -1), fine_classes > 1
    return FineStatistics(samples[..., kept], fine_classes[kept], total[..., kept], sums(residual, -1)[..., kept])


def _parents(classes: Tensor, coarse: Tensor, fine: Tensor) -> Tensor:
    """The class (classes,) that each of the fine `classes` lies in."""
    both = (coarse + torch.zeros_like(fine), fine + torch.zeros_like(coarse))  # one may lack the run axes
    coarse, fine = (part.flatten().to(classes.dtype) for part in both)
    known = torch.isin(fine, classes) & (coarse != OUTLIER)
    place, own = torch.searchsorted(classes, fine[known]), coarse[known]
    parents = own.new_zeros(len(classes)).scatter_(0, place, own)
    if bool((astray := parents[place] != own).any()):
        raise InvalidInput(
            f"fine class {int(fine[known][astray][0])} lies in several classes; expected each within one: exchange the "
            "two kinds of labels if they are swapped"
        )
    return parents


def _statistics(embeddings: Tensor | FineStatistics, coarse: Tensor | None, fine: Tensor | None) -> FineStatistics:
    if isinstance(embeddings, FineStatistics):
        return embeddings
    assert coarse is not None
    assert fine is not None
    return fine_statistics(embeddings, coarse, fine)


def within_coarse_variance(
    embeddings: Tensor | FineStatistics, coarse: Tensor | None = None, fine: Tensor | None = None
) -> Tensor:
    """Mean squared distance of a sample to the centroid of its class: Σ_g T_g / Σ_g n_g, what the shares are of."""
    statistics = _statistics(embeddings, coarse, fine)
    return statistics.total.sum(-1) / statistics.samples.sum(-1)


def fine_explained_share(
    embeddings: Tensor | FineStatistics, coarse: Tensor | None = None, fine: Tensor | None = None
) -> Tensor:
    """η²: the share of the variance within classes that lies between their fine classes, as measured.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    >>> fine_explained_share(z, torch.tensor([0, 0, 0, 0]), torch.tensor([0, 0, 1, 1])).item()
    1.0
    """
    statistics = _statistics(embeddings, coarse, fine)
    return 1 - statistics.residual.sum(-1) / statistics.total.sum(-1)


def fine_explained_share_corrected(
    embeddings: Tensor | FineStatistics, coarse: Tensor | None = None, fine: Tensor | None = None
) -> Tensor:
    """ε²: the same without what labels at random explain."""
    statistics = _statistics(embeddings, coarse, fine)
    inflation = (statistics.samples - 1) / (statistics.samples - statistics.fine_classes)
    return 1 - (inflation * statistics.residual).sum(-1) / statistics.total.sum(-1)
