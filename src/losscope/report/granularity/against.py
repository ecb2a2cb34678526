"""Every loss against contrastive, paired by seed: does it find finer classes better, is more of what it keeps theirs?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.statistics import MINIMUM_SEEDS, Contrast, Decision, decide, region_of, standing
from losscope.summary.measures import FINE_MAP, FINE_RECALL_1, FINE_SHARE_CORRECTED, FINE_WITHIN_1, Measure
from losscope.summary.pairing import Side, on_equal_data, population
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

MEASURES = (FINE_RECALL_1, FINE_WITHIN_1, FINE_MAP, FINE_SHARE_CORRECTED)
BASE = "contrastive"


@dataclass(frozen=True)
class Against:
    """One measure of one loss minus that of contrastive, decided within the family of all losses x data sets."""

    comparison: Comparison
    base: Subject
    subject: Subject
    measure: Measure
    decision: Decision

    @property
    def standing(self) -> str:
        """Where the whole family's interval lies with respect to practical equivalence."""
        interval = self.decision.simultaneous
        if interval is None or self.decision.n < MINIMUM_SEEDS:
            return "cannot tell"
        place = standing(interval, self.decision.region)
        return "equal in practice" if place == "equivalent" else place


def against_contrastive(comparisons: Sequence[Comparison]) -> tuple[Against, ...]:
    """All differences, one family of tests for each measure. Empty where contrastive is not there."""
    found: list[Against] = []
    for measure in MEASURES:
        pairs = [
            (comparison, base, subject)
            for comparison in comparisons
            for base in comparison.trained
            if base.loss == BASE and comparison.get(base, measure)
            for subject in comparison.trained
            if subject.loss != BASE and on_equal_data(Side(comparison, base), Side(comparison, subject), measure)
        ]
        decisions = decide([_contrast(*pair, measure) for pair in pairs])
        found += [Against(*pair, measure, decision) for pair, decision in zip(pairs, decisions, strict=True)]
    return tuple(found)


def _contrast(comparison: Comparison, base: Subject, subject: Subject, measure: Measure) -> Contrast:
    both = on_equal_data(Side(comparison, base), Side(comparison, subject), measure)
    assert both  # pairs without a common seed are left out
    return Contrast.paired(
        f"{measure.label}, {comparison.title}: {subject.label} against {base.label}",
        *both,
        region=region_of(measure.diagnostic),
        population=population(comparison),
    )
