"""What is preserved variance worth? The part of a report on studies that train on coarse labels and look for fine ones.

A loss that keeps its classes loose may keep what tells finer classes apart, or nuisance. Here both are measured on samples
that nothing was trained on: how much of the variance within a class its finer classes explain, and whether they are found.
"""

from __future__ import annotations

from dataclasses import dataclass

from losscope.report.figures import Figure
from losscope.report.granularity.against import Against, against_contrastive
from losscope.report.granularity.figure import kept_figure
from losscope.report.granularity.kept import Together, associations, is_measured
from losscope.report.granularity.tables import against_table, kept_table
from losscope.report.granularity.words import LIMITS, Answer, answers
from losscope.report.tables import Table
from losscope.summary.types import Comparison, Summary


@dataclass(frozen=True)
class Granularity:
    """All that a report says of it."""

    comparisons: tuple[Comparison, ...]
    answers: tuple[Answer, ...]  # information or nuisance: some sentences for each comparison
    associations: tuple[Together, ...]  # fine Recall@1 with what is kept, across the losses of each comparison
    kept: Table
    figures: tuple[Figure, ...]
    differences: tuple[Against, ...]
    against: Table | None
    limits: tuple[str, ...]


def granularity(summary: Summary) -> Granularity | None:
    """None if no loss of the report was asked for finer labels than it was trained on."""
    comparisons = tuple(part for part in summary.given if is_measured(part))
    if not comparisons:
        return None
    decisions = associations(comparisons)
    differences = against_contrastive(comparisons)
    figures = (kept_figure(part, f"kept-{nth}") for nth, part in enumerate(comparisons, start=1))
    return Granularity(
        comparisons=comparisons,
        answers=answers(comparisons, decisions, differences),
        associations=decisions,
        kept=kept_table(comparisons),
        figures=tuple(figure for figure in figures if figure),
        differences=differences,
        against=against_table(differences) if differences else None,
        limits=LIMITS,
    )
