"""VARIANCE in full: how the budget of the unit sphere is spent, and how near the nearest classes are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from losscope.report.figures import Figure, Panel, axis, csv_text, plain, short
from losscope.report.paper_b.source import cited, named
from losscope.report.tables import MEANS, Column, Group, Row, Table, heading, measured
from losscope.statistics import Interval
from losscope.summary.formatting import estimate_text, number, span
from losscope.summary.measures import (
    BETWEEN,
    COSINE,
    COSINE_MAX,
    FISHER,
    INTER,
    INTER_CV,
    INTER_MIN,
    INTER_Q05,
    INTRA,
    INTRA_CV,
    RATIO,
    RESULTANT,
    WITHIN,
    WITHIN_RANK,
    Measure,
)  # fmt: skip
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

BUDGET = (WITHIN, BETWEEN, RESULTANT)
OPACITY = (1.0, 0.6, 0.25)
COLUMNS: Mapping[str, tuple[tuple[Measure, str], ...]] = {
    "within classes": ((INTRA, "variance"), (INTRA_CV, "its CV over classes"), (WITHIN_RANK, "effective rank")),
    "distance of centroids": (
        (INTER, "mean, corrected"), (INTER_CV, "CV over pairs"), (INTER_Q05, "5 % quantile"), (INTER_MIN, "smallest"),
    ),
    "directions alone": ((COSINE, "mean cosine"), (COSINE_MAX, "largest cosine")),
    "both": ((RATIO, "intra/inter"), (FISHER, "Fisher ratio")),
}  # fmt: skip


def geometry_table(comparison: Comparison, anchor: str) -> Table:
    """Looseness and separation of every loss and of what it starts from, on the evaluation split."""
    known = {key for _, key in comparison.estimates}
    shown = [(group, one, label) for group, of in COLUMNS.items() for one, label in of if one.key in known]
    rows = measured(comparison, [measure for _, measure, _ in shown])
    return Table(
        anchor,
        "How loose the classes are, and how near the nearest",
        f"{MEANS} Loose classes have short centroids, so their distances shrink too; cosines compare directions alone.",
        "loss",
        (*(Column(label, measure.term, group) for group, measure, label in shown), Column("n", "seeds")),
        (Group(heading(comparison), tuple(_cited(row) for row in rows)),),
    )


def _cited(row: Row) -> Row:
    return Row(cited(row.subject) if row.subject else row.label, row.cells, row.subject)


def budget_figure(comparison: Comparison, anchor: str) -> Figure | None:
    """What the variance of each space is spent on; None where it was not measured."""
    found = {subject: of for subject in comparison.subjects if (of := _budget(comparison, subject))}
    found = {subject: of for subject, of in found.items() if subject.kind != "trained" or subject in comparison.shown}
    if not found:
        return None
    counts = span([len(comparison.runs_of(subject)) for subject in found if subject.kind == "trained"])
    return Figure(
        anchor=anchor,
        title="What is the unit sphere's budget spent on?",
        where=comparison.title,
        caption="Full color: variance within classes. Lighter: between classes. Palest: what all samples have in common (the "
        f"squared length of their mean). The three sum to 1, so more of one is less of another. Split {comparison.evaluation} "
        f"after {comparison.epochs} epochs, means over n = {counts} seeds; intervals are in the table.",
        panels=(_panel(found),),
        legend=(),
        table=_table(comparison, found, anchor),
        csv=csv_text(("subject", "diagnostic", "n", "mean", "low", "high"), _rows(found)),
        look="bars",
    )


def _budget(comparison: Comparison, subject: Subject) -> tuple[Interval, ...] | None:
    found = [comparison.get(subject, measure) for measure in BUDGET]
    intervals = tuple(one.interval for one in found if one and one.interval)
    return intervals if len(intervals) == len(BUDGET) else None


def _panel(found: Mapping[Subject, tuple[Interval, ...]]) -> Panel:
    names = [plain(named(subject.loss)) + f"<br>{plain(subject.variant)}" if subject.variant and subject.kind == "trained"
             else plain(cited(subject)) for subject in found]  # fmt: skip
    traces = [
        {
            "type": "bar",
            "orientation": "h",
            "x": short(of[place].mean for of in found.values()),
            "y": names,
            "marker": {"color": [subject.color for subject in found], "opacity": OPACITY[place]},
            "name": measure.label,
        }
        for place, measure in enumerate(BUDGET)
    ]
    said = [f"{cited(subject)} {' + '.join(number(one.mean) for one in of)}" for subject, of in found.items()]
    return Panel(
        "within classes + between classes + common to all = 1",
        f"Stacked bars of within, between and common: {'; '.join(said)}",
        tuple(traces),
        {"barmode": "stack", "bargap": 0.25, "xaxis": axis("share of the budget", range=[0, 1.01]),
         "yaxis": {"autorange": "reversed", "tickfont": {"size": 11}}},
    )  # fmt: skip


def _table(comparison: Comparison, found: Mapping[Subject, tuple[Interval, ...]], anchor: str) -> Table:
    rows = []
    for subject in found:
        estimates = [comparison.get(subject, measure) for measure in BUDGET]
        cells = (estimate_text(estimate, comparison.epochs) for estimate in estimates)
        rows.append(Row(cited(subject), (*cells, span({one.n for one in estimates if one})), subject))
    columns = (*(Column(measure.label, measure.term) for measure in BUDGET), Column("n", "seeds"))
    return Table(f"{anchor}-numbers", "Numbers of the figure", MEANS, "loss", columns, (Group("", tuple(rows)),))


def _rows(found: Mapping[Subject, tuple[Interval, ...]]) -> Iterator[tuple[Any, ...]]:
    for subject, of in found.items():
        for measure, one in zip(BUDGET, of, strict=True):
            yield subject.label, measure.diagnostic, one.n, one.mean, one.low, one.high
