"""The anytime-valid t test: the integral that it is, and its error over all times together."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

from losscope.errors import InvalidInput
from losscope.statistics import Contrast, Region, anytime_interval, anytime_p, decide, e_value


@pytest.mark.parametrize("n", [2, 5, 20])
@pytest.mark.parametrize("prior_variance", [0.25, 1.0])
def test_e_value_is_the_bayes_factor_of_a_normal_prior(n: int, prior_variance: float) -> None:
    """The densities of t under effect/σ ~ N(0, g) and under 0 (Rouder et al. 2009): t is noncentral given the effect."""
    values = np.random.default_rng(n).normal(0.7, 1, size=n)
    t = stats.ttest_1samp(values, 0).statistic

    def joint(effect: float) -> float:
        density = stats.nct.pdf(t, n - 1, effect * math.sqrt(n))
        return float(density * stats.norm.pdf(effect, scale=math.sqrt(prior_variance)))

    mixed, _ = integrate.quad(joint, -8, 8, points=[0.0], limit=200)
    assert e_value(values.tolist(), prior_variance=prior_variance) == pytest.approx(
        mixed / stats.t.pdf(t, n - 1), rel=1e-4
    )


def test_interval_holds_what_is_not_rejected() -> None:
    values = np.random.default_rng(0).normal(0.3, 1, size=15).tolist()
    found = anytime_interval(values)
    assert found.low is not None
    assert found.high is not None
    for bound in (found.low, found.high):
        assert e_value(values, reference=bound) == pytest.approx(20)
        assert anytime_p(values, reference=bound) == pytest.approx(0.05)
    assert anytime_p(values, reference=found.mean) == 1
    t_high = stats.t.interval(0.95, 14, loc=np.mean(values), scale=stats.sem(values))[1]
    assert found.high > t_high  # what looking again and again costs


def test_scale_does_not_matter_and_few_tell_nothing() -> None:
    values = [0.1, 0.4, 0.2, 0.3, 0.6]
    assert e_value([1e6 * value for value in values]) == pytest.approx(e_value(values))
    assert (e_value([3.0]), anytime_p([3.0]), anytime_interval([3.0]).low) == (1.0, 1.0, None)
    assert anytime_interval(values[:4]).low is None
    assert anytime_interval(values).low is not None


def test_ends_are_finite_or_refused() -> None:
    assert anytime_p([1.0] * 1000) == 0
    assert e_value([1.0] * 1000) == math.inf
    assert e_value([0.0, 0.0, 0.0]) == 0.5
    for values, settings in (([], {}), ([math.nan], {}), ([1.0], {"reference": math.inf})):
        with pytest.raises(InvalidInput, match="finite number"):
            e_value(values, **settings)
    with pytest.raises(InvalidInput, match="prior variance"):
        e_value([1.0], prior_variance=0)


def test_false_alarms_at_any_of_200_looks_stay_below_the_level() -> None:
    draws, looks = 4000, 200
    values = np.random.default_rng(0).normal(size=(draws, looks))
    n = np.arange(1, looks + 1)
    mean, square = values.cumsum(1) / n, (values**2).cumsum(1)
    with np.errstate(divide="ignore", invalid="ignore"):
        x = np.nan_to_num(mean**2 * n / np.maximum(square - n * mean**2, 1e-300))[:, 1:]
    growth = 1 + n[1:]
    log_e = (n[1:] * (np.log1p(x) - np.log1p(x / growth)) - np.log(growth)) / 2
    assert log_e[0, 30] == pytest.approx(math.log(e_value(values[0, :32].tolist())))
    alarms = (log_e.max(1) >= math.log(20)).mean()
    assert alarms < 0.05
    fixed = (np.abs(stats.ttest_1samp(values[:, :20], 0, axis=1).pvalue) < 0.05) | (
        stats.ttest_1samp(values, 0, axis=1).pvalue < 0.05
    )
    assert fixed.mean() > 0.07  # two looks with the ordinary t test are too many already


def test_decide_may_be_repeated() -> None:
    effects = np.random.default_rng(1).normal(0.04, 0.01, size=20).tolist()
    contrast = Contrast("", tuple(range(20)), tuple(effects), Region(0.01), "other seeds")
    (once,), (anytime,) = decide([contrast]), decide([contrast], anytime=True)
    assert once.verdict == anytime.verdict == "holds"
    assert anytime.p == pytest.approx(anytime_p(effects, reference=0.01))
    assert anytime.effect == anytime_interval(effects)
    assert (once.p or 0) < (anytime.p or 0) < 0.05
    unclear = Contrast("", tuple(range(13)), tuple(np.linspace(-0.02, 0.04, 13).tolist()), Region(0.01), "other seeds")
    assert decide([unclear], anytime=True)[0].why.endswith("seeds may be added.")
