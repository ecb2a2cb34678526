"""Naive twins of retrieval: float64 loops over queries, items and all orders of ties, from the definitions alone."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np

Array = np.ndarray
Relevant = list[set[int]]  # of each query


def similarities_of(queries: Array, gallery: Array, similarity: str) -> Array:
    """(queries, gallery), rounded so that what is equal in real numbers is equal."""
    found = np.empty((len(queries), len(gallery)))
    for i, x in enumerate(queries):
        for j, y in enumerate(gallery):
            if similarity == "cosine":
                lengths = math.sqrt(float(x @ x)) * math.sqrt(float(y @ y))
                found[i, j] = float(x @ y) / lengths if lengths else 0.0
            elif similarity == "euclidean":
                found[i, j] = -float((x - y) @ (x - y))
            else:
                found[i, j] = float(x @ y)
    return np.round(found, 9)


def relevant_by_class(asked: Sequence[int], shown: Sequence[int], *, same: bool) -> Relevant:
    return [
        {j for j, other in enumerate(shown) if label != -1 and label == other and not (same and i == j)}
        for i, label in enumerate(asked)
    ]


def relevant_by_sets(asked: Sequence[set[int]], shown: Sequence[set[int]], *, same: bool) -> Relevant:
    return [
        {j for j, others in enumerate(shown) if labels & others and not (same and i == j)}
        for i, labels in enumerate(asked)
    ]


def orders_of(similar: Array, items: Sequence[int]) -> Iterator[list[int]]:
    """All orders of the items that their similarities allow."""
    ranked = sorted(items, key=lambda item: -similar[item])
    ties = [list(tie) for _, tie in itertools.groupby(ranked, key=lambda item: similar[item])]
    for orders in itertools.product(*(itertools.permutations(tie) for tie in ties)):
        yield [item for tie in orders for item in tie]


def scores_of(ranking: Sequence[int], relevant: set[int], ks: Sequence[int]) -> dict[str, float]:
    """All measures of one ranking; those by k as `name@k`."""
    hits = [item in relevant for item in ranking]
    R = len(relevant)
    found: dict[str, float] = {}
    for k in ks:
        found[f"recall_at_k@{k}"] = float(any(hits[:k]))
        found[f"retrieved_share_at_k@{k}"] = sum(hits[:k]) / R
        found[f"precision_at_k@{k}"] = sum(hits[:k]) / k
        gain = sum(1 / math.log2(place + 2) for place, hit in enumerate(hits[:k]) if hit)
        found[f"ndcg_at_k@{k}"] = gain / sum(1 / math.log2(place + 2) for place in range(min(R, k)))
    found["r_precision"] = sum(hits[:R]) / R
    found["map_at_r"] = sum(sum(hits[: i + 1]) / (i + 1) for i in range(R) if hits[i]) / R
    found["mrr"] = 1 / (hits.index(True) + 1)
    return found


def expected_scores(
    similar: Array, items: Sequence[int], relevant: set[int], ks: Sequence[int]
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Mean, lowest and highest over all orders of ties."""
    each = [scores_of(ranking, relevant, ks) for ranking in orders_of(similar, items)]
    by_name = {name: [one[name] for one in each] for name in each[0]}
    return (
        {name: sum(values) / len(values) for name, values in by_name.items()},
        {name: min(values) for name, values in by_name.items()},
        {name: max(values) for name, values in by_name.items()},
    )


def vote(similar: Array, items: Sequence[int], labels: Sequence[int], k: int) -> int:
    """The label that the k nearest labeled items vote for; those tied at the k-th place share what places are left."""
    labeled = sorted((item for item in items if labels[item] != -1), key=lambda item: -similar[item])
    k = min(k, len(labeled))
    last = similar[labeled[k - 1]]
    nearer = [item for item in labeled if similar[item] > last]
    tied = [item for item in labeled if similar[item] == last]
    votes: dict[int, Fraction] = {}
    for item in nearer:
        votes[labels[item]] = votes.get(labels[item], Fraction(0)) + 1
    for item in tied:
        votes[labels[item]] = votes.get(labels[item], Fraction(0)) + Fraction(k - len(nearer), len(tied))
    return min(label for label, count in votes.items() if count == max(votes.values()))
