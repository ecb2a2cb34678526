"""Intervals, tests and adjustments against scipy and hand-computed answers."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

from losscope.errors import InvalidInput
from losscope.statistics import (
    MINIMUM_SEEDS,
    Contrast,
    Interval,
    Region,
    decide,
    holm,
    mean_interval,
    paired_difference,
    sign_flip_p,
    simultaneous_interval,
    smallest_p,
    verdict,
    wilcoxon_p,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("n", [2, 5, 13, 40])
def test_interval_is_scipys(n: int) -> None:
    values = RANDOM.normal(size=n)
    found = mean_interval(values.tolist())
    low, high = stats.t.interval(0.95, n - 1, loc=values.mean(), scale=stats.sem(values))
    assert (found.n, found.mean) == (n, pytest.approx(values.mean()))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_one_seed_has_no_bounds() -> None:
    assert mean_interval([0.5]) == Interval(1, 0.5, None, None)


@pytest.mark.parametrize("values", [[], [1.0, float("nan")], [float("inf")]])
def test_what_is_no_number_is_refused(values: list[float]) -> None:
    with pytest.raises(InvalidInput, match="expected at least one finite number"):
        mean_interval(values)


def test_negated_interval_mirrors_the_bounds() -> None:
    assert Interval(3, 1.0, 0.5, 1.5).negated == Interval(3, -1.0, -1.5, -0.5)
    assert Interval(1, 1.0).negated == Interval(1, -1.0)


@pytest.mark.parametrize("n", [5, 13])
def test_paired_difference_is_scipys(n: int) -> None:
    first, second = RANDOM.normal(size=n), RANDOM.normal(0.3, size=n)
    found = paired_difference(dict(enumerate(first)), dict(enumerate(second)))
    expected = stats.ttest_rel(second, first)
    bounds = expected.confidence_interval(0.95)
    assert found.p == pytest.approx(expected.pvalue)
    assert (found.interval.low, found.interval.high) == (pytest.approx(bounds.low), pytest.approx(bounds.high))
    exact = stats.wilcoxon(second - first, method="exact")
    assert found.p_wilcoxon == pytest.approx(exact.pvalue)
    flips = stats.permutation_test(
        (second - first,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=True
    )
    assert found.p_sign_flip == pytest.approx(flips.pvalue)


def test_only_common_seeds_are_paired() -> None:
    found = paired_difference({0: 1.0, 1: 5.0, 2: 1.0}, {1: 6.0, 2: 2.0, 3: 99.0})
    assert (found.seeds, found.interval.mean, found.n) == ((1, 2), 1.0, 2)
    with pytest.raises(InvalidInput, match="share none"):
        paired_difference({0: 1.0}, {1: 1.0})


def test_equal_differences_have_no_error() -> None:
    assert paired_difference({0: 1.0, 1: 2.0}, {0: 2.0, 1: 3.0}).p == 0
    assert paired_difference({0: 1.0, 1: 2.0}, {0: 1.0, 1: 2.0}).p == 1
    assert paired_difference({0: 1.0}, {0: 2.0}).p is None


def test_smallest_p_is_attained() -> None:
    for n in (3, 5, 13):
        differences = RANDOM.uniform(0.5, 1, size=n).tolist()
        assert sign_flip_p(differences) == wilcoxon_p(differences) == smallest_p(n)
    assert smallest_p(5) == 0.0625


def test_sign_flip_beyond_exact_is_near_the_t_test() -> None:
    differences = RANDOM.normal(0.4, size=40)
    assert sign_flip_p(differences.tolist()) == pytest.approx(stats.ttest_1samp(differences, 0).pvalue, rel=0.3)
    assert sign_flip_p((differences + 10).tolist()) > 0  # a sampled p is never 0


def test_wilcoxon_drops_zeros_and_shares_ranks() -> None:
    assert wilcoxon_p([0.0, 0.0]) == 1.0
    assert wilcoxon_p([0.0, 1.0, 2.0, 3.0]) == smallest_p(3)
    # |d| 1, 1, 2 share ranks 1.5, 1.5, 3: sums of the eight sign patterns are ±6, ±3, ±3, 0, 0, and 6 - 2 · 1.5 = 3.
    assert wilcoxon_p([-1.0, 1.0, 2.0]) == pytest.approx(6 / 8)


def test_holm_by_hand() -> None:
    # Sorted: .005·4 = .02, .01·3 = .03, .03·2 = .06, then .04·1 = .04 is raised to .06.
    assert holm([0.03, 0.005, 0.04, 0.01]) == pytest.approx([0.06, 0.02, 0.06, 0.03])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


@pytest.mark.parametrize(("n", "shift", "margin", "expected"), [
    (MINIMUM_SEEDS - 1, 9.0, 1.0, "cannot tell yet"),
    (MINIMUM_SEEDS, 9.0, 1.0, "larger"),
    (MINIMUM_SEEDS, -9.0, 1.0, "smaller"),
    (MINIMUM_SEEDS, 0.0, 1.0, "equivalent"),
    (MINIMUM_SEEDS, 1.0, 1.0, "cannot tell"),
    (MINIMUM_SEEDS, 0.0, 0.1, "cannot tell"),
])  # fmt: skip
def test_verdicts_need_thirteen_seeds(n: int, shift: float, margin: float, expected: str) -> None:
    wave = np.sin(np.arange(n) * 2.0)
    effects = (wave - wave.mean() + shift).tolist()
    assert verdict(simultaneous_interval(effects, 1), Region(margin)) == expected


def test_equal_effects_are_as_sure_as_the_sign_test() -> None:
    families = {family: simultaneous_interval([0.1] * 13, family) for family in (204, 205)}  # 2⁻¹² is 0.05/204.8
    assert families[204] == Interval(13, pytest.approx(0.1), pytest.approx(0.1), pytest.approx(0.1))
    assert families[205] == Interval(13, pytest.approx(0.1))
    assert [verdict(found, Region(0.01)) for found in families.values()] == ["larger", "cannot tell"]
    assert verdict(simultaneous_interval([0.0] * 13, 999), Region(0.01)) == "equivalent"


def test_simultaneous_intervals_are_those_of_the_decisions() -> None:
    random = np.random.default_rng(0)
    family = [
        Contrast("effect", tuple(range(14)), tuple(random.normal(size=14)), Region(0.1), "other seeds")
        for _ in range(7)
    ]
    for contrast, decision in zip(family, decide(family), strict=True):
        found = simultaneous_interval(contrast.effects, 7)
        half = stats.t.ppf(1 - 0.05 / 7 / 2, 13) * stats.sem(contrast.effects)
        assert found == decision.simultaneous
        assert (found.low, found.high) == pytest.approx((found.mean - half, found.mean + half))


def test_importing_statistics_loads_neither_torch_nor_scipy() -> None:
    code = "import sys, losscope.statistics; print(sorted({'torch', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
