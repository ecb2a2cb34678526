"""Crossed intervals: known variances, a naive bootstrap, invariances and coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from losscope.errors import InvalidInput
from losscope.statistics import crossed_bootstrap, crossed_interval


def simulated(random: np.random.Generator, seeds: int, classes: int, *, sd: tuple[float, float, float] = (1, 1, 1)):
    """Differences (seeds, queries) of mean 0 with effects of seeds, classes and their noise, and the labels."""
    sizes = random.integers(4, 9, size=classes)
    labels = np.repeat(np.arange(classes), sizes)
    of_seeds, of_classes = random.normal(size=(seeds, 1)) * sd[0], random.normal(size=(1, classes)) * sd[1]
    return of_seeds + of_classes[:, labels] + random.normal(size=(seeds, len(labels))) * sd[2], labels


def test_jackknife_over_seeds_or_classes_alone_is_the_t_interval() -> None:
    random = np.random.default_rng(0)
    rows = random.normal(size=(13, 40))
    labels = np.repeat(np.arange(20), 2)  # classes of one size
    # Fixed classes with equal queries: nothing is drawn within them.
    doubled = np.repeat(random.normal(size=(13, 20)), 2, axis=1)
    over_seeds = crossed_interval(0 * doubled, doubled, labels, classes="fixed").interval
    low, high = stats.t.interval(0.95, 12, loc=doubled.mean(), scale=stats.sem(doubled.mean(1)))
    assert (over_seeds.low, over_seeds.high) == (pytest.approx(low), pytest.approx(high))
    over_classes = crossed_interval(0 * rows, rows, labels, seeds="fixed").interval
    means = rows.mean(0).reshape(20, 2).mean(1)
    low, high = stats.t.interval(0.95, 19, loc=means.mean(), scale=stats.sem(means))
    assert (over_classes.low, over_classes.high) == (pytest.approx(low), pytest.approx(high))


def test_queries_within_fixed_classes_are_strata() -> None:
    rows, labels = simulated(np.random.default_rng(1), 6, 5)
    found = crossed_interval(0 * rows, rows, labels, seeds="fixed", classes="fixed")
    by_query, count = rows.mean(0), rows.shape[1]
    variance = sum((labels == known).sum() * by_query[labels == known].var(ddof=1) for known in range(5)) / count**2
    half = stats.t.ppf(0.975, count - 5) * np.sqrt(variance)
    assert found.interval.high - found.interval.mean == pytest.approx(half)
    assert found.population == "these 6 seeds, other queries of these 5 classes"


@pytest.mark.parametrize(("seeds", "classes"), [("drawn", "drawn"), ("fixed", "drawn"), ("drawn", "fixed")])
def test_bootstrap_is_the_naive_one(seeds: str, classes: str) -> None:
    random = np.random.default_rng(2)
    rows, labels = simulated(random, 20, 20)
    groups = [np.flatnonzero(labels == known) for known in range(20)]
    naive = []
    for _ in range(2000):
        of_seeds = random.integers(0, 20, 20) if seeds == "drawn" else np.arange(20)
        of_classes = random.integers(0, 20, 20) if classes == "drawn" else np.arange(20)
        queries = np.concatenate([random.choice(groups[known], len(groups[known])) for known in of_classes])
        naive.append(rows[of_seeds][:, queries].mean())
    found = crossed_bootstrap(0 * rows, rows, labels, seeds=seeds, classes=classes, draws=4000).interval  # type: ignore[arg-type]
    spread = np.std(naive)
    assert found.mean == pytest.approx(rows.mean())
    assert (found.low, found.high) == pytest.approx(np.quantile(naive, [0.025, 0.975]), abs=0.2 * spread)


def test_order_of_queries_seeds_and_losses_does_not_matter() -> None:
    random = np.random.default_rng(3)
    rows, labels = simulated(random, 8, 25)
    order, seeds = random.permutation(len(labels)), random.permutation(8)
    plain = crossed_interval(0 * rows, rows, labels).interval
    moved = crossed_interval(0 * rows, rows[seeds][:, order], labels[order]).interval
    swapped = crossed_interval(rows, 0 * rows, labels).interval
    assert (moved.low, moved.high) == (pytest.approx(plain.low), pytest.approx(plain.high))
    assert (swapped.low, swapped.high) == (pytest.approx(plain.negated.low), pytest.approx(plain.negated.high))
    named = crossed_interval(0 * rows, rows, [f"class {label}" for label in labels]).interval
    assert (named.low, named.high) == (pytest.approx(plain.low), pytest.approx(plain.high))
    again = crossed_bootstrap(0 * rows, rows, labels, seeds="fixed", draws=300)
    assert again == crossed_bootstrap(0 * rows, rows, labels, seeds="fixed", draws=300)


def test_equal_losses_have_no_width() -> None:
    hits = np.random.default_rng(4).integers(0, 2, size=(20, 80))
    labels = np.repeat(np.arange(20), 4)
    for found in (crossed_interval(hits, hits, labels), crossed_bootstrap(hits, hits, labels, draws=100)):
        assert (found.interval.low, found.interval.mean, found.interval.high) == (0, 0, 0)
        assert (found.classes, found.queries, found.population) == (20, 80, "other seeds, other classes")


def test_what_would_cover_too_little_is_refused() -> None:
    rows, labels = simulated(np.random.default_rng(5), 19, 20)
    with pytest.raises(InvalidInput, match="pass seeds='fixed'"):
        crossed_bootstrap(rows, rows, labels)
    with pytest.raises(InvalidInput, match="4 seeds"):
        crossed_interval(rows[:4], rows[:4], labels)
    few = labels < 19
    with pytest.raises(InvalidInput, match="pass classes='fixed'"):
        crossed_interval(rows[:, few], rows[:, few], labels[few])
    with pytest.raises(InvalidInput, match="single query"):
        crossed_interval(rows[:, :3], rows[:, :3], [0, 1, 1], classes="fixed")


def test_damaged_tables_are_refused() -> None:
    rows, labels = simulated(np.random.default_rng(6), 5, 20)
    with pytest.raises(InvalidInput, match="a label for each query"):
        crossed_interval(rows, rows[:, 1:], labels)
    with pytest.raises(InvalidInput, match="a label for each query"):
        crossed_interval(np.zeros((0, 0)), np.zeros((0, 0)), [])
    with pytest.raises(InvalidInput, match="no table of numbers"):
        crossed_interval([[1.0], [1.0, 2.0]], rows, labels)
    broken = rows.copy()
    broken[0, 0] = np.nan
    with pytest.raises(InvalidInput, match="without a relevant item"):
        crossed_interval(rows, broken, labels)
    with pytest.raises(InvalidInput, match="expected 'drawn' or 'fixed'"):
        crossed_interval(rows, rows, labels, seeds="some")  # type: ignore[arg-type]
