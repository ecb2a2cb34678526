"""Does fast compaction cost retrieval, or variance within classes? Speed against each, one point for every variant."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from losscope.report.figures import Figure, Panel, axis, csv_text, error_bar, plain, short
from losscope.report.paper_b.source import cited, under_cited_names
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import Interval
from losscope.summary.formatting import interval_text, number, span
from losscope.summary.measures import COMPACTION, INTRA, RECALL_1, Measure
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

AGAINST = (RECALL_1, INTRA)


def tradeoff_figure(comparison: Comparison, anchor: str) -> Figure | None:
    """None where the speed of compaction was not measured."""
    points = {measure: _points(comparison, measure) for measure in AGAINST}
    placed = [subject for subject in comparison.trained if any(subject in of for of in points.values())]
    if not placed:
        return None
    counts = span([len(comparison.runs_of(subject)) for subject in placed])
    loosening = [cited(subject) for subject in comparison.trained
                 if (speed := comparison.get(subject, COMPACTION)) and speed.never]  # fmt: skip
    without = f" Not here, because in some seeds they never compact: {', '.join(loosening)}." if loosening else ""
    return Figure(
        anchor=anchor,
        title="Is fast compaction paid for?",
        where=comparison.title,
        caption=f"Epoch at which half of the way to the final intra/inter ratio is covered (left: fast), against Recall@1 and "
        f"intra-class variance, all on the split {comparison.evaluation} after {comparison.epochs} epochs. Points are means "
        f"over n = {counts} seeds, bars 95 % t intervals in both directions; dotted lines are what training starts from. "
        f"A trade-off would show as points that rise to the right; these few losses are no sample of losses.{without}",
        panels=tuple(_panel(comparison, measure, points[measure]) for measure in AGAINST if points[measure]),
        legend=under_cited_names((*_references(comparison), *placed)),
        table=_table(comparison, placed, anchor),
        csv=csv_text(("loss", "variant", "diagnostic", "n", "mean", "low", "high"), _rows(comparison, placed)),
        look="marks",
    )


Points = dict[Subject, tuple[Interval, Interval]]


def _points(comparison: Comparison, measure: Measure) -> Points:
    """Speed and the other measure of every variant that has both."""
    return {
        subject: (speed, level)
        for subject in comparison.trained
        if (speed := comparison.interval(subject, COMPACTION)) and (level := comparison.interval(subject, measure))
    }


def _references(comparison: Comparison) -> tuple[Subject, ...]:
    return tuple(subject for subject in comparison.subjects if subject.kind in ("input", "untrained"))


def _panel(comparison: Comparison, measure: Measure, points: Points) -> Panel:
    traces: list[dict[str, Any]] = []
    right = max(speed.high if speed.high is not None else speed.mean for speed, _ in points.values())
    for subject in _references(comparison):
        if start := comparison.mean(subject, measure):
            line = {"color": subject.color, "dash": subject.dash, "width": 1.5}
            traces.append({"x": [0, right], "y": short([start] * 2), "mode": "lines", "line": line,
                           "name": plain(subject.label)})  # fmt: skip
    said = []
    for subject, (speed, level) in points.items():
        traces.append(
            {
                "x": short([speed.mean]),
                "y": short([level.mean]),
                "mode": "markers",
                "marker": {"color": subject.color, "symbol": subject.symbol, "size": 10},
                "error_x": error_bar(speed, subject),
                "error_y": error_bar(level, subject),
                "name": plain(cited(subject)),
            }
        )
        said.append(f"{cited(subject)} {number(level.mean)} at epoch {number(speed.mean)}")
    layout = {"xaxis": axis("compaction epoch", rangemode="tozero"), "yaxis": axis(measure.label)}
    return Panel(f"{measure.label} against speed", f"{measure.label} against compaction epoch: {'; '.join(said)}",
                 tuple(traces), layout)  # fmt: skip


def _table(comparison: Comparison, placed: list[Subject], anchor: str) -> Table:
    measures = (COMPACTION, *AGAINST)
    rows = []
    for subject in placed:
        found = [comparison.interval(subject, measure) for measure in measures]
        counts = {one.n for one in found if one}
        rows.append(Row(cited(subject), (*(interval_text(one) if one else "" for one in found), span(counts)), subject))
    columns = (*(Column(measure.label, measure.term) for measure in measures), Column("n", "seeds"))
    caption = "Mean over seeds [95 % t interval]."
    return Table(f"{anchor}-numbers", "Numbers of the figure", caption, "loss", columns, (Group("", tuple(rows)),))


def _rows(comparison: Comparison, placed: list[Subject]) -> Iterator[tuple[Any, ...]]:
    for subject in placed:
        for measure in (COMPACTION, *AGAINST):
            if found := comparison.interval(subject, measure):
                yield subject.loss, subject.variant, measure.diagnostic, found.n, found.mean, found.low, found.high
