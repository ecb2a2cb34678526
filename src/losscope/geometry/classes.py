"""Each class of the space: its spread, its nearest neighbor class, and whether it looks collapsed or like two."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.geometry.moments import Moments
from losscope.geometry.rows import Rows
from losscope.geometry.spectrum import eigenvalues
from losscope.geometry.splitting import holm, looked_at, split_gain, split_nulls, split_p
from losscope.geometry.variance import centroid_distances, variance_intervals
from losscope.seeds import generator

COLLAPSED = 0.2
"""A class looks collapsed if its variance is below this share of the classes' median, and its interval agrees."""

LEVEL = 0.05
"""A class looks like two if Holm's p is below this."""


@dataclass(frozen=True)
class PerClass:
    """One entry for each class, in order of the labels; what needs two rows or another class is NaN or -1 without."""

    label: np.ndarray
    count: np.ndarray
    variance: np.ndarray  # v_c, biased
    variance_unbiased: np.ndarray
    variance_low: np.ndarray  # 95 % interval of the unbiased variance
    variance_high: np.ndarray
    silhouette: np.ndarray
    nearest_class: np.ndarray  # label of the class with the nearest centroid; -1 if there is none
    nearest_class_distance: np.ndarray
    looks_collapsed: np.ndarray  # bool
    looks_like_two: np.ndarray  # bool
    split_gain: np.ndarray
    split_p: np.ndarray  # Holm over classes

    def __len__(self) -> int:
        return len(self.label)

    def rows(self) -> Iterator[dict[str, Any]]:
        """One dictionary of plain numbers for each class."""
        names = [field.name for field in fields(self)]
        columns = [getattr(self, name).tolist() for name in names]
        return (dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True))


def per_class(rows: Rows, moments: Moments, silhouettes: np.ndarray, *, seed: int) -> PerClass:
    """The table of all classes; `moments` with second moments, `silhouettes` (classes,)."""
    count = len(moments.labels)
    low, high = variance_intervals(moments)
    unbiased = moments.unbiased_variances.cpu().numpy()
    known = (moments.counts >= 2).cpu().numpy()
    nearest, distance = np.full(count, -1), np.full(count, np.nan)
    apart = centroid_distances(moments.statistics)
    labels = moments.labels.cpu().numpy()
    if known.sum() > 1:
        nearest[known] = labels[known][apart.nearest.cpu().numpy()]
        distance[known] = apart.nearest_distance.cpu().numpy()
    gain, p = _splits(rows, moments, seed)
    median = np.median(unbiased[known]) if known.any() else np.nan
    p = holm(p)
    return PerClass(
        label=labels,
        count=moments.counts.long().cpu().numpy(),
        variance=moments.variances.cpu().numpy(),
        variance_unbiased=unbiased,
        variance_low=low,
        variance_high=high,
        silhouette=silhouettes,
        nearest_class=nearest,
        nearest_class_distance=distance,
        looks_collapsed=known & (median > 0) & (unbiased < COLLAPSED * median) & (high < median),
        looks_like_two=np.nan_to_num(p, nan=1.0) < LEVEL,
        split_gain=gain,
        split_p=p,
    )


def _splits(rows: Rows, moments: Moments, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split gain and p (classes,), not yet corrected; NaN for classes with too few rows or none that differ."""
    gain = np.full(len(moments.labels), np.nan)
    p = gain.copy()
    sizes = torch.tensor([looked_at(int(count)) for count in moments.counts.tolist()])
    spread = moments.variances.cpu() > 0
    spectrum = eigenvalues(moments.within)
    order = rows.places.argsort(stable=True)
    order = order[rows.places[order] >= 0]
    starts = (moments.counts.cumsum(0) - moments.counts).long().tolist()
    draw = generator(seed, "geometry", "split rows")
    for size in sorted({*sizes[spread].tolist()} - {0}):
        places = ((sizes == size) & spread).nonzero().squeeze(1)
        nulls = split_nulls(size, spectrum, seed)
        for some in places.split(64):
            chosen = torch.cat([_drawn(order, starts[at], int(moments.counts[at]), size, draw) for at in some.tolist()])
            gains = split_gain(rows.take(chosen).view(len(some), size, rows.dim))
            gain[some.numpy()] = gains.cpu().numpy()
            p[some.numpy()] = split_p(gains, nulls).numpy()
    return gain, p


def _drawn(order: Tensor, start: int, count: int, size: int, draw: np.random.Generator) -> Tensor:
    """`size` rows of the class whose `count` rows begin at `start` of `order`, rising."""
    picked = torch.from_numpy(np.sort(draw.choice(count, size=size, replace=False)))
    return order[start + picked.to(order.device)]
