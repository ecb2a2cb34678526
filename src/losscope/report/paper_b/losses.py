"""One table for each data set and protocol: what each of the seven losses does, everything side by side."""

from __future__ import annotations

from collections.abc import Mapping

from losscope.cards import CARDS
from losscope.report.paper_b.source import cited
from losscope.report.tables import MEANS, Column, Group, Row, Table, heading
from losscope.summary.formatting import estimate_text, number, span
from losscope.summary.measures import (
    ACTIVE,
    COMPACTION,
    DECAY,
    DECAY_EXCESS,
    GRADIENT,
    INTER,
    INTER_CV,
    INTRA,
    MAP_AT_R,
    RANK,
    RECALL_1,
    SHARE_90,
    TANGENTIAL,
    UPDATE,
    Measure,
)  # fmt: skip
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Estimate

COLUMNS: Mapping[str, tuple[Measure, ...]] = {
    "on the evaluation split": (RECALL_1, MAP_AT_R, INTRA, INTER, INTER_CV, RANK),
    "in training": (ACTIVE, GRADIENT, UPDATE),
    "on the common probe": (SHARE_90, TANGENTIAL),
    "speed": (COMPACTION, DECAY, DECAY_EXCESS),
}
SHORT = {
    ACTIVE: ("active ratio", "active_ratio"),
    GRADIENT: ("gradient norm", "gradient_norm"),
    SHARE_90: ("samples with 90 % of the gradient", "gradient_share_90"),
    TANGENTIAL: ("tangential gradient", "gradient_norm_embedding_tangential"),
    INTER: ("inter-class distance", "inter_class_distance_mean"),
    INTER_CV: ("its CV", "inter_class_distance_cv"),
    DECAY_EXCESS: ("above the floor", "loss_decay_epoch_excess"),
}
ALWAYS = 1 - 5e-4
"""Active ratio from which a term counts as never zero; below, rounding made some of them zero."""


def losses_table(comparison: Comparison, anchor: str) -> Table:
    """Every loss variant and what it starts from, with what of the measures the record has."""
    known = {key for _, key in comparison.estimates}
    shown = [(group, one) for group, of in COLUMNS.items() for one in of if one.key in known]
    columns = []
    for group, measure in shown:
        label, term = SHORT.get(measure, (measure.label, measure.term))
        columns.append(Column(label, term, group))
    rows = []
    for subject in comparison.subjects:
        estimates = {measure: comparison.get(subject, measure) for _, measure in shown}
        counts = {estimate.n for estimate in estimates.values() if estimate}
        if counts:
            cells = (_text(subject, measure, estimate, comparison.epochs) for measure, estimate in estimates.items())
            rows.append(Row(cited(subject), (*cells, span(counts)), subject))
    return Table(
        anchor,
        f"What each loss does to {comparison.dataset}",
        f"{MEANS} After the last epoch; inter-class distance corrected for small classes. Names in brackets are the paper's. "
        "An epoch that is never reached is a result, not a gap: a loss that ends with a higher intra/inter ratio than it began "
        "with never compacts.",
        "loss",
        (*columns, Column("n", "seeds")),
        (Group(heading(comparison), tuple(rows)),),
    )


def _text(subject: Subject, measure: Measure, estimate: Estimate | None, epochs: int) -> str:
    softmax = subject.loss in CARDS and not CARDS[subject.loss].saturates
    if measure == ACTIVE and estimate and estimate.interval and softmax:
        mean = estimate.interval.mean
        return "1 by construction" if mean > ALWAYS else f"1 by construction [measured {number(mean)}]"
    return estimate_text(estimate, epochs)
