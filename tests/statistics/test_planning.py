"""Power and numbers of seeds against statsmodels, and against what `decide` does."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.power import TTestPower

from losscope.errors import InvalidInput
from losscope.statistics import Contrast, Region, decide, detectable_effect, power, seeds_needed


@pytest.mark.parametrize("n", [13, 20, 60])
@pytest.mark.parametrize("family", [1, 6])
@pytest.mark.parametrize("effect", [0.0, 0.012, 0.02, 0.05])
def test_power_is_statsmodels(n: int, family: int, effect: float) -> None:
    expected = TTestPower().power((effect - 0.005) / 0.02, n, 0.05 / (2 * family), alternative="larger")
    assert power(effect, 0.02, n, margin=0.005, family=family) == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("family", [1, 3, 21])
def test_the_three_answers_agree(family: int) -> None:
    smallest = detectable_effect(0.01, 20, margin=0.01, family=family)
    assert power(smallest, 0.01, 20, margin=0.01, family=family) == pytest.approx(0.8, abs=1e-7)
    assert seeds_needed(smallest + 1e-9, 0.01, margin=0.01, family=family) == 20
    assert seeds_needed(0.01 - (smallest + 1e-9 - 0.01), 0.01, margin=0.01, family=family) == 20  # as far below


@pytest.mark.parametrize("effect", [0.0105, 0.012, 0.02, 0.2])
def test_seeds_needed_is_the_first_that_suffices(effect: float) -> None:
    needed = seeds_needed(effect, 0.01, margin=0.01)
    assert needed is not None
    assert power(effect, 0.01, needed, margin=0.01) >= 0.8
    assert needed == 13 or power(effect, 0.01, needed - 1, margin=0.01) < 0.8


def test_ends() -> None:
    assert power(9.0, 0.01, 12) == 0  # no verdict below 13
    assert power(9.0, 1e-9, 13) == 1
    assert (power(0.02, 0.0, 13, margin=0.01), power(0.01, 0.0, 13, margin=0.01)) == (1, 0)
    assert seeds_needed(0.01, 0.02, margin=0.01) is None
    assert seeds_needed(0.01, 0.0, margin=0.01) is None
    assert (seeds_needed(0.5, 0.0, margin=0.01), detectable_effect(0.0, 13, margin=0.01)) == (13, 0.01)
    for wrong in ({"sd": -1.0}, {"sd": math.nan}, {"n": 1}, {"family": 0}, {"effect": math.inf}):
        with pytest.raises(InvalidInput, match="expected finite numbers"):
            power(**{"effect": 0.1, "sd": 1.0, "n": 13, **wrong})  # type: ignore[arg-type]


def test_decide_has_the_power_that_is_stated() -> None:
    random, region, stated = np.random.default_rng(0), Region(0.01), power(0.02, 0.012, 13, margin=0.01)
    draws = 1000
    held = 0
    for effects in random.normal(0.02, 0.012, size=(draws, 13)):
        contrast = Contrast("", tuple(range(13)), tuple(effects.tolist()), region, "other seeds")
        held += decide([contrast])[0].verdict == "holds"
    assert abs(held / draws - stated) < 3.5 * math.sqrt(stated * (1 - stated) / draws)
