"""The rule that decides claims, against scipy and on effects whose answer is known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from scipy import stats

from losscope.errors import InvalidInput
from losscope.statistics import Contrast, Region, decide, holm

EDGE = Region(0.01)
WAVE = np.sin(np.arange(13) * 2.0)
WAVE = (WAVE - WAVE.mean()) / WAVE.std(ddof=1)


def contrast(effects: Sequence[float], **settings: Any) -> Contrast:
    seeds = tuple(range(len(effects)))
    return Contrast(**{"name": "b over a", "region": EDGE, "population": "other seeds", **settings},
                    seeds=seeds, effects=tuple(map(float, effects)))  # fmt: skip


@pytest.mark.parametrize(("mean", "sd", "verdict", "reason"), [
    (0.030, 0.010, "holds", "beyond the edge"),
    (-0.030, 0.010, "does not hold", "reversed"),
    (0.0, 0.005, "does not hold", "equivalent"),
    (-0.012, 0.010, "does not hold", "too small"),  # below the edge, perhaps inside, perhaps reversed
    (0.012, 0.010, "cannot tell", "interval contains the edge"),
    (0.010, 0.001, "cannot tell", "interval contains the edge"),
])  # fmt: skip
def test_planted_effects_are_recognized_in_both_directions(mean: float, sd: float, verdict: str, reason: str) -> None:
    (larger,) = decide([contrast(mean + sd * WAVE)])
    (smaller,) = decide([contrast(-mean - sd * WAVE, direction="smaller")])
    assert (larger.verdict, larger.reason) == (smaller.verdict, smaller.reason) == (verdict, reason)
    assert (larger.p_holds, larger.p_fails) == (smaller.p_holds, smaller.p_fails)
    assert larger.effect is not None
    assert smaller.effect == larger.effect.negated  # not turned: second - first
    assert verdict in str(larger)
    assert str(larger).endswith("Population: other seeds")


@pytest.mark.parametrize("n", [2, 5, 13, 30])
def test_tests_and_intervals_are_scipys(n: int) -> None:
    random = np.random.default_rng(n)
    family = [contrast(random.normal(0.02, 0.02, size=n)) for _ in range(4)]
    found = decide(family)
    for one, decision in zip(family, found, strict=True):
        above = stats.ttest_1samp(one.effects, 0.01, alternative="greater")
        assert decision.p_holds == pytest.approx(above.pvalue)
        assert decision.p_fails == pytest.approx(stats.ttest_1samp(one.effects, 0.01, alternative="less").pvalue)
        both = stats.ttest_1samp(one.effects, 0.01)
        assert decision.p == pytest.approx(both.pvalue)
        assert decision.effect is not None
        assert decision.simultaneous is not None
        low, high = both.confidence_interval(0.95)
        assert (decision.effect.low, decision.effect.high) == (pytest.approx(low), pytest.approx(high))
        low, high = both.confidence_interval(1 - 0.05 / 4)
        assert (decision.simultaneous.low, decision.simultaneous.high) == (pytest.approx(low), pytest.approx(high))
        assert decision.skewness == (None if n == 2 else pytest.approx(stats.skew(one.effects, bias=False)))
    assert [decision.p_adjusted for decision in found] == holm([decision.p or 0 for decision in found])
    assert {decision.family for decision in found} == {4}


def test_sign_flip_and_wilcoxon_stand_about_the_edge() -> None:
    effects = np.random.default_rng(0).normal(0.015, 0.01, size=13)
    (found,) = decide([contrast(effects)])
    about = effects - 0.01
    flips = stats.permutation_test(
        (about,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=True
    ).pvalue
    assert found.p_sign_flip == pytest.approx(flips)
    assert found.p_wilcoxon == pytest.approx(stats.wilcoxon(about, method="exact").pvalue)
    assert found.p_smallest == 2**-12


@pytest.mark.parametrize("n", [0, 1, 2, 12])
def test_too_few_seeds_tell_nothing_and_count_in_the_family(n: int) -> None:
    few, many = contrast(9 + WAVE[:n]), contrast(0.017 + 0.01 * WAVE)
    (alone,) = decide([many])
    first, second = decide([few, many])
    assert (first.verdict, first.reason, first.n) == ("cannot tell", "too few seeds", n)
    assert (first.p is None) == (n < 2)
    assert (first.effect is None) == (n == 0)
    assert first.why == f"{n} paired seeds; a verdict needs 13."
    assert (alone.verdict, alone.p_adjusted) == ("holds", alone.p)
    assert alone.p is not None
    expected = alone.p if n == 12 else min(1, 2 * alone.p)  # twelve clear effects are rejected first, then one is left
    assert second.p_adjusted == pytest.approx(expected)


def test_a_family_makes_a_verdict_harder() -> None:
    alone = contrast(0.017 + 0.01 * WAVE)
    undecided = [contrast(0.01 + 0.01 * WAVE)] * 9
    assert decide([alone])[0].verdict == "holds"
    assert decide([alone, *undecided])[0].verdict == "cannot tell"
    assert decide([]) == []


def test_reasons_are_read_from_the_interval_of_the_whole_family() -> None:
    reversed_alone = contrast(-0.018 + 0.012 * WAVE)
    assert decide([reversed_alone])[0].reason == "reversed"
    found = decide([reversed_alone] + [contrast(0.01 + 0.01 * WAVE)] * 9)[0]
    assert (found.verdict, found.reason) == ("does not hold", "too small")


def test_ratios_on_the_log_scale() -> None:
    region = Region(0.1, "log")
    first = {seed: 1 + 0.5 * seed for seed in range(13)}
    second = {seed: value * 1.5 * math.exp(0.1 * WAVE[seed]) for seed, value in first.items()}
    (found,) = decide([Contrast.paired("", first, second, region=region, population="other seeds")])
    assert found.verdict == "holds"
    assert found.ratio is not None
    assert found.effect is not None
    assert found.ratio.mean == pytest.approx(1.5)
    assert found.ratio.low == pytest.approx(math.exp(found.effect.low or 0))
    scaled = {seed: 1000 * value for seed, value in second.items()}
    thousandfold = {seed: 1000 * value for seed, value in first.items()}
    (other,) = decide([Contrast.paired("", thousandfold, scaled, region=region, population="other seeds")])
    assert other.p == pytest.approx(found.p)  # the unit does not matter


@pytest.mark.parametrize(("effect", "verdict"), [(0.0, "does not hold"), (0.03, "holds"), (0.01, "cannot tell")])
def test_equal_effects_rest_on_the_sign_test(effect: float, verdict: str) -> None:
    seen = {seed: 0.1 * seed for seed in range(13)}
    shifted = {seed: value + effect for seed, value in seen.items()}  # equal up to rounding
    (found,) = decide([Contrast.paired("", seen, shifted, region=Region(0.01), population="other seeds")])
    assert any("by construction" in caution for caution in found.cautions)
    if effect != 0.01:
        assert (found.verdict, found.p) == (verdict, 2**-12)
    (exact,) = decide([contrast([effect] * 13)])
    assert exact.verdict == verdict


def test_equal_effects_need_as_many_seeds_as_the_sign_test_of_their_family() -> None:
    family = [contrast([0.03] * 13)] + [contrast([0.01] * 13)] * 999
    found = decide(family)[0]
    assert (found.verdict, found.seeds_needed) == ("cannot tell", 16)  # 2 / 2^16 x 1,000 is the first below 5 %
    enough = decide([contrast([0.03] * 16)] + [contrast([0.01] * 16)] * 999)[0]
    assert enough.verdict == "holds"


def test_cautions_say_what_weakens_a_verdict() -> None:
    skewed = 0.03 + 0.001 * np.exp(np.linspace(0, 5, 13))
    (found,) = decide([contrast(skewed)])
    assert any("skewed" in caution for caution in found.cautions)
    assert decide([contrast(0.03 + 0.01 * WAVE)])[0].cautions == ()


def test_no_verdict_without_a_population() -> None:
    with pytest.raises(InvalidInput, match="names no population"):
        contrast(WAVE, population=" ")


def test_damaged_contrasts_are_refused() -> None:
    with pytest.raises(InvalidInput, match="one finite effect for each seed"):
        contrast([1.0, float("nan")])
    with pytest.raises(InvalidInput, match="one finite effect for each seed"):
        Contrast("", (1, 1), (1.0, 2.0), EDGE, "other seeds")
    with pytest.raises(InvalidInput, match="expected 'larger' or 'smaller'"):
        contrast(WAVE, direction="better")
    with pytest.raises(InvalidInput, match="compares positive numbers"):
        Contrast.paired("", {0: 0.0}, {0: 1.0}, region=Region(0.1, "log"), population="other seeds")
    with pytest.raises(InvalidInput, match="compares finite numbers"):
        Contrast.paired("", {0: float("nan")}, {0: 1.0}, region=EDGE, population="other seeds")
