"""Effect sizes against scipy, statsmodels and known answers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from losscope.errors import InvalidInput
from losscope.statistics import cohen_d, geometric_ratio, superiority

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("n", [3, 5, 13, 40])
@pytest.mark.parametrize("shift", [-3.0, 0.0, 0.4, 8.0])
def test_cohen_d_inverts_scipys_noncentral_t(n: int, shift: float) -> None:
    values = RANDOM.normal(shift, 1, size=n)
    found = cohen_d(values.tolist())
    t = stats.ttest_1samp(values, 0).statistic
    assert found.mean == pytest.approx(t / math.sqrt(n))
    assert found.low is not None
    assert found.high is not None
    assert stats.nct.sf(t, n - 1, found.low * math.sqrt(n)) == pytest.approx(0.025, rel=1e-5)
    assert stats.nct.cdf(t, n - 1, found.high * math.sqrt(n)) == pytest.approx(0.025, rel=1e-5)
    scaled = cohen_d((-1000 * values).tolist())
    assert (scaled.mean, scaled.low) == (pytest.approx(-found.mean), pytest.approx(-found.high, rel=1e-6, abs=1e-9))


def test_hedges_correction_takes_the_bias_out() -> None:
    draws = RANDOM.normal(0.8, 1, size=(20_000, 5))
    plain = draws.mean(1) / draws.std(1, ddof=1)
    factor = cohen_d(draws[0].tolist(), corrected=True).mean / cohen_d(draws[0].tolist()).mean
    assert factor == pytest.approx(1 - 3 / (4 * 4 - 1), rel=0.01)  # Hedges's own approximation
    assert abs((factor * plain).mean() - 0.8) < 4 * factor * plain.std() / math.sqrt(len(plain))
    assert abs(plain.mean() - 0.8) > 10 * plain.std() / math.sqrt(len(plain))


@pytest.mark.parametrize("values", [[], [1.0], [2.0, 2.0, 2.0], [0.0, 0.0], [1.0, float("nan")]])
def test_effects_without_a_spread_are_refused(values: list[float]) -> None:
    with pytest.raises(InvalidInput, match="at least two finite numbers"):
        cohen_d(values)


def test_two_differences_have_no_corrected_effect() -> None:
    with pytest.raises(InvalidInput, match="at least three"):
        cohen_d([1.0, 2.0], corrected=True)


@pytest.mark.parametrize("won", [0, 1, 7, 13])
def test_superiority_without_ties_is_clopper_and_pearsons(won: int) -> None:
    first = dict.fromkeys(range(13), 0.0)
    found = superiority(first, {seed: 1.0 if seed < won else -1.0 for seed in range(13)})
    low, high = proportion_confint(won, 13, method="beta")
    assert (found.mean, found.low, found.high) == (won / 13, pytest.approx(low), pytest.approx(high))


def test_ties_widen_superiority() -> None:
    first = dict.fromkeys(range(10), 0.0)
    found = superiority(first, {seed: (1.0, 0.0, -1.0)[seed % 3] for seed in range(10)})  # 4 won, 3 tied, 3 lost
    assert found.mean == 0.55
    assert found.low == pytest.approx(proportion_confint(4, 10, method="beta")[0])
    assert found.high == pytest.approx(proportion_confint(7, 10, method="beta")[1])
    with pytest.raises(InvalidInput, match="share none"):
        superiority({0: 1.0}, {1: 1.0})


def test_geometric_ratio_is_a_t_interval_of_logarithms() -> None:
    first, second = np.exp(RANDOM.normal(size=(2, 13)))
    found = geometric_ratio(dict(enumerate(first)), dict(enumerate(second)))
    low, high = stats.ttest_rel(np.log(second), np.log(first)).confidence_interval()
    assert found.mean == pytest.approx(stats.gmean(second) / stats.gmean(first))
    assert (found.low, found.high) == (pytest.approx(math.exp(low)), pytest.approx(math.exp(high)))
    assert geometric_ratio({0: 1.0}, {0: 3.0}).mean == pytest.approx(3)
    with pytest.raises(InvalidInput, match="positive"):
        geometric_ratio({0: 1.0}, {0: 0.0})
