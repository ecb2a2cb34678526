"""Does more variance within classes go with finer retrieval? One point for each loss: what it keeps, what it finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from losscope.report.figures import Figure, Panel, axis, csv_text, error_bar, plain, short
from losscope.report.granularity.kept import LABELS, Part, interval_of
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import Interval
from losscope.summary.formatting import interval_text, number, span
from losscope.summary.measures import FINE_RECALL_1, WITHIN_COARSE
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

PANELS: tuple[Part, ...] = ("variance", "information", "share")

Points = dict[Subject, tuple[Interval, Interval]]


def kept_figure(comparison: Comparison, anchor: str) -> Figure | None:
    """None where no loss has both what it keeps and what it finds."""
    placed = {part: _points(comparison, part) for part in PANELS}
    rows = tuple(dict.fromkeys(subject for points in placed.values() for subject in points))
    if not any(subject.kind == "trained" for subject in rows):
        return None
    counts = span({comparison.get(row, FINE_RECALL_1).n for row in rows if row.kind == "trained"})  # type: ignore[union-attr]
    return Figure(
        anchor=anchor,
        title="Is the variance that a loss keeps worth something?",
        where=comparison.title,
        caption=f"Fine Recall@1 against the variance within the classes that were trained on, against the part of it that lies "
        f"between fine classes, and against the share of that part; on the split {comparison.evaluation} after "
        f"{comparison.epochs} epochs. Points are means over n = {counts} seeds, bars 95 % t intervals; gray is what no loss "
        "has trained. These few losses are no sample of losses.",
        panels=tuple(_panel(part, placed[part]) for part in PANELS if placed[part]),
        legend=rows,
        table=_table(comparison, rows, anchor),
        csv=csv_text(("loss", "variant", "part", "n", "mean", "low", "high"), _rows(comparison, rows)),
        look="marks",
    )


def _points(comparison: Comparison, part: Part) -> Points:
    return {
        subject: (kept, recall)
        for subject in comparison.subjects
        if (kept := interval_of(comparison, subject, part)) and (recall := comparison.interval(subject, FINE_RECALL_1))
    }


def _panel(part: Part, points: Points) -> Panel:
    traces: list[dict[str, Any]] = [
        {
            "x": short([kept.mean]),
            "y": short([recall.mean]),
            "mode": "markers",
            "marker": {"color": subject.color, "symbol": subject.symbol, "size": 10},
            "error_x": error_bar(kept, subject),
            "error_y": error_bar(recall, subject),
            "name": plain(subject.label),
        }
        for subject, (kept, recall) in points.items()
    ]
    said = "; ".join(
        f"{row.label} {number(recall.mean)} at {number(kept.mean)}" for row, (kept, recall) in points.items()
    )
    label = WITHIN_COARSE.label if part == "variance" else LABELS[part]
    layout = {"xaxis": axis(label), "yaxis": axis(FINE_RECALL_1.label)}
    return Panel(f"against {LABELS[part]}", f"fine Recall@1 against {LABELS[part]}: {said}", tuple(traces), layout)


def _table(comparison: Comparison, rows: tuple[Subject, ...], anchor: str) -> Table:
    found = []
    for subject in rows:
        cells = [
            comparison.interval(subject, FINE_RECALL_1),
            *(interval_of(comparison, subject, part) for part in PANELS),
        ]
        counts = {one.n for one in cells if one}
        found.append(Row(subject.label, (*(interval_text(one) if one else "" for one in cells), span(counts)), subject))
    columns = (Column(FINE_RECALL_1.label, FINE_RECALL_1.term), *(Column(LABELS[part]) for part in PANELS),
               Column("n", "seeds"))  # fmt: skip
    caption = "Mean over seeds [95 % t interval]."
    return Table(f"{anchor}-numbers", "Numbers of the figure", caption, "loss", columns, (Group("", tuple(found)),))


def _rows(comparison: Comparison, rows: tuple[Subject, ...]) -> Iterator[tuple[Any, ...]]:
    for subject in rows:
        for part in PANELS:
            if kept := interval_of(comparison, subject, part):
                yield subject.loss, subject.variant, part, kept.n, kept.mean, kept.low, kept.high
        if recall := comparison.interval(subject, FINE_RECALL_1):
            yield subject.loss, subject.variant, "fine Recall@1", recall.n, recall.mean, recall.low, recall.high
