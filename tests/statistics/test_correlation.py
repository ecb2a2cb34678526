"""Correlations within seeds against scipy, partial ones against regressions on the blocks."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from losscope.errors import InvalidInput
from losscope.statistics import Region, association, decide

SEEDS, VARIANTS = 13, 12
RANDOM = np.random.default_rng(0)
BLOCKS = ["a", "b", "c"] * 4


def related(slope: float = 0.8) -> tuple[dict[int, list[float]], dict[int, list[float]]]:
    first = RANDOM.normal(size=(SEEDS, VARIANTS))
    second = slope * first + RANDOM.normal(size=(SEEDS, VARIANTS))
    return dict(enumerate(first.tolist())), dict(enumerate(second.tolist()))


def test_correlations_and_their_interval_are_scipys() -> None:
    first, second = related()
    first[0][0] = first[0][1]  # a tie
    for kind, oracle in (("spearman", stats.spearmanr), ("pearson", stats.pearsonr)):
        found = association(first, second, kind=kind)  # type: ignore[arg-type]
        expected = [oracle(first[seed], second[seed]).statistic for seed in first]
        assert found.values == pytest.approx(expected)
        z = np.arctanh(expected)
        low, high = stats.t.interval(0.95, SEEDS - 1, loc=z.mean(), scale=stats.sem(z))
        assert (found.interval.low, found.interval.high) == (pytest.approx(np.tanh(low)), pytest.approx(np.tanh(high)))
    slopes = association(first, second, kind="slope")
    assert slopes.values == pytest.approx([stats.linregress(first[seed], second[seed]).slope for seed in first])
    assert slopes.interval.mean == pytest.approx(np.mean(slopes.values))


@pytest.mark.parametrize("kind", ["spearman", "pearson"])
def test_blocks_give_partial_correlations(kind: str) -> None:
    first, second = related()
    dummies = np.array([[block == known for known in "abc"] for block in BLOCKS], dtype=float)
    found = association(first, second, kind=kind, blocks=BLOCKS)  # type: ignore[arg-type]
    for seed, value in zip(found.seeds, found.values, strict=True):
        sides = [stats.rankdata(of[seed]) if kind == "spearman" else np.array(of[seed]) for of in (first, second)]
        left = [side - dummies @ np.linalg.lstsq(dummies, side)[0] for side in sides]
        assert value == pytest.approx(np.corrcoef(left)[0, 1])


def test_blocks_undo_simpsons_paradox() -> None:
    """Within each family more variance means better retrieval; between families it is the other way round."""
    family = np.repeat([0.0, 1.0, 2.0], 4)
    inside = np.tile([0.0, 0.1, 0.2, 0.3], 3)
    first = {seed: (family + inside).tolist() for seed in range(SEEDS)}
    second = {seed: (inside - 2 * family + 0.01 * RANDOM.normal(size=12)).tolist() for seed in range(SEEDS)}
    names = [str(name) for name in family]
    pooled = association(first, second, kind="pearson")
    blocked = association(first, second, kind="pearson", blocks=names)
    assert pooled.interval.mean < -0.8
    assert blocked.interval.mean > 0.9
    population = "other seeds, for these variants"
    reverse, right = decide([of.contrast("", population=population) for of in (pooled, blocked)])
    assert (reverse.verdict, reverse.reason, right.verdict) == ("does not hold", "reversed", "holds")


def test_perfect_rank_correlations_stay_finite() -> None:
    rising = {seed: [1.0, 2.0, 3.0, 4.0] for seed in range(3)}
    found = association(rising, rising)
    assert found.values == pytest.approx((1.0, 1.0, 1.0))
    assert found.interval.mean == pytest.approx(1 - 6 / (4 * 15))
    assert all(map(math.isfinite, found.contrast("", population="other seeds").effects))


def test_strong_correlations_are_not_pulled_down_to_a_step_of_ranks() -> None:
    """Half a step of Spearman's scale below 1 is 0.9 for four variants: no limit of what Pearson or blocks can be."""
    first = {seed: [1.0, 2.0, 3.0, 4.0] for seed in range(SEEDS)}
    second = {seed: [1.0, 2.0, 3.0, 4.0 + 0.01 * (seed + 1)] for seed in range(SEEDS)}
    found = association(first, second, kind="pearson")
    z = np.arctanh(np.minimum(found.values, 0.9999))
    low, high = stats.t.interval(0.95, SEEDS - 1, loc=z.mean(), scale=stats.sem(z))
    assert (found.interval.low, found.interval.high) == (pytest.approx(np.tanh(low)), pytest.approx(np.tanh(high)))
    assert found.interval.mean > 0.999
    perfect = association(first, first, blocks=[0, 0, 1, 1])
    assert perfect.interval.mean == pytest.approx(0.9999)


def test_slopes_need_a_region_of_their_own() -> None:
    slopes = association(*related(), kind="slope")
    with pytest.raises(InvalidInput, match=r"declare one with region=Region\(margin\)"):
        slopes.contrast("b on a", population="other seeds")
    assert slopes.contrast("b on a", population="other seeds", region=Region(0.3)).region.edge == 0.3


def test_what_has_no_correlation_is_refused() -> None:
    with pytest.raises(InvalidInput, match="share none"):
        association({0: [1.0, 2.0, 3.0]}, {1: [1.0, 2.0, 3.0]})
    with pytest.raises(InvalidInput, match="first measure does not vary"):
        association({0: [0.1, 0.1, 0.1]}, {0: [1.0, 2.0, 3.0]})
    with pytest.raises(InvalidInput, match="second measure does not vary"):
        association({0: [1.0, 2.0, 3.0, 4.0]}, {0: [0.1, 0.1, 0.7, 0.7]}, blocks=[0, 0, 1, 1], kind="pearson")
    with pytest.raises(InvalidInput, match="at least two variants more than blocks"):
        association({0: [1.0, 2.0]}, {0: [1.0, 2.0]})
    with pytest.raises(InvalidInput, match="one finite value"):
        association({0: [1.0, 2.0, math.nan]}, {0: [1.0, 2.0, 3.0]})
