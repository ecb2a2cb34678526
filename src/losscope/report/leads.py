"""Who leads each comparison, by how much, and would it hold for other seeds?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from losscope.report.differences import verdict_words
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import MINIMUM_SEEDS, Interval
from losscope.summary.formatting import ABSENT, interval_text, number
from losscope.summary.measures import KNN, RECALL_1, Measure
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Difference, Summary


@dataclass(frozen=True)
class Rival:
    """The loss with the next best mean. `interval` is of leader minus rival, `difference` is between the two, whichever
    comes first."""

    subject: Subject
    interval: Interval
    difference: Difference

    @property
    def holds(self) -> bool:
        """Whether the lead is beyond the region of practical equivalence."""
        return self.difference.verdict in ("larger", "smaller")


@dataclass(frozen=True)
class Lead:
    """The loss with the best mean of a comparison; `rival` is None if no other loss shares a seed with it."""

    comparison: Comparison
    measure: Measure
    subject: Subject
    interval: Interval
    rival: Rival | None

    @property
    def input(self) -> float | None:
        """What the raw input or the backbone's features reach."""
        return self.comparison.mean(self.comparison.reference("input"), self.measure)

    @property
    def input_text(self) -> str:
        """The input by name with its value."""
        reference = self.comparison.reference("input")
        return f"{reference.label} {number(self.input)}" if reference and self.input is not None else ABSENT

    @property
    def below_input(self) -> bool:
        """Whether not even the best loss does as well as the input."""
        return self.input is not None and self.interval.mean < self.input

    @property
    def clearly_below(self) -> bool:
        """Whether the leader's whole interval lies below the input."""
        return self.input is not None and self.interval.high is not None and self.interval.high < self.input


def leads(summary: Summary) -> list[Lead]:
    """The lead of every headline comparison that was evaluated."""
    return [lead for comparison in summary.headline if (lead := _lead(summary, comparison))]


def _lead(summary: Summary, comparison: Comparison) -> Lead | None:
    for measure in (RECALL_1, KNN):
        found = {subject: estimate.interval for subject in comparison.shown
                 if (estimate := comparison.get(subject, measure)) and estimate.interval}  # fmt: skip
        ranked = sorted(found, key=lambda subject: -_level(comparison, measure, subject, found))
        if ranked:
            rival = _rival(summary, comparison, measure, ranked[0], ranked[1]) if len(ranked) > 1 else None
            return Lead(comparison, measure, ranked[0], found[ranked[0]], rival)
    return None


def _level(comparison: Comparison, measure: Measure, subject: Subject, others: Iterable[Subject]) -> float:
    """Mean over the seeds that all have, so that a loss with few finished seeds doesn't lead by luck; over its own seeds
    if they share none."""
    of = {other: estimate.values for other in others if (estimate := comparison.get(other, measure))}
    shared = set.intersection(*(set(values) for values in of.values()))
    return fmean(of[subject][seed] for seed in shared or of[subject])


def _rival(
    summary: Summary, comparison: Comparison, measure: Measure, leader: Subject, subject: Subject
) -> Rival | None:
    found = summary.difference(comparison, measure, {leader, subject})
    if found is None:
        return None
    interval = found.paired.interval
    return Rival(subject, interval if found.second == leader else interval.negated, found)


def leads_table(found: Sequence[Lead]) -> Table:
    """One row for each lead."""
    rows = []
    for lead in found:
        rival = lead.rival
        cells = (
            lead.subject.label,
            interval_text(lead.interval),
            rival.subject.label if rival else "",
            interval_text(rival.interval, signed=True) if rival else "",
            str(rival.interval.n) if rival else "",
            lead.input_text,
            _verdict(rival),
        )
        rows.append(Row(lead.comparison.title, cells, lead.subject))
    measure = found[0].measure if found else RECALL_1
    columns = (
        Column("leads", words=True),
        Column(measure.label, measure.term),
        Column("next", words=True),
        Column("lead, paired", "paired"),
        Column("n", "seeds"),
        Column("the input itself", "raw_input", words=True),
        Column("verdict", "verdict", words=True),
    )
    caption = f"By how much, and would it hold for other seeds? Verdicts need {MINIMUM_SEEDS} paired seeds."
    return Table("leads", "Who leads", caption, "data, protocol", columns, (Group("", tuple(rows)),))


def _verdict(rival: Rival | None) -> str:
    if rival is None:
        return "nothing to compare with"
    return f"holds beyond {rival.difference.region.words}" if rival.holds else verdict_words(rival.difference)
