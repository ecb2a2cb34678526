"""The section on populations as plain JSON types."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.report.populations import Populations
from losscope.report.populations.own_test import OwnTest
from losscope.summary.crossing import Crossed
from losscope.summary.types import Comparison


def populations_document(shown: Populations) -> dict[str, Any]:
    """Every crossed difference, where none could be computed, and paper A's own test in every run."""
    return {
        "crossed": [_crossed(found) for found in shown.crossings.differences],
        "left_out": {reason: list(titles) for reason, titles in shown.crossings.left_out.items()},
        "own_test": [_own_test(test) for test in shown.own_tests],
    }


def _place(comparison: Comparison) -> dict[str, str]:
    return {"dataset": comparison.dataset, "protocol": comparison.protocol}


def _crossed(found: Crossed) -> dict[str, Any]:
    return {
        **_place(found.comparison),
        "measure": found.measure.key,
        "first": {"loss": found.first.loss, "variant": found.first.variant},
        "second": {"loss": found.second.loss, "variant": found.second.variant},
        "second_minus_first": asdict(found.jackknife.interval),
        "bootstrap": found.bootstrap and asdict(found.bootstrap.interval),
        "simultaneous": asdict(found.simultaneous),
        "family": found.family,
        "classes": found.jackknife.classes,
        "queries": found.jackknife.queries,
        "region": found.region.words,
        "verdict": found.verdict,
        "population": found.population,
    }


def _own_test(test: OwnTest) -> dict[str, Any]:
    return {
        **_place(test.comparison),
        "contrastive": test.contrastive.variant,
        "triplet": test.triplet.variant,
        "first_seed": test.seed,
        "population": test.one_run.population,
        "runs": [
            {
                "seed": seed,
                "classes": len(one.classes),
                "triplet_minus_contrastive": asdict(one.interval),
                "p": one.p,
            }
            for seed, one in test.by_seed.items()
        ],
    }
