"""Intervals for a mean over queries: t intervals that know that queries of one class are alike.

    m = Σ_c S_c / Σ_c n_c                                       S_c sum and n_c number of the queries of class c
    over classes:  s² = G/(G - 1) Σ_c (S_c - m n_c)² / N²       t(G - 1): other classes like these, with their queries
    over queries:  s² = Σ_c n_c v_c / N²                        t(N - G): other queries of these classes

v_c is the unbiased variance within class c (pooled where a class has one query). The first is the linearization of a
ratio, with classes as clusters (Cochran, Sampling Techniques, 1977, sections 6.3 and 9A); with classes of one size it is
the t interval of the class means. Gallery, model and split are as they are in both. With fewer than two classes that
ask, the first has no bounds.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

OVER_CLASSES = "other classes like these, with their queries; this model, this gallery"
OVER_QUERIES = "other queries of these classes; this model, this gallery"
LEVEL = 0.95


@dataclass(frozen=True)
class QueryMean:
    """A mean over queries with 95 % intervals; bounds are None where there is too little to tell."""

    mean: float
    low: float | None  # over classes
    high: float | None
    low_queries: float | None
    high_queries: float | None
    queries: int
    classes: int


def query_mean(values: np.ndarray, classes: np.ndarray | None, *, least: float = 0.0, most: float = 1.0) -> QueryMean:
    """The mean of `values` (queries,), of the `classes` (queries,) integers; None: each query for itself.

    Bounds stay between the `least` and the `most` that a value can be.

    >>> query_mean(np.array([1.0, 0.0, 1.0, 1.0]), np.array([0, 0, 1, 1])).mean
    0.75
    """
    values = np.asarray(values, np.float64)
    count = len(values)
    groups = np.arange(count) if classes is None else np.unique(classes, return_inverse=True)[1]
    sizes = np.bincount(groups).astype(np.float64)
    mean = float(values.mean())
    clusters = len(sizes)
    low = high = low_queries = high_queries = None
    if clusters > 1:
        residual = np.bincount(groups, values) - mean * sizes
        half = _t(clusters - 1) * np.sqrt(clusters / (clusters - 1) * np.square(residual).sum()) / count
        low, high = max(least, float(mean - half)), min(most, float(mean + half))
    if classes is None:
        low_queries, high_queries = low, high
    elif count > clusters:
        centers = np.bincount(groups, values) / sizes
        squares = np.bincount(groups, np.square(values - centers[groups]))
        pooled = squares.sum() / (count - clusters)
        within = np.where(sizes > 1, squares / np.maximum(sizes - 1, 1), pooled)
        half = _t(count - clusters) * np.sqrt((sizes * within).sum()) / count
        low_queries, high_queries = max(least, float(mean - half)), min(most, float(mean + half))
    return QueryMean(mean, low, high, low_queries, high_queries, count, clusters)


def _t(freedom: int) -> float:
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + LEVEL) / 2))
