"""Retrieval: every sample queries all others of its split.

Recall@K is a hit among the first K: the metric-learning sense, not the share of relevant items found.
R-precision is the share of relevant items among the first R, R the number of relevant items of the query.
MAP@R = 1/R Σ_{i ≤ R} [item i is relevant] · precision at i (Musgrave, Belongie and Lim, "A Metric Learning Reality
Check", 2020). All three are expectations over a random order of tied items; MAP@R's follows McSherry and Najork, 2008.
Queries without a relevant item (a class with one sample, an outlier) are left out and counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from losscope.errors import InvalidInput
from losscope.evaluation.ties import Order, Ranked, average_precision, hit_probability, rank_with_ties, relevant_among
from losscope.neighbors import similarity_blocks
from losscope.types import OUTLIER

MOST = 512  # queries at a time
SIMILARITIES = 2**23  # at a time: 32 MB
PLACES = 2**20  # ranked at a time, for which there are some ten tables


@dataclass(frozen=True)
class Means:
    """Means over queries."""

    recall_at_k: dict[int, float]
    r_precision: float
    map_at_r: float


@dataclass(frozen=True)
class Retrieval(Means):
    """Means over queries, and what each query got."""

    excluded: int  # queries without a relevant item
    queries: Tensor  # (queries,) row of the split
    hits: dict[int, Tensor]  # k -> (queries,) probability of a hit among the first k
    query_r_precision: Tensor  # (queries,)
    query_average_precision: Tensor  # (queries,) average precision at R
    lowest: Means | None = None  # over all orders of ties, only on request
    highest: Means | None = None


def retrieval(
    embeddings: Tensor,
    labels: Tensor,
    ks: Sequence[int] = (1, 5, 10),
    *,
    bounds: bool = False,
    block: int | None = None,
) -> Retrieval:
    """Retrieval measures of `embeddings` (samples, dim) with integer `labels` (samples,), by cosine similarity.

    Samples labelled -1 are in the gallery but never query. `bounds` adds the lowest and highest means over all
    orders of tied items. `block` is the number of queries at a time, by default chosen by bytes. Raises InvalidInput if no query has a relevant item, or for embeddings that are not finite.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> found = retrieval(z, torch.tensor([0, 0, 1, 1]), ks=(1,))
    >>> found.recall_at_k, found.map_at_r
    ({1: 1.0}, 1.0)
    """
    relevant, asked = _relevant(embeddings, labels, ks)
    labels, ks = labels.long(), sorted(set(ks))
    depth = min(max(int(relevant.max()), ks[-1]), len(labels) - 1)
    orders: tuple[Order, ...] = ("random", "worst", "best") if bounds else ("random",)
    blocks: dict[Order, list[_Scores]] = {order: [] for order in orders}
    for queries, ranked in _ranked(embeddings, labels, asked, depth, block):
        for order in orders:
            blocks[order].append(_scores(ranked, relevant[queries], ks, order))
    each = {order: _Scores(*map(torch.cat, zip(*parts, strict=True))) for order, parts in blocks.items()}
    means = {order: scores.means(ks) for order, scores in each.items()}
    of_queries = each["random"]
    return Retrieval(
        **vars(means["random"]),
        excluded=int((~asked).sum()),
        queries=asked.nonzero().squeeze(1),
        hits=dict(zip(ks, of_queries.hits.unbind(1), strict=True)),
        query_r_precision=of_queries.precision,
        query_average_precision=of_queries.average,
        lowest=means.get("worst"),
        highest=means.get("best"),
    )


def recall_at_k(
    embeddings: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5, 10), *, block: int | None = None
) -> dict[int, float]:
    """Recall@K alone, as `retrieval` gives it: several times cheaper where classes are large, since only the first
    max(ks) places are ranked. Raises InvalidInput as `retrieval` does.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> recall_at_k(z, torch.tensor([0, 0, 1, 1]), ks=(1,))
    {1: 1.0}
    """
    _, asked = _relevant(embeddings, labels, ks)
    ks = sorted(set(ks))
    depth = min(ks[-1], len(labels) - 1)
    hits = [_hits(ranked, ks, "random") for _, ranked in _ranked(embeddings, labels, asked, depth, block)]
    return dict(zip(ks, torch.cat(hits).mean(0).tolist(), strict=True))


def recall_within(
    embeddings: Tensor, groups: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5, 10), *, block: int | None = None
) -> dict[int, float]:
    """Recall@K as `retrieval` gives it, where each sample queries those of its own group only; groups (samples,).

    Labels are expected to lie within groups: what has the query's label and another group can't be found. With classes
    as groups and finer labels it says what a space knows beyond the classes, however well it separates these.
    Raises InvalidInput as `retrieval` does.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.9, 0.1], [0.9, 0.1]])
    >>> recall_within(z, torch.tensor([0, 1, 0, 1]), torch.tensor([5, 6, 5, 6]), ks=(1,))
    {1: 1.0}
    """
    _, asked = _relevant(embeddings, labels, ks)
    if groups.shape != labels.shape:
        raise InvalidInput(f"groups {tuple(groups.shape)} and labels {tuple(labels.shape)}; expected one each")
    ks = sorted(set(ks))
    hits = []
    for group in torch.unique(groups[asked]):
        rows = (groups == group).nonzero().squeeze(1)
        depth = min(ks[-1], len(rows) - 1)
        if not depth:
            hits.append(torch.zeros(1, len(ks), device=embeddings.device))  # alone: its like is in another group
            continue
        blocks = _ranked(embeddings[rows], labels[rows], asked[rows], depth, block)
        hits += [_hits(ranked, ks, "random") for _, ranked in blocks]
    return dict(zip(ks, torch.cat(hits).mean(0).tolist(), strict=True))


def _relevant(embeddings: Tensor, labels: Tensor, ks: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Number of relevant items (samples,) of each sample, and whether it queries; the arguments checked."""
    _check(embeddings, labels, ks)
    labels = labels.long()  # an unsigned 255 is not -1
    classes, place, count = torch.unique(labels, return_inverse=True, return_counts=True)
    relevant = torch.where(labels == OUTLIER, 0, count[place] - 1)
    asked = relevant > 0
    if not bool(asked.any()):
        raise InvalidInput(
            f"{len(labels)} samples in {len(classes)} classes, and no class has two samples; expected "
            "at least one query with a relevant item"
        )
    return relevant, asked


def _ranked(
    embeddings: Tensor, labels: Tensor, asked: Tensor, depth: int, block: int | None
) -> Iterator[tuple[Tensor, Ranked]]:
    """Blocks of queries (rows of the split) with the first `depth` places of each."""
    points = _units(embeddings)
    block = block or max(1, min(MOST, SIMILARITIES // len(points), PLACES // depth))
    for rows, similarities in similarity_blocks(points, points, exclude_self=True, block=block):
        kept = asked[rows].nonzero().squeeze(1)
        if len(kept):
            queries = kept + rows.start
            chosen = similarities if len(kept) == len(similarities) else similarities[kept]
            yield queries, rank_with_ties(chosen, labels[queries].unsqueeze(1) == labels, depth)


def _units(embeddings: Tensor) -> Tensor:
    """Float32 rows of unit length. They are divided by a power of two first, so that no square overflows or vanishes:
    other rows keep every bit.
    """
    given = embeddings if embeddings.dtype == torch.float64 else embeddings.float()
    largest = given.abs().amax(1, keepdim=True)
    power = largest / (2 * torch.frexp(largest).mantissa)
    return F.normalize((given / torch.where(largest > 0, power, 1.0)).float(), dim=-1)


def _check(embeddings: Tensor, labels: Tensor, ks: Sequence[int]) -> None:
    for name, given in (("embeddings", embeddings), ("labels", labels)):
        if not isinstance(given, Tensor):
            raise InvalidInput(f"{name} are of type {type(given).__name__}; expected a torch.Tensor")
    if embeddings.ndim != 2 or labels.shape != embeddings.shape[:1]:
        raise InvalidInput(
            f"embeddings {tuple(embeddings.shape)} and labels {tuple(labels.shape)}; expected "
            "(samples, dim) and (samples,)"
        )
    if labels.dtype.is_floating_point or labels.dtype == torch.bool:
        raise InvalidInput(f"labels have the type {labels.dtype}; expected integers, one for each class")
    if not bool(embeddings.isfinite().all()):
        raise InvalidInput("embeddings hold NaN or infinite values; expected finite numbers: look for the rows")
    if not ks or any(k != int(k) or k < 1 for k in ks):
        raise InvalidInput(f"ks = {list(ks)}; expected whole numbers from 1 on, such as (1, 5, 10)")


class _Scores(NamedTuple):
    """What each query got."""

    hits: Tensor  # (queries, ks)
    precision: Tensor  # (queries,)
    average: Tensor  # (queries,)

    def means(self, ks: Sequence[int]) -> Means:
        hits = dict(zip(ks, self.hits.mean(0).tolist(), strict=True))
        return Means(hits, self.precision.mean().item(), self.average.mean().item())


def _scores(ranked: Ranked, wanted: Tensor, ks: Sequence[int], order: Order) -> _Scores:
    return _Scores(
        _hits(ranked, ks, order),
        relevant_among(ranked, wanted, order) / wanted,
        average_precision(ranked, wanted, order),
    )


def _hits(ranked: Ranked, ks: Sequence[int], order: Order) -> Tensor:
    queries, depth = ranked.start.shape
    shown = [torch.full((queries,), min(k, depth), device=ranked.start.device) for k in ks]
    return torch.stack([hit_probability(ranked, one, order) for one in shown], dim=1)
