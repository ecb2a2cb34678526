"""Retrieval: every sample queries all others of its split.

Recall@K is a hit among the first K: the metric-learning sense, not the share of relevant items found.
R-precision is the share of relevant items among the first R, R the number of relevant items of the query.
MAP@R = 1/R Σ_{i ≤ R} [item i is relevant] · precision at i (Musgrave, Belongie and Lim, "A Metric Learning Reality
Check", 2020). All three are expectations over a random order of tied items; MAP@R's follows McSherry and Najork, 2008.
Queries without a relevant item (a class with one sample, an outlier) are left out and counted.

The three measures that training is judged by, in the form that users of one split want; `evaluate` has all of them, and
galleries.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.evaluation.evaluator import checked_ks, evaluate
from losscope.types import OUTLIER

RETRIEVAL = ("recall_at_k", "r_precision", "map_at_r")
"""The measures of `evaluate` that are retrieval's."""


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
    orders of tied items. `block` is the number of queries at a time, by default chosen by bytes. Raises InvalidInput if
    no query has a relevant item, or for embeddings that are no finite floating numbers.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> found = retrieval(z, torch.tensor([0, 0, 1, 1]), ks=(1,))
    >>> found.recall_at_k, found.map_at_r
    ({1: 1.0}, 1.0)
    """
    _check(embeddings, labels, ks)
    found = evaluate(embeddings, labels.long(), ks=ks, measures=RETRIEVAL, bounds=bounds, block=block)
    return Retrieval(
        **_means(found.means),
        excluded=found.excluded,
        queries=found.queries,
        hits=dict(found.each["recall_at_k"]),
        query_r_precision=found.each["r_precision"],
        query_average_precision=found.each["map_at_r"],
        lowest=None if found.lowest is None else Means(**_means(found.lowest)),
        highest=None if found.highest is None else Means(**_means(found.highest)),
    )


def _means(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: found[name] for name in RETRIEVAL}


def recall_at_k(embeddings: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5, 10)) -> dict[int, float]:
    """Recall@K alone, as `retrieval` gives it: several times cheaper where classes are large, since nothing is ranked.
    Raises InvalidInput as `retrieval` does.

    >>> z = torch.tensor([[1.0, 0.0], [0.9, 0.1], [0.0, 1.0], [0.1, 0.9]])
    >>> recall_at_k(z, torch.tensor([0, 0, 1, 1]), ks=(1,))
    {1: 1.0}
    """
    _check(embeddings, labels, ks)
    means: dict[int, float] = evaluate(embeddings, labels.long(), ks=ks, measures=RETRIEVAL[:1]).means["recall_at_k"]
    return means


def recall_within(
    embeddings: Tensor, groups: Tensor, labels: Tensor, ks: Sequence[int] = (1, 5, 10)
) -> dict[int, float]:
    """Recall@K as `retrieval` gives it, where each sample queries those of its own group only; groups (samples,).

    Labels are expected to lie within groups: what has the query's label and another group can't be found. With classes
    as groups and finer labels it says what a space knows beyond the classes, however well it separates these.
    Raises InvalidInput as `retrieval` does.

    >>> z = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.9, 0.1], [0.9, 0.1]])
    >>> recall_within(z, torch.tensor([0, 1, 0, 1]), torch.tensor([5, 6, 5, 6]), ks=(1,))
    {1: 1.0}
    """
    _check(embeddings, labels, ks)
    if groups.shape != labels.shape:
        raise InvalidInput(f"groups {tuple(groups.shape)} and labels {tuple(labels.shape)}; expected one each")
    labels = labels.long()
    asked = _asked(labels)
    found = dict.fromkeys(checked_ks(ks), 0.0)
    for group in torch.unique(groups[asked]):
        rows = (groups == group).nonzero().squeeze(1)
        if not bool(_asked(labels[rows]).any()):
            continue  # each is alone with its label: its like is in another group
        hits = evaluate(embeddings[rows], labels[rows], ks=ks, measures=RETRIEVAL[:1]).each["recall_at_k"]
        for k, of_queries in hits.items():
            found[k] += of_queries.sum().item() / int(asked.sum())
    return found


def _asked(labels: Tensor) -> Tensor:
    """Which samples (samples,) query: those whose class has another one."""
    _, place, count = torch.unique(labels, return_inverse=True, return_counts=True)
    asks: Tensor = (count[place] > 1) & (labels != OUTLIER)
    return asks


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
    checked_ks(ks)
    if not bool(_asked(labels.long()).any()):
        raise InvalidInput(
            f"{len(labels)} samples in {len(torch.unique(labels))} classes, and no class has two samples; expected "
            "at least one query with a relevant item"
        )
