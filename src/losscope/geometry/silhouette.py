"""Silhouettes: whether a row is nearer to its own class than to the nearest other one.

    s = (b - a) / max(a, b)            -1 in the wrong class, 0 between two, 1 far from all others; 0 for a lone row

with a the mean distance of a row to the others of its class, b the least mean distance to the rows of another class
(Rousseeuw, "Silhouettes", 1987). For squared distances, and so for cosine distances of unit-length rows, the mean
distance to a class needs only its moments, |z - μ_c|² + v_c: no pairs, exact at any number of rows.

The same distances give the margin to the nearest wrong class, with the row itself taken out of its own centroid:
|z - μ_c|² (n_c / (n_c - 1))² less the least |z - μ_c'|².
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.geometry.estimate import Estimate, over_units
from losscope.geometry.moments import Moments

ENTRIES = 2**22
"""Distances of rows to classes held at a time: 32 MB in float64."""


@dataclass(frozen=True)
class Silhouette:
    """Mean over the rows with a class, and which distance; NaN with fewer than two classes."""

    mean: Estimate
    measure: str
    by_class: np.ndarray  # (classes,) mean over the rows of each class that were looked at


@dataclass(frozen=True)
class ToClasses:
    """What each row (rows,) is to the classes; NaN and -1 for rows without a class, or with fewer than two classes."""

    silhouettes: Tensor
    margins: Tensor  # above 0: a wrong class's centroid is nearer than the own; NaN also for a lone row
    nearest: Tensor  # place of the wrong class with the nearest centroid

    def to(self, device: torch.device) -> ToClasses:
        return ToClasses(*(part.to(device) for part in (self.silhouettes, self.margins, self.nearest)))


def to_classes(points: Tensor, places: Tensor, moments: Moments) -> ToClasses:
    """Silhouettes of squared distances, and margins, of points (rows, dim) with the places (rows,) of their classes."""
    count = len(moments.labels)
    nothing = ToClasses(
        points.new_full((len(points),), math.nan),
        points.new_full((len(points),), math.nan),
        torch.full_like(places, -1),
    )
    kept = (places >= 0).nonzero().squeeze(1)
    if count < 2 or not len(kept):
        return nothing
    center = moments.mean
    centroids = (moments.centroids - center).to(points.dtype)
    spreads, counts = moments.variances.to(points.dtype), moments.counts.to(points.dtype)
    lengths = centroids.square().sum(1)
    for part in torch.split(kept, max(ENTRIES // count, 1)):
        here = points[part] - center.to(points.dtype)
        squared = torch.addmm(lengths.unsqueeze(0), here, centroids.T, alpha=-2)
        squared = squared.add_(here.square().sum(1, keepdim=True)).clamp_min_(0)
        own = places[part].unsqueeze(1)
        others = counts[places[part]] - 1
        at_home = squared.gather(1, own).squeeze(1)
        inside = (at_home + spreads[places[part]]) * (others + 1) / others.clamp_min(1)
        near, nearest = squared.scatter(1, own, torch.inf).min(1)
        outside = squared.add_(spreads).scatter_(1, own, torch.inf).amin(1)
        nothing.silhouettes[part] = _silhouettes(inside, outside, others)
        nothing.margins[part] = torch.where(
            others > 0, at_home * ((others + 1) / others.clamp_min(1)) ** 2 - near, math.nan
        )
        nothing.nearest[part] = nearest
    return nothing


def silhouette(silhouettes: Tensor, places: Tensor, classes: int, measure: str, *, exact: bool) -> Silhouette:
    """The mean of silhouettes (rows,) over rows and over the rows of each class."""
    kept = (places >= 0) & ~silhouettes.isnan()
    values, of = silhouettes[kept].double(), places[kept]
    sums = torch.zeros(classes, dtype=torch.float64, device=values.device).index_add_(0, of, values)
    by_class = sums / torch.bincount(of, minlength=classes)
    if exact:
        mean = Estimate(float(values.mean()) if len(values) else math.nan, n=len(values))
    else:
        mean = over_units(values.cpu().numpy())
    return Silhouette(mean, measure, by_class.cpu().numpy())


def _silhouettes(inside: Tensor, outside: Tensor, others: Tensor) -> Tensor:
    larger = torch.maximum(inside, outside)
    return torch.where((others > 0) & (larger > 0), (outside - inside) / torch.where(larger > 0, larger, 1), 0)
