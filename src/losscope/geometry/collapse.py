"""Neural collapse, and an alarm for spaces that have lost their directions or all of their spread.

With Σ_W the covariance within classes (pooled over rows), Σ_B that of the class means around their mean μ_G:

    NC1              1/C tr(Σ_W Σ_B†)                     0: every class is one point
    NC2 equinorm     std_c |μ_c - μ_G| / mean_c           0: all classes equally far out
    NC2 equiangular  std of cos(μ_c - μ_G, μ_c' - μ_G)    0: all pairs at the same angle
    NC2 max angle    mean |cos + 1/(C - 1)|               0: the regular simplex

Papyan, Han and Donoho, "Prevalence of neural collapse", 2020. Classes with one row are left out.
The alarm is for failures: total collapse (all rows nearly alike) and dimensional collapse (Jing et al. 2021). Classes
that are points far apart, as NC1 near 0 says, are what many losses aim at and raise none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

from losscope.geometry.moments import Moments
from losscope.geometry.spectrum import Spectrum

BLOCK = 512
"""Classes compared with all others at a time."""

TOTAL = 0.01
"""Total collapse of rows of unit length: the variance is less than this share of the mean squared length."""

ROUNDING = 1e-12
"""Total collapse of other rows, where lengths say only how far the origin is: less than this, which is rounding."""

DIMENSIONAL = 0.1
"""Dimensional collapse: the participation ratio is less than this share of min(dim, classes - 1)."""


@dataclass(frozen=True)
class NeuralCollapse:
    """All at least 0; lower is nearer to the collapsed simplex. NaN with fewer than two classes."""

    nc1: float
    nc2_equinorm: float
    nc2_equiangular: float
    nc2_max_angle: float


@dataclass(frozen=True)
class CollapseAlarm:
    """Which collapse, with the numbers that say so; false where there is none."""

    kind: Literal["none", "dimensional", "total"]
    evidence: tuple[str, ...]

    def __bool__(self) -> bool:
        return self.kind != "none"


def neural_collapse(moments: Moments) -> NeuralCollapse:
    """NC1 and NC2 of moments with second moments."""
    statistics = moments.statistics
    count = len(statistics.classes)
    if count < 2:
        return NeuralCollapse(math.nan, math.nan, math.nan, math.nan)
    means = statistics.centroids - statistics.centroids.mean(0)
    within = moments.within / statistics.counts.sum()
    values, vectors = torch.linalg.eigh(means.T @ means / count)
    kept = values > 1e-10 * values[-1].clamp_min(torch.finfo(torch.float64).tiny)
    directions = vectors[:, kept]
    along = (directions * (within @ directions)).sum(0)
    nc1 = float((along / values[kept]).sum()) / count if bool(kept.any()) else math.nan
    lengths = torch.linalg.vector_norm(means, dim=1)
    units = means / torch.where(lengths > 0, lengths, 1).unsqueeze(1)
    # How far each cosine is from the simplex's, over ordered pairs in blocks: memory linear in the number of classes.
    sums = units.new_zeros(3)
    for start in range(0, count, BLOCK):
        off = units[start : start + BLOCK] @ units.T + 1 / (count - 1)
        off.diagonal(start).zero_()
        sums += torch.stack([off.sum(), off.square().sum(), off.abs().sum()])
    mean, square, absolute = (sums / (count * (count - 1))).tolist()
    return NeuralCollapse(
        nc1=nc1,
        nc2_equinorm=float(lengths.std(correction=0) / lengths.mean()) if float(lengths.mean()) > 0 else math.nan,
        nc2_equiangular=math.sqrt(max(square - mean**2, 0.0)),
        nc2_max_angle=absolute,
    )


def collapse_alarm(moments: Moments, found: Spectrum, *, unit: bool) -> CollapseAlarm:
    """Whether the space has collapsed, with evidence; `unit` says that rows have length 1."""
    length = float(moments.second.trace()) / moments.rows
    spread = max(length - float(moments.mean.square().sum()), 0.0)
    classes, dim = len(moments.statistics.classes), moments.centroids.shape[1]
    room = min(dim, classes - 1)
    alike = (
        f"the variance of all rows is {spread:.3g}, {spread / length:.2%} of their mean squared length"
        if length
        else ""
    )
    if not length or spread < (TOTAL if unit else ROUNDING) * length:
        return CollapseAlarm(
            "total",
            (
                alike or "every row is 0",
                f"two rows have a cosine of {1 - spread / length:.4f} on average"
                if length
                else "nothing can be told apart",
            ),
        )
    uses = f"the participation ratio is {found.participation_ratio:.1f}, where {dim} dimensions and {classes} classes have room for {room}"
    most = f"{found.components_90} of {dim} principal directions hold 90 % of the variance"
    if room >= 4 and found.participation_ratio < max(DIMENSIONAL * room, 1.5):
        return CollapseAlarm("dimensional", (uses, most))
    return CollapseAlarm("none", (alike, uses, most))
