"""Regions of practical equivalence and three-way verdicts."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from losscope.diagnostics import DIAGNOSTICS
from losscope.errors import InvalidInput, UnknownName
from losscope.statistics import REGIONS, Interval, Region, mean_interval, region_of, standing
from losscope.statistics.equivalence import UNDECLARED
from losscope.summary.measures import MEASURES

EVALUATIONS = {"recall_at_k", "r_precision", "map_at_r", "knn_accuracy", "linear_probe_accuracy",
               "fine_recall_at_k", "fine_recall_at_k_within_coarse", "fine_map_at_r"}  # fmt: skip


@pytest.mark.parametrize(("low", "high", "expected"), [
    (0.011, 0.02, "larger"), (-0.02, -0.011, "smaller"), (-0.009, 0.009, "equivalent"),
    (-0.009, 0.011, "cannot tell"), (-0.02, 0.02, "cannot tell"), (0.01, 0.02, "cannot tell"),
])  # fmt: skip
def test_three_ways_and_the_doubt(low: float, high: float, expected: str) -> None:
    assert standing(Interval(13, (low + high) / 2, low, high), Region(0.01)) == expected


def test_without_bounds_nothing_is_told_and_identical_values_are_equivalent() -> None:
    assert standing(Interval(1, 0.5), Region(0.01)) == "cannot tell"
    assert standing(Interval(3, 0.0, 0.0, 0.0), Region(0.0)) == "equivalent"


def test_equivalence_is_two_one_sided_tests() -> None:
    random = np.random.default_rng(0)
    seen = set()
    for _ in range(200):
        values = random.normal(0, 0.01, size=13)
        above = stats.ttest_1samp(values, -0.01, alternative="greater").pvalue
        below = stats.ttest_1samp(values, 0.01, alternative="less").pvalue
        equivalent = standing(mean_interval(values.tolist()), Region(0.01)) == "equivalent"
        assert equivalent == (max(above, below) < 0.025)
        seen.add(equivalent)
    assert seen == {True, False}


def test_edges_on_the_two_scales() -> None:
    assert Region(0.1, "log").edge == pytest.approx(math.log(1.1))
    assert Region(0.1, "log").effects({0: 2.0, 1: 1.0}, {0: 2.2, 2: 1.0}) == {0: pytest.approx(math.log(1.1))}
    assert Region(0.1).effects({0: 2.0}, {0: 2.5}) == {0: 0.5}


@pytest.mark.parametrize("margin", [-0.1, float("nan"), float("inf")])
def test_impossible_regions_are_refused(margin: float) -> None:
    with pytest.raises(InvalidInput, match="expected a margin of at least 0"):
        Region(margin)


def test_declared_regions() -> None:
    declared = {name: (region.margin, region.scale) for name, region in REGIONS.items()}
    assert declared["recall_at_k"] == declared["knn_accuracy"] == (0.01, "absolute")
    assert declared["map_at_r"] == (0.005, "absolute")
    assert declared["intra_class_variance_mean"] == declared["gradient_norm"] == (0.1, "log")
    assert declared["active_ratio"] == (0.02, "absolute")
    assert all(region.source for region in REGIONS.values())
    assert set(REGIONS) - set(DIAGNOSTICS) == {*EVALUATIONS, "correlation"}  # no region of what nobody measures
    with pytest.raises(UnknownName, match="did you mean 'map_at_r'"):
        region_of("map_at_rr")


def test_every_diagnostic_has_a_region_or_a_reason_why_not() -> None:
    assert not REGIONS.keys() & UNDECLARED.keys()
    assert set(DIAGNOSTICS) <= REGIONS.keys() | UNDECLARED.keys()
    assert {measure.diagnostic for measure in MEASURES} <= REGIONS.keys() | UNDECLARED.keys()
    for name in ("active_rows", "gradient_pull", "gradient_push", "gradient_by_hardness", "gradient_by_class"):
        assert (region_of(name).margin, region_of(name).scale) == (0.02, "absolute")
    with pytest.raises(UnknownName, match="values of different losses have no common unit; declare one"):
        region_of("loss")
    with pytest.raises(UnknownName, match="what the sampler drew"):
        region_of("batch_classes")
