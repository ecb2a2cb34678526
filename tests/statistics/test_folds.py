"""Class splits against baycomp, and one run's classes labeled as what they are."""

from __future__ import annotations

import baycomp
import numpy as np
import pytest
from scipy import stats

from losscope.errors import InvalidInput
from losscope.statistics import Region, corrected_fold_difference, one_run_test, standing


@pytest.mark.parametrize(("n", "share"), [(10, 0.1), (4, 0.25), (30, 0.1)])
def test_corrected_t_is_baycomps(n: int, share: float) -> None:
    first, second = np.random.default_rng(n).normal(size=(2, n))
    found = corrected_fold_difference((second - first).tolist(), test_share=share)
    runs = round(n * share)  # baycomp's share is runs / n, its difference second - first
    posterior = baycomp.CorrelatedTTest(first, second, runs=runs)
    low, high = stats.t.interval(0.95, posterior.df, loc=posterior.mean, scale=np.sqrt(posterior.var))
    assert (found.interval.low, found.interval.high) == (pytest.approx(low), pytest.approx(high))
    below, above = baycomp.two_on_single(first, second, runs=runs)
    assert found.p == pytest.approx(2 * min(below, above))


def test_the_plain_t_is_the_limit_of_small_test_sets() -> None:
    values = np.random.default_rng(0).normal(0.5, 1, size=8)
    assert corrected_fold_difference(values.tolist(), test_share=1e-12).p == pytest.approx(
        stats.ttest_1samp(values, 0).pvalue
    )


@pytest.mark.parametrize(("values", "p"), [
    ([0.02, 0.02], 0.5), ([0.02] * 5, 0.0625), ([0.1 + 0.2, 0.3], 0.5), ([0.0, 0.0], 1.0)
])  # fmt: skip
def test_equal_differences_are_not_certain(values: list[float], p: float) -> None:
    found = corrected_fold_difference(values, test_share=0.5)
    assert found.p == p
    assert (found.interval.low, found.interval.high) == (None, None)
    assert standing(found.interval, Region(0.01)) == "cannot tell"


def test_damaged_folds_are_refused() -> None:
    for values, share in (([1.0], 0.5), ([1.0, np.nan], 0.5), ([1.0, 2.0], 0.0), ([1.0, 2.0], 1.0)):
        with pytest.raises(InvalidInput, match="at least two finite differences"):
            corrected_fold_difference(values, test_share=share)


def test_one_run_is_pseudo_replication() -> None:
    first, second = np.random.default_rng(0).normal(size=(2, 10))
    found = one_run_test(dict(enumerate(first)), dict(enumerate(second)))
    assert found.p == pytest.approx(stats.ttest_rel(second, first).pvalue)
    assert found.population.startswith("pseudo-replication")
    assert found.classes == tuple(range(10))
