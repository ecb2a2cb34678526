"""Retrieval: every sample queries all others of its split.

Recall@K is a hit among the first K: the metric-learning sense, not the share of relevant items found.
R-precision is the share of relevant items among the first R, R the number of relevant items of the query.
MAP@R = 1/R Σ_{i ≤ R} [item i is relevant] · precision at i (Musgrave, Belongie and Lim, "A Metric Learning Reality
Check", 2020). All three are expectations over a random order of tied items; MAP@R's follows McSherry and Najork, 2008.
Queries without a relevant item (a class with one sample, an outlier) are left out and counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from losscope.errors import InvalidInput
from losscope.neighbors import similarity_blocks
from losscope.types import OUTLIER


@dataclass(frozen=True)
class Retrieval:
    """Means over queries, and what each query got."""

    recall_at_k: dict[int, float]
    r_precision: float
    map_at_r: float
    excluded: int  # queries without a relevant item
    queries: Tensor  # (queries,) row of the split
    hits: dict[int, Tensor]  # k -> (queries,) probability of a hit among the first k
    query_r_precision: Tensor  # (queries,)
    query_average_precision: Tensor  # (queries,) average precision at R


def retrieval(embeddings: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5, 10), *, block: int = 512) -> Retrieval:
    """Retrieval measures of `embeddings` (samples, dim) with `labels` (samples,), by cosine similarity.

    Samples labelled -1 are in the gallery but never query. Raises InvalidInput if no query has a relevant item.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> found = retrieval(z, torch.tensor([0, 0, 1, 1]), ks=(1,))
    >>> found.recall_at_k, found.map_at_r
    ({1: 1.0}, 1.0)
    """
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise InvalidInput(
            f"embeddings {tuple(embeddings.shape)} and labels {tuple(labels.shape)}; expected "
            "(samples, dim) and (samples,)"
        )
    if not bool(embeddings.isfinite().all()):
        raise InvalidInput("embeddings hold NaN or infinite values; expected finite numbers: look for the rows")
    points = F.normalize(embeddings.float(), dim=-1)
    classes, place, count = torch.unique(labels, return_inverse=True, return_counts=True)
    relevant = torch.where(labels == OUTLIER, 0, count[place] - 1)
    asked = relevant > 0
    if not bool(asked.any()):
        raise InvalidInput(
            f"{len(labels)} samples in {len(classes)} classes, and no class has two samples; expected "
            "at least one query with a relevant item"
        )
    ks = sorted({int(k) for k in ks if k >= 1})
    depth = min(max(int(relevant.max()), ks[-1] if ks else 1), len(labels) - 1)
    hits: dict[int, list[Tensor]] = {k: [] for k in ks}
    r_precision, average_precision = [], []
    for rows, similarities in similarity_blocks(points, points, exclude_self=True, block=block):
        kept = asked[rows]
        if not bool(kept.any()):
            continue
        similarities, own = similarities[kept], labels[rows][kept]
        ranked = rank_with_ties(similarities, own.unsqueeze(1) == labels, depth)
        for k in ks:
            hits[k].append(hit_probability(ranked, min(k, depth)))
        wanted = relevant[rows][kept]
        r_precision.append(expected_relevant(ranked, wanted) / wanted)
        average_precision.append(expected_average_precision(ranked, wanted))
    each = {k: torch.cat(parts) for k, parts in hits.items()}
    precision, average = torch.cat(r_precision), torch.cat(average_precision)
    return Retrieval(
        {k: part.mean().item() for k, part in each.items()},
        precision.mean().item(),
        average.mean().item(),
        int((~asked).sum()),
        asked.nonzero().squeeze(1),
        each,
        precision,
        average,
    )


@dataclass(frozen=True)
class Ranked:
    """The first `depth` places of each query in order of similarity, and the tie that each place belongs to.

    All (queries, depth) float64: `start` how many items rank strictly before the tie, `before` how many relevant
    ones of them, `size` and `found` how many items and relevant items the tie holds (counted in the whole gallery).
    """

    start: Tensor
    before: Tensor
    size: Tensor
    found: Tensor


def rank_with_ties(similarities: Tensor, relevant: Tensor, depth: int) -> Ranked:
    """Rank a gallery (queries, m) by similarity; `relevant` (queries, m) bool."""
    values, order = similarities.topk(depth, dim=1)
    hit = relevant.gather(1, order).double()
    fresh = torch.ones_like(hit, dtype=torch.bool)
    fresh[:, 1:] = values[:, 1:] != values[:, :-1]
    group = fresh.cumsum(1) - 1
    size = torch.zeros_like(hit).scatter_add_(1, group, torch.ones_like(hit))
    found = torch.zeros_like(hit).scatter_add_(1, group, hit)
    # The last tie may go on beyond `depth`: count it in the whole gallery.
    tied = similarities == values[:, -1:]
    last = group[:, -1:]
    size.scatter_(1, last, tied.sum(1, keepdim=True).double())
    found.scatter_(1, last, (tied & relevant).sum(1, keepdim=True).double())
    start, before = size.cumsum(1) - size, found.cumsum(1) - found
    return Ranked(*(part.gather(1, group) for part in (start, before, size, found)))


def hit_probability(ranked: Ranked, k: int) -> Tensor:
    """Probability (queries,) that at least one of the first k is relevant, over random orders of ties."""
    place = k - 1
    start, size, found = (part[:, place] for part in (ranked.start, ranked.size, ranked.found))
    drawn = k - start  # of `size` items, `found` of them relevant, this many are shown
    missed = (_log_choose(size - found, drawn) - _log_choose(size, drawn)).exp()
    missed = torch.where(drawn > size - found, 0.0, missed)
    return torch.where(ranked.before[:, place] > 0, 1.0, 1.0 - missed)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma((n - k).clamp_min(0) + 1)


def expected_relevant(ranked: Ranked, wanted: Tensor) -> Tensor:
    """Expected number (queries,) of relevant items among the first `wanted` (queries,)."""
    place = (wanted - 1).unsqueeze(1)
    start, before, size, found = (
        part.gather(1, place).squeeze(1) for part in (ranked.start, ranked.before, ranked.size, ranked.found)
    )
    return before + found * (wanted - start) / size


def expected_average_precision(ranked: Ranked, wanted: Tensor) -> Tensor:
    """Expected MAP@R contribution (queries,) with R = `wanted` (queries,)."""
    rank = torch.arange(1, ranked.start.shape[1] + 1, dtype=torch.float64, device=wanted.device)
    inside = rank - ranked.start  # place within the tie, from 1
    others = torch.where(ranked.size > 1, (ranked.found - 1) / (ranked.size - 1).clamp_min(1), 0.0)
    precision = (ranked.before + 1 + (inside - 1) * others) / rank
    gain = ranked.found / ranked.size * precision
    return torch.where(rank <= wanted.unsqueeze(1), gain, 0.0).sum(1) / wanted
