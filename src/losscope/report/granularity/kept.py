"""What a loss keeps within the classes it was trained on, run by run, and what goes with finer retrieval."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from losscope.errors import InvalidInput
from losscope.statistics import (
    FEWEST_VARIANTS,
    Association,
    Contrast,
    Decision,
    Interval,
    association,
    decide,
    mean_interval,
)
from losscope.summary.measures import FINE_RECALL_1, FINE_SHARE_CORRECTED, FINE_WITHIN_1, WITHIN_COARSE, Measure
from losscope.summary.pairing import Side, population, seeds_of_other_data
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

Part = Literal["variance", "information", "nuisance", "share"]
"""What fine retrieval is held against: the variance within coarse classes, what of it fine labels explain and what they
don't, and the share of the former."""

LABELS: Mapping[Part, str] = {
    "variance": "variance kept",
    "information": "part between fine classes",
    "nuisance": "nuisance",
    "share": "share between fine classes",
}

ASSOCIATED: tuple[Part, ...] = ("variance", "information", "share")
"""Nuisance is left out of the tests: it is nearly all of the variance wherever shares are small."""

RETRIEVED = (FINE_RECALL_1, FINE_WITHIN_1)
"""In the whole split a loss also gains by telling coarse classes apart; within the class it can't."""


@dataclass(frozen=True)
class Together:
    """How one measure of fine retrieval goes with one part of what is kept, across the losses of one comparison."""

    comparison: Comparison
    measure: Measure
    part: Part
    association: Association
    decision: Decision


def is_measured(comparison: Comparison) -> bool:
    """Whether any loss was asked for finer labels than it was trained on."""
    return any(comparison.get(subject, FINE_SHARE_CORRECTED) for subject in comparison.trained)


def parts(comparison: Comparison, subject: Subject) -> dict[Part, dict[int, float]]:
    """Each part of the variance within coarse classes, by seed; empty where it is not measured."""
    total, share = comparison.get(subject, WITHIN_COARSE), comparison.get(subject, FINE_SHARE_CORRECTED)
    if not total or not share:
        return {}
    kept = {seed: (total.values[seed], share.values[seed]) for seed in total.values.keys() & share.values.keys()}
    seeds = sorted(kept)
    return {
        "variance": {seed: kept[seed][0] for seed in seeds},
        "information": {seed: kept[seed][0] * kept[seed][1] for seed in seeds},
        "nuisance": {seed: kept[seed][0] * (1 - kept[seed][1]) for seed in seeds},
        "share": {seed: kept[seed][1] for seed in seeds},
    }


def interval_of(comparison: Comparison, subject: Subject, part: Part) -> Interval | None:
    """Mean and interval of a part over seeds."""
    found = parts(comparison, subject).get(part)
    return mean_interval(list(found.values())) if found else None


def associations(comparisons: Sequence[Comparison]) -> tuple[Together, ...]:
    """Spearman correlations within seeds of fine retrieval with each part, all tested as one family.

    Comparisons with too few losses, or without variation over them, are left out.
    """
    found = [
        (comparison, measure, part, one)
        for comparison in comparisons
        for measure in RETRIEVED
        for part in ASSOCIATED
        if (one := _association(comparison, measure, part)) is not None
    ]
    family = [_contrast(*one) for one in found]
    return tuple(Together(*one, decision) for one, decision in zip(found, decide(family), strict=True))


def _contrast(comparison: Comparison, measure: Measure, part: Part, found: Association) -> Contrast:
    return found.contrast(
        f"{comparison.title}: {measure.label} rises with {LABELS[part]}",
        population=f"{population(comparison)}, for these {found.variants} variants",
    )


def _association(comparison: Comparison, measure: Measure, part: Part) -> Association | None:
    recalls = {subject: found.values for subject in comparison.trained if (found := comparison.get(subject, measure))}
    kept = {subject: values for subject in recalls if (values := parts(comparison, subject).get(part))}
    if len(kept) < FEWEST_VARIANTS:
        return None
    seeds = set.intersection(*(values.keys() & recalls[subject].keys() for subject, values in kept.items()))
    seeds -= seeds_of_other_data(*(Side(comparison, subject) for subject in kept))
    try:
        return association(
            {seed: [values[seed] for values in kept.values()] for seed in seeds},
            {seed: [recalls[subject][seed] for subject in kept] for seed in seeds},
        )
    except InvalidInput:
        return None  # no common seed, or nothing varies over the losses
