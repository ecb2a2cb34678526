"""Retrieval measures of the queries that ask: all of them, or a stated sample against the whole gallery."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from losscope.diagnosis.intervals import QueryMean, query_mean
from losscope.diagnosis.space import Similarity, Space
from losscope.evaluation import retrieval

Progress = Callable[[str, int, int], None]
"""Called with what is going on, how much is done, and of how much."""

BY_K = ("recall_at_k", "retrieved_share_at_k", "precision_at_k", "ndcg_at_k", "knn_accuracy")


def flat(measure: str, k: int | None = None) -> str:
    """The name of one number: of a measure, at one k.

    >>> flat("recall_at_k", 5), flat("knn_accuracy", 5), flat("map_at_r")
    ('recall_at_5', 'knn_accuracy_5', 'map_at_r')
    """
    if k is None:
        return measure
    return f"{measure.removesuffix('_k')}_{k}"


@dataclass(frozen=True, eq=False)
class Retrieved:
    """What each query got; `each` holds an array (asked,) for each number, named as `flat` does."""

    rows: np.ndarray  # (asked,) rows of the queries
    each: Mapping[str, np.ndarray]
    excluded: int
    exact: bool

    def mean(self, name: str, space: Space) -> QueryMean:
        """A mean over queries, with intervals over classes and over queries."""
        classes = None if space.labels.several else space.labels.single[self.rows]
        return query_mean(self.each[name], classes)


def retrieve(
    queries: Space, gallery: Space | None, *, ks: Sequence[int], similarity: Similarity, **options: Any
) -> Retrieved:
    """Measures of every query with a relevant item."""
    found = retrieval(torch.from_numpy(queries.embeddings), torch.from_numpy(queries.labels.single), ks)
    each = {flat("recall_at_k", k): hits.numpy() for k, hits in found.hits.items()}
    each |= {"r_precision": found.query_r_precision.numpy(), "map_at_r": found.query_average_precision.numpy()}
    return Retrieved(found.queries.numpy(), each, found.excluded, True)
