"""What each loss keeps and finds, with intervals; and its difference from contrastive."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.report.granularity.against import MEASURES, Against
from losscope.report.granularity.kept import LABELS, interval_of
from losscope.report.tables import MEANS, Column, Group, Row, Table, heading
from losscope.summary.formatting import ABSENT, interval_text, span
from losscope.summary.measures import (
    FINE_MAP,
    FINE_RECALL_1,
    FINE_SHARE_CORRECTED,
    FINE_WITHIN_1,
    RECALL_1,
    WITHIN_COARSE,
)
from losscope.summary.types import Comparison

SHOWN = (FINE_RECALL_1, FINE_WITHIN_1, FINE_MAP, RECALL_1, WITHIN_COARSE, FINE_SHARE_CORRECTED)


def kept_table(comparisons: Sequence[Comparison]) -> Table:
    """Input and untrained network on top, then the losses."""
    return Table(
        "granularity-kept",
        "Trained on coarse classes, asked for fine ones",
        f"{MEANS} Recall@1 without “fine” is by the classes that were trained on. Variance within coarse classes = what "
        "lies between fine classes (the corrected share of it) + nuisance.",
        "loss",
        (
            *(Column(measure.label, measure.term) for measure in SHOWN),
            Column(LABELS["information"], WITHIN_COARSE.term),
            Column(LABELS["nuisance"], WITHIN_COARSE.term),
            Column("n", "seeds"),
        ),
        tuple(Group(heading(part), _kept(part)) for part in comparisons),
    )


def _kept(comparison: Comparison) -> tuple[Row, ...]:
    rows = []
    for subject in comparison.subjects:
        found = [comparison.interval(subject, measure) for measure in SHOWN]
        found += [interval_of(comparison, subject, "information"), interval_of(comparison, subject, "nuisance")]
        if found[0] or found[-1]:
            counts = {one.n for one in found if one}
            cells = (*(interval_text(one) if one else ABSENT for one in found), span(counts))
            rows.append(Row(subject.label, cells, subject))
    return tuple(rows)


def against_table(found: Sequence[Against]) -> Table:
    """One row for each loss and data set, a difference and where it stands for each measure."""
    groups = []
    for comparison in dict.fromkeys(one.comparison.title for one in found):
        own = [one for one in found if one.comparison.title == comparison]
        rows = []
        for base, subject in dict.fromkeys((one.base, one.subject) for one in own):
            by_measure = {one.measure: one for one in own if (one.base, one.subject) == (base, subject)}
            cells = [text for measure in MEASURES for text in _cells(by_measure.get(measure))]
            counts = {one.decision.n for one in by_measure.values()}
            rows.append(Row(f"{subject.label} − {base.label}", (*cells, span(counts)), subject))
        groups.append(Group(comparison, tuple(rows)))
    columns = [
        column
        for measure in MEASURES
        for column in (
            Column("difference", measure.term, measure.label),
            Column("stands", "", measure.label, words=True),
        )
    ]
    regions = ", ".join(dict.fromkeys(f"{one.decision.region.words} for {one.measure.label}" for one in found))
    return Table(
        "granularity-against",
        "Differences from contrastive, paired by seed",
        "Mean of the differences within each seed [95 % t interval], and where it stands to what is equal in practice "
        f"({regions}) by an interval that is right for the whole family of differences at once.",
        "loss",
        (*columns, Column("n", "seeds")),
        tuple(groups),
    )


def _cells(one: Against | None) -> tuple[str, str]:
    if one is None or one.decision.effect is None:
        return ABSENT, ABSENT
    return interval_text(one.decision.effect, signed=True), one.standing
