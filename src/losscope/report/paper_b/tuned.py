"""Each loss at its best: the variant chosen on validation classes, and what it does on classes it was not chosen on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from losscope.report.paper_b.source import named
from losscope.report.tables import MEANS, Column, Group, Row, Table
from losscope.summary.formatting import estimate_text, span
from losscope.summary.measures import INTRA, MAP_AT_R, RECALL_1, RECALL_1_VALIDATION, Measure
from losscope.summary.representing import at_the_edge
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

COLUMNS = ((RECALL_1_VALIDATION, "chosen by"), (RECALL_1, "on unseen classes"), (MAP_AT_R, "on unseen classes"),
           (INTRA, "on unseen classes"))  # fmt: skip


def tuned_table(comparisons: Sequence[Comparison]) -> Table | None:
    """The chosen variant of each loss, from how many; None where there is no validation split to choose on."""
    tuned = [part for part in comparisons if part.tuned]
    if not tuned:
        return None
    known = {key for part in tuned for _, key in part.estimates}
    columns = [(measure, group) for measure, group in COLUMNS if measure.key in known]
    return Table(
        "tuned",
        "Each loss at its best",
        f"{MEANS} Of each loss the variant with the highest mean Recall@1 on the validation split after the last epoch; its "
        "classes are neither trained on nor evaluated. The choice was made by the validation numbers, so they flatter.",
        "loss",
        (Column("chosen", "tuned", words=True), Column("variants"),
         *(Column(measure.label, measure.term, group) for measure, group in columns), Column("n", "seeds")),
        tuple(Group(f"{part.dataset} · protocol {part.protocol} · {part.epochs} epochs",
                    tuple(_row(part, subject, [one for one, _ in columns]) for subject in part.representatives))
              for part in tuned),
        tuple(note for part in tuned for note in _notes(part)),
    )  # fmt: skip


def _row(comparison: Comparison, subject: Subject, measures: Sequence[Measure]) -> Row:
    estimates = [comparison.get(subject, measure) for measure in measures]
    cells = (estimate_text(estimate, comparison.epochs) for estimate in estimates)
    counts = {estimate.n for estimate in estimates if estimate}
    chosen = subject.variant.replace(",", ", ") or "the only one"
    return Row(named(subject.loss), (chosen, str(comparison.budgets[subject.loss]), *cells, span(counts)), subject)


def _notes(comparison: Comparison) -> Iterator[str]:
    counts = comparison.budgets
    if len(set(counts.values())) == 1:
        yield f"{comparison.title}: every loss had {next(iter(counts.values()))} variants to be chosen from."
    else:
        listed = ", ".join(f"{loss} {count}" for loss, count in counts.items())
        yield f"{comparison.title}: unequal budgets. Variants to be chosen from: {listed}; more of them flatter a loss."
    edges = [edge for subject in comparison.representatives for edge in at_the_edge(comparison, subject)]
    if edges:
        yield f"{comparison.title}: chosen at the end of the values tried, so that others may do better: {', '.join(edges)}."
