"""Retrieval with two sources of chance: the seeds of training and, crossed with them, the classes that are queried.

The same queries are asked of every run, so classes are drawn once for all seeds and both losses, not anew within each
seed. Two intervals of the mean difference θ over seeds and queries:

    jackknife   θ ± t·√(v_seeds + v_classes),  v = (n - 1)/n · Σ (θ without one - their mean)²,  Satterthwaite's degrees
    bootstrap   seeds and, independently, classes with replacement, then queries within each drawn class; percentiles

The jackknife is nominal, the bootstrap conservative: it counts the noise of single queries more than once. Owen, "The
Pigeonhole Bootstrap", 2007; Cameron, Gelbach & Miller, "Robust Inference with Multiway Clustering", 2011; Satterthwaite,
1946. The gallery stays as it was: both speak for other queried classes among the same distractors.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from losscope.errors import InvalidInput
from losscope.statistics.intervals import LEVEL, Interval, t_quantile

Treatment = Literal["drawn", "fixed"]

MINIMUM_DRAWN = {"jackknife": {"seeds": 5, "classes": 20}, "bootstrap": {"seeds": 20, "classes": 20}}
"""Seeds and classes below which an interval that draws them would cover less than it says, and is refused."""

CHUNK = 256
"""Draws of the bootstrap that are weighed at once."""


@dataclass(frozen=True)
class CrossedDifference:
    """`second - first`, for the population that was drawn from."""

    interval: Interval  # n counts seeds
    method: Literal["jackknife", "bootstrap"]
    classes: int
    queries: int
    population: str


@dataclass(frozen=True)
class _Table:
    """Differences of each seed and query, queries sorted by class."""

    differences: np.ndarray  # (seeds, queries)
    sizes: np.ndarray  # (classes,) queries of each

    @property
    def mean(self) -> float:
        return float(self.differences.mean())


def crossed_interval(
    first: Any, second: Any, labels: Sequence[Hashable], *, seeds: Treatment = "drawn", classes: Treatment = "drawn",
    level: float = LEVEL,
) -> CrossedDifference:  # fmt: skip
    """The two-way jackknife interval of the mean of `second - first`.

    first, second   (seeds, queries) such as hits at 1, seeds paired row by row; labels (queries,) class of each query
    seeds, classes  `fixed`: not drawn, so that the result speaks for these alone; with fixed classes queries are drawn

    Raises InvalidInput for shapes that do not fit, values that are not finite, fewer than 5 drawn seeds or 20 drawn
    classes, and where nothing is drawn because a class has a single query.
    """
    table = _table(first, second, labels, "jackknife", seeds, classes)
    hits, sizes = table.differences, table.sizes
    parts = []
    if seeds == "drawn":
        parts.append((_jackknife(hits.sum(1), np.full(len(hits), hits.shape[1])), len(hits) - 1))
    by_query = hits.mean(0)
    starts = np.cumsum(sizes) - sizes
    sums = np.add.reduceat(by_query, starts)
    if classes == "drawn":
        parts.append((_jackknife(sums, sizes), len(sizes) - 1))
    else:
        inside = np.add.reduceat((by_query - np.repeat(sums / sizes, sizes)) ** 2, starts)
        parts.append((float((inside * sizes / (sizes - 1)).sum()) / len(by_query) ** 2, len(by_query) - len(sizes)))
    variance = sum(part for part, _ in parts)
    weight = sum(part**2 / degrees for part, degrees in parts)
    half = t_quantile(variance**2 / weight, (1 + level) / 2) * math.sqrt(variance) if weight else 0.0
    return _result(table, table.mean - half, table.mean + half, "jackknife", seeds, classes)


def crossed_bootstrap(
    first: Any, second: Any, labels: Sequence[Hashable], *, seeds: Treatment = "drawn", classes: Treatment = "drawn",
    draws: int = 2000, level: float = LEVEL, generator_seed: int = 0,
) -> CrossedDifference:  # fmt: skip
    """The crossed bootstrap interval; arguments and errors as in `crossed_interval`, but 20 drawn seeds at least.

    >>> hits = np.random.default_rng(0).integers(0, 2, (2, 5, 60))
    >>> found = crossed_bootstrap(hits[0], hits[1], [query % 20 for query in range(60)], seeds="fixed", draws=500)
    >>> found.population
    'these 5 seeds, other classes'
    """
    table = _table(first, second, labels, "bootstrap", seeds, classes)
    random, count = np.random.default_rng(generator_seed), len(table.differences)
    found = []
    for start in range(0, draws, CHUNK):
        chunk = min(CHUNK, draws - start)
        of_queries = _query_weights(random, table.sizes, chunk, classes)
        of_seeds = random.multinomial(count, np.full(count, 1 / count), size=chunk) if seeds == "drawn" else 1
        sums = ((of_queries @ table.differences.T) * of_seeds).sum(1)
        found.append(sums / (count * of_queries.sum(1)))
    low, high = np.quantile(np.concatenate(found), [(1 - level) / 2, (1 + level) / 2])
    return _result(table, float(low), float(high), "bootstrap", seeds, classes)


def _query_weights(random: np.random.Generator, sizes: np.ndarray, draws: int, classes: Treatment) -> np.ndarray:
    """(draws, queries): how often each query is drawn. A class drawn u times gives u times its size of queries."""
    count = len(sizes)
    if classes == "drawn":
        times = random.multinomial(count, np.full(count, 1 / count), size=draws)
    else:
        times = np.ones((draws, count), dtype=np.int64)
    parts = [random.multinomial(times[:, at] * size, np.full(size, 1 / size)) for at, size in enumerate(sizes)]
    return np.concatenate(parts, axis=1).astype(np.float64)


def _jackknife(sums: np.ndarray, sizes: np.ndarray) -> float:
    """Variance of sum / size over units, by leaving one out."""
    without = (sums.sum() - sums) / (sizes.sum() - sizes)
    return float((len(sums) - 1) / len(sums) * ((without - without.mean()) ** 2).sum())


def _table(
    first: Any, second: Any, labels: Sequence[Hashable], method: str, seeds: Treatment, classes: Treatment
) -> _Table:
    try:
        one, other = (np.asarray(part, dtype=np.float64) for part in (first, second))
    except (TypeError, ValueError) as error:
        raise InvalidInput(f"hits are no table of numbers ({error}); expected (seeds, queries)") from None
    of = np.asarray(labels)
    if one.ndim != 2 or one.shape != other.shape or of.shape != one.shape[1:] or not one.size:
        raise InvalidInput(f"shapes are {one.shape} and {other.shape} with {of.shape} labels; expected (seeds, queries) twice "
                           "and a label for each query")  # fmt: skip
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        raise InvalidInput("there are values that are not finite; leave out queries without a relevant item")
    order = np.argsort(of, kind="stable")
    sizes = np.unique(of, return_counts=True)[1]
    for name, treatment, count in (("seeds", seeds, len(one)), ("classes", classes, len(sizes))):
        if treatment not in ("drawn", "fixed"):
            raise InvalidInput(f"{name} are {treatment!r}; expected 'drawn' or 'fixed'")
        if treatment == "drawn" and count < MINIMUM_DRAWN[method][name]:
            raise InvalidInput(f"{count} {name}; a {method} that draws them covers too little below "
                               f"{MINIMUM_DRAWN[method][name]}: pass {name}='fixed', and the result speaks for these "
                               f"{name} alone")  # fmt: skip
    if classes == "fixed" and sizes.min() < 2:
        raise InvalidInput("a class has a single query; with fixed classes the queries within each are drawn, and each "
                           "needs two")  # fmt: skip
    return _Table((other - one)[:, order], sizes)


def _result(
    table: _Table, low: float, high: float, method: Literal["jackknife", "bootstrap"], seeds: Treatment, classes: Treatment
) -> CrossedDifference:  # fmt: skip
    count, queries = table.differences.shape
    words = ("other seeds" if seeds == "drawn" else f"these {count} seeds",
             "other classes" if classes == "drawn" else f"other queries of these {len(table.sizes)} classes")  # fmt: skip
    return CrossedDifference(
        Interval(count, table.mean, low, high), method, len(table.sizes), queries, ", ".join(words)
    )
