"""What may be said of one loss: is most of what it keeps information, and does it find more than no training does?

One family of tests for each question, over all losses x data sets; below 13 seeds nothing is decided.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from losscope.statistics import Contrast, Decision, Region, decide, region_of
from losscope.summary.measures import FINE_RECALL_1, FINE_SHARE_CORRECTED
from losscope.summary.pairing import Side, on_equal_data, population
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

HALF = 0.5
STARTS: tuple[Literal["input", "untrained"], ...] = ("input", "untrained")

Word = Literal["larger", "smaller", "equal", "not decided"]


@dataclass(frozen=True)
class Judged:
    """One decision about one loss, against a level or against what no loss has trained."""

    comparison: Comparison
    subject: Subject
    decision: Decision
    start: Subject | None = None

    @property
    def word(self) -> Word:
        """Which way it went; equal means within the region of practical equivalence."""
        if self.decision.verdict == "holds":
            return self.decision.contrast.direction
        return "equal" if self.decision.reason == "equivalent" else "not decided"

    @property
    def too_few(self) -> bool:
        """Whether it has too few seeds for any verdict."""
        return self.decision.reason == "too few seeds"


def shares_against(level: float, comparisons: Sequence[Comparison]) -> tuple[Judged, ...]:
    """The share of information in what each loss keeps, against a fixed share."""
    whose = [
        (comparison, subject, estimate.values)
        for comparison in comparisons
        for subject in comparison.trained
        if (estimate := comparison.get(subject, FINE_SHARE_CORRECTED)) and estimate.values
    ]
    region = region_of(FINE_SHARE_CORRECTED.diagnostic)
    family = [
        _contrast(comparison, f"{subject.label}: share against {level:g}", dict.fromkeys(values, level), values, region)
        for comparison, subject, values in whose
    ]
    return tuple(
        Judged(comparison, subject, decision)
        for (comparison, subject, _), decision in zip(whose, decide(family), strict=True)
    )


def retrieval_against_starts(comparisons: Sequence[Comparison]) -> tuple[Judged, ...]:
    """Fine Recall@1 of each loss against that of the input and of the untrained network, paired by seed."""
    whose = [
        (comparison, subject, start, both)
        for comparison in comparisons
        for start in map(comparison.reference, STARTS)
        for subject in comparison.trained
        if start and (both := on_equal_data(Side(comparison, start), Side(comparison, subject), FINE_RECALL_1))
    ]
    region = region_of(FINE_RECALL_1.diagnostic)
    family = [
        _contrast(comparison, f"{subject.label} against {start.label}", *both, region)
        for comparison, subject, start, both in whose
    ]
    return tuple(
        Judged(comparison, subject, decision, start)
        for (comparison, subject, start, _), decision in zip(whose, decide(family), strict=True)
    )


def _contrast(
    comparison: Comparison, name: str, first: Mapping[int, float], second: Mapping[int, float], region: Region
) -> Contrast:
    """In the direction that the data show: a two-sided p pays for having looked."""
    larger = sum(second.values()) >= sum(first.values())
    return Contrast.paired(
        f"{comparison.title}, {name}",
        first,
        second,
        region=region,
        population=population(comparison),
        direction="larger" if larger else "smaller",
    )
