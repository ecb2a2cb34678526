"""Intervals over classes and over queries."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from losscope.diagnosis.intervals import query_mean


def test_classes_of_one_size_give_the_t_interval_of_their_means() -> None:
    random = np.random.default_rng(0)
    values, classes = random.random(60), np.repeat(np.arange(12), 5)
    means = values.reshape(12, 5).mean(1)
    low, high = stats.t.interval(0.95, 11, means.mean(), stats.sem(means))
    found = query_mean(values, random.permutation(12)[classes])
    assert (found.low, found.high) == pytest.approx((low, high), abs=1e-12)
    assert (found.queries, found.classes) == (60, 12)


def test_without_classes_it_is_the_t_interval_of_the_queries() -> None:
    values = np.random.default_rng(1).random(40)
    low, high = stats.t.interval(0.95, 39, values.mean(), stats.sem(values))
    found = query_mean(values, None)
    assert (found.low, found.high, found.low_queries, found.high_queries) == pytest.approx((low, high) * 2, abs=1e-12)


def test_over_queries_classes_are_strata() -> None:
    values = np.array([0.0, 1.0, 0.25, 0.75, 0.5])
    classes = np.array([0, 0, 1, 1, 1])
    spread = 2 * np.var(values[:2], ddof=1) + 3 * np.var(values[2:], ddof=1)
    half = stats.t.ppf(0.975, 3) * np.sqrt(spread) / 5
    found = query_mean(values, classes, least=-9, most=9)
    assert found.high_queries == pytest.approx(values.mean() + half)
    assert found.low_queries == pytest.approx(values.mean() - half)


def test_too_little_to_tell_has_no_bounds() -> None:
    found = query_mean(np.array([1.0, 0.5]), np.array([3, 3]))
    assert (found.low, found.high) == (None, None)
    assert found.low_queries is not None
    found = query_mean(np.array([1.0, 0.5]), np.array([3, 4]))
    assert found.low_queries is None
    assert query_mean(np.array([1.0]), None).low is None


def test_bounds_stay_where_values_can_be() -> None:
    found = query_mean(np.array([0.0, 1.0, 1.0, 1.0]), np.arange(4))
    assert found.high == 1.0
    assert query_mean(np.ones(5), np.arange(5)).low == 1.0


@pytest.mark.parametrize("unequal", [False, True])
def test_the_interval_over_classes_covers(unequal: bool) -> None:
    """Of 2,000 draws of 40 classes whose means differ, 95 % cover (3.5 standard errors for the draws); an interval that
    takes queries for independent covers 65 % at most."""
    random = np.random.default_rng(2)
    covered = naive = 0
    for _ in range(2000):
        sizes = random.integers(5, 20, 40) if unequal else np.full(40, 10)
        classes = np.repeat(np.arange(40), sizes)
        values = 0.5 + 0.1 * random.standard_normal(40)[classes] + 0.1 * random.standard_normal(len(classes))
        found = query_mean(values, classes, least=-9, most=9)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= 0.5 <= found.high
        alone = query_mean(values, None, least=-9, most=9)
        assert alone.low is not None
        assert alone.high is not None
        naive += alone.low <= 0.5 <= alone.high
    assert abs(covered / 2000 - 0.95) < 3.5 * np.sqrt(0.95 * 0.05 / 2000)
    assert naive / 2000 < 0.65
