"""Rows whose label the space contradicts: suspects of label noise, the most suspect first.

Two classifiers are asked about each row with the row itself left out: its k nearest neighbors, and the class
centroids. Each gives a margin of the best wrong class over the given one:

    neighbors   (votes of the best other class - votes of the own) / k            -1 to 1
    centroids   |z - μ_own|² without z itself - least |z - μ_other|²              any size; divided by its spread

The classifier that agrees more often with the labels ranks the rows, as it knows this space better, and the other
one's margin decides between rows with equal margins. Rows with a margin above 0 are suspects: somebody else's class
fits better. No model is fitted and no threshold tuned.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor

SHOWN = 1000


@dataclass(frozen=True)
class Suspects:
    """Rows with a margin above 0, the most suspect first, at most SHOWN of them."""

    rows: np.ndarray  # (suspects,) row numbers
    score: np.ndarray  # (suspects,) margin of the classifier that ranks
    label: np.ndarray  # (suspects,) the given label
    suggested: np.ndarray  # (suspects,) label of the class that fits better
    total: int
    looked_at: int
    ranked_by: Literal["neighbors", "centroids"]
    agreement: float  # share of rows on which that classifier agrees with the label


def votes(neighbors: Tensor, places: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Margin (queries,) of the best other class among the neighbors (queries, k), and the place of that class.

    `places` are those of the classes of all rows, `own` (queries,) those of the queries. Where all neighbors are of
    the own class or of none, the place is -1.
    """
    k = neighbors.shape[1]
    found = torch.where(neighbors >= 0, places[neighbors.clamp_min(0)], -1)
    ranked = found.sort(dim=1).values
    # How often each neighbor's class occurs, counted in the sorted row.
    counts = torch.stack([(ranked == ranked[:, slot : slot + 1]).sum(1) for slot in range(k)], dim=1)
    mine = (found == own.unsqueeze(1)).sum(1)
    counts = torch.where((ranked < 0) | (ranked == own.unsqueeze(1)), 0, counts)
    best, slot = counts.max(1)
    suggested = torch.where(best > 0, ranked.gather(1, slot.unsqueeze(1)).squeeze(1), -1)
    return (best - mine).double() / k, suggested


def suspects(
    asked: Tensor,
    own: Tensor,
    by_neighbors: tuple[Tensor, Tensor],
    by_centroids: tuple[Tensor, Tensor],
    classes: Tensor,
) -> Suspects:
    """Rank the rows `asked` (queries,) of the classes at places `own`; margins and suggested places by each classifier.

    Rows without a class, and lone rows of a class, are never suspects.
    """
    (near, near_class), (far, far_class) = by_neighbors, by_centroids
    known = (own >= 0) & far.isfinite()
    asked, own, near, far = asked[known], own[known], near[known], far[known].double()
    near_class, far_class = near_class[known], far_class[known]
    agree_near, agree_far = _share(near < 0), _share(far < 0)
    neighbors_rank = agree_near >= agree_far
    far = far / far.std().clamp_min(torch.finfo(torch.float64).tiny) if len(far) > 1 else far
    margin, other = (near, far) if neighbors_rank else (far, near)
    suggested = torch.where(near_class >= 0, near_class, far_class) if neighbors_rank else far_class
    rank = torch.stack([margin, other])
    order = rank[1].argsort(descending=True, stable=True)
    order = order[rank[0][order].argsort(descending=True, stable=True)]
    order = order[margin[order] > 0]
    shown = order[:SHOWN]
    return Suspects(
        asked[shown].cpu().numpy(),
        margin[shown].cpu().numpy(),
        classes[own[shown]].cpu().numpy(),
        classes[suggested[shown]].cpu().numpy(),
        len(order),
        len(asked),
        "neighbors" if neighbors_rank else "centroids",
        agree_near if neighbors_rank else agree_far,
    )


def _share(agrees: Tensor) -> float:
    return float(agrees.double().mean()) if len(agrees) else float("nan")
