"""How many directions a space uses, all rows together and within classes, from merged second moments.

    effective rank        exp(-Σ p log p), p the singular values of Z over their sum     Roy and Vetterli 2007
    participation ratio   (Σ λ)² / Σ λ², λ the eigenvalues of the covariance             Gao et al. 2017
    spectral decay        KL(uniform ‖ p) = 1/D Σ log(1 / (D p))                         Roth et al. 2020, ρ(Φ)

Effective rank and spectral decay see the matrix as it is, not centered, as in RankMe and in Roth et al.; the
participation ratio sees the centered covariance. Both ranks lie between 1 (one direction) and the dimension; the
decay is 0 for a flat spectrum and grows as directions die. Within classes, the rows have their centroid taken off.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.diagnostics import effective_rank
from losscope.geometry.moments import Moments

FLOOR = 1e-7
"""Singular values below this share of the largest are rounding; the spectral decay counts them as that much."""


@dataclass(frozen=True)
class Spectrum:
    """Directions of the space; the ranks in dimensions, the decay in nats."""

    effective_rank: float
    participation_ratio: float
    spectral_decay: float
    within_class_effective_rank: float
    within_class_participation_ratio: float
    components_90: int  # principal directions that hold 90 % of the variance around the mean
    singular_values: np.ndarray  # (dim,) of the rows as they are, decreasing


def spectrum(moments: Moments) -> Spectrum:
    """The spectrum of moments with second moments. NaN where there is no variance; raises InvalidInput without them."""
    singular = eigenvalues(moments.second).sqrt()
    around = eigenvalues(moments.covariance)
    # What is left of subtracting two large matrices is rounding.
    around = torch.where(around > 1e-14 * eigenvalues(moments.second / moments.rows)[0], around, 0)
    inside = eigenvalues(moments.within)
    return Spectrum(
        effective_rank=_rank(singular),
        participation_ratio=participation_ratio(around),
        spectral_decay=spectral_decay(singular),
        within_class_effective_rank=_rank(inside.sqrt()),
        within_class_participation_ratio=participation_ratio(inside),
        components_90=components_for(around, 0.9),
        singular_values=singular.cpu().numpy(),
    )


def eigenvalues(matrix: Tensor) -> Tensor:
    """Eigenvalues (dim,) of a symmetric matrix without negative ones, decreasing."""
    values: Tensor = torch.linalg.eigvalsh((matrix + matrix.T) / 2)
    return values.flip(0).clamp_min(0)


def participation_ratio(values: Tensor) -> float:
    """(Σ λ)² / Σ λ² of eigenvalues (dim,) of a covariance; NaN if all are 0.

    >>> participation_ratio(torch.tensor([1.0, 1.0, 0.0]))
    2.0
    """
    squares = float(values.square().sum())
    return float(values.sum()) ** 2 / squares if squares > 0 else math.nan


def spectral_decay(singular: Tensor) -> float:
    """KL divergence from the uniform distribution to singular values (dim,) over their sum; NaN if all are 0.

    >>> spectral_decay(torch.ones(5, dtype=torch.float64))
    0.0
    """
    if not float(singular.max()) > 0:
        return math.nan
    share = singular.clamp_min(FLOOR * float(singular.max()))
    share = share / share.sum()
    return max(0.0, float(-(share * len(share)).log().mean()))


def components_for(values: Tensor, share: float) -> int:
    """How many of the eigenvalues (dim,), decreasing, hold `share` of their sum; 0 if all are 0."""
    total = float(values.sum())
    return int((values.cumsum(0) < share * total * (1 - 1e-12)).sum()) + 1 if total > 0 else 0


def _rank(singular: Tensor) -> float:
    if not float(singular.max()) > 0:
        return math.nan
    return float(effective_rank(torch.diag(singular)))
