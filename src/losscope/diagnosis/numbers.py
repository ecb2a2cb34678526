"""The numbers of a diagnosis by name, as conditions know them.

Without a second space a name is a number of this space. With one, the bare names are differences, this space minus the
other, and `this.` and `other.` stand before the numbers of each.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from losscope.report.space.words import BY_K, flat

BOUNDS = ("mean", "low", "high", "low_queries", "high_queries")
BETWEEN = ("cka", "cka_unbiased", "neighborhood_overlap")
PLAIN = ("intra_class_variance_mean", "inter_class_distance_mean", "effective_rank")


def numbers(document: Mapping[str, Any]) -> dict[str, float | None]:
    """Name -> value; None where a number could not be had."""
    this = _of_space(document)
    comparison = document["comparison"]
    if comparison is None:
        return this
    found = _estimates(comparison["differences"])
    found |= {name: comparison[name] for name in ("cka", "cka_unbiased")}
    overlap = comparison["neighborhood_overlap"]
    found |= {"neighborhood_overlap": overlap["value"]}
    found |= {f"this.{name}": value for name, value in this.items()}
    return found | {f"other.{name}": value for name, value in _of_space(comparison["other"]).items()}


def names_of(ks: Sequence[int], *, against: bool) -> set[str]:
    """The names that a condition may use, before anything is measured; K = 1 always is."""
    measures = [flat(name, k) for name in BY_K for k in {1, *ks}] + ["r_precision", "map_at_r", "mrr"]
    estimates = {*measures, *(f"{name}.{bound}" for name in measures for bound in BOUNDS)}
    space = estimates | set(PLAIN)
    if not against:
        return space
    return estimates | set(BETWEEN) | {f"{which}.{name}" for which in ("this", "other") for name in space}


def _of_space(document: Mapping[str, Any]) -> dict[str, float | None]:
    return {**_estimates(document["intervals"]), **{name: document[name] for name in PLAIN}}


def _estimates(intervals: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    found = {name: estimate["mean"] for name, estimate in intervals.items()}
    return found | {f"{name}.{bound}": one[bound] for name, one in intervals.items() for bound in BOUNDS}
