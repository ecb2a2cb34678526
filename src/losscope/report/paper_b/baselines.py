"""What "preserves" refers to: the features themselves, whitened, an untrained head, training without classes to find."""

from __future__ import annotations

from collections.abc import Sequence

from losscope.report.paper_b.source import cited
from losscope.report.tables import MEANS, Column, Group, Row, Table, heading
from losscope.summary.formatting import estimate_text, span
from losscope.summary.measures import BETWEEN, INTER, INTRA, MAP_AT_R, RANK, RECALL_1, RESULTANT, WITHIN, Measure
from losscope.summary.reading import protocols
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

COLUMNS = (RECALL_1, MAP_AT_R, INTRA, INTER, RANK, WITHIN, BETWEEN, RESULTANT)


def baselines_table(summary: Summary, comparison: Comparison, anchor: str) -> Table:
    """Every loss trained on the true labels and, where there is such a protocol, on shuffled ones, below what no loss
    has trained."""
    twin = _twin(summary, comparison)
    parts = [comparison, *([twin] if twin else [])]
    known = {key for part in parts for _, key in part.estimates}
    measures = [measure for measure in COLUMNS if measure.key in known]
    rows = []
    for subject in comparison.subjects:
        rows += _row(comparison, subject, cited(subject), measures)
        if twin and subject in twin.trained:
            rows += _row(twin, subject, f"{cited(subject)}, labels shuffled", measures)
    beside = f" · labels shuffled: protocol {twin.protocol}, {twin.epochs} epochs" if twin else ""
    return Table(
        anchor,
        "Beside the baselines",
        f"{MEANS} What a loss preserves, or gives, is the difference to what no loss has trained"
        + (", and to training on labels in random order (evaluated on the true ones)." if twin else "."),
        "loss",
        (*(Column(measure.label, measure.term) for measure in measures), Column("n", "seeds")),
        (Group(heading(comparison) + beside, tuple(rows)),),
    )


def _row(comparison: Comparison, subject: Subject, label: str, measures: Sequence[Measure]) -> list[Row]:
    estimates = [comparison.get(subject, measure) for measure in measures]
    counts = {estimate.n for estimate in estimates if estimate}
    cells = (estimate_text(estimate, comparison.epochs) for estimate in estimates)
    return [Row(label, (*cells, span(counts)), subject)] if counts else []


def _twin(summary: Summary, comparison: Comparison) -> Comparison | None:
    """The comparison on the same data with shuffled labels: of a protocol equal in all else, or of any."""
    found = [part for part in summary.comparisons if part.shuffled and part.dataset == comparison.dataset]
    settings = {name: protocol.decisive() | {"labels": None} for name, protocol in protocols(summary.studies).items()}
    own = settings.get(comparison.protocol)
    equal = [part for part in found if settings.get(part.protocol) == own]
    return next(iter(equal or found), None)
