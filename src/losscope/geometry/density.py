"""Density of classes against their separation.

    π_intra   mean over classes of the mean distance of two rows of the class
    π_inter   mean distance of two class centers
    π_ratio   π_intra / π_inter            higher: looser classes, which Roth et al. found to go with better transfer

Roth et al., "Revisiting training strategies and generalization performance in deep metric learning", 2020. Distances
are cosine distances 1 - cos, as in their code, with centers scaled to unit length; for rows that are not of unit
length, half the squared distance takes their place, which is the same on the sphere. All in closed form from moments.
Classes with one row are left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch.nn.functional import normalize

from losscope.geometry.moments import Moments
from losscope.geometry.variance import squared_distance_mean


@dataclass(frozen=True)
class Density:
    """NaN with fewer than two classes of two rows."""

    pi_intra: float
    pi_inter: float
    pi_ratio: float


def density(moments: Moments, *, unit: bool) -> Density:
    """π of moments; `unit` says that rows have length 1."""
    kept = moments.counts >= 2
    if int(kept.sum()) < 2:
        return Density(math.nan, math.nan, math.nan)
    centers = moments.centroids[kept]
    intra = float(moments.unbiased_variances[kept].mean())
    inter = squared_distance_mean(normalize(centers, dim=1) if unit else centers) / 2
    return Density(intra, inter, intra / inter if inter > 0 else math.nan)
