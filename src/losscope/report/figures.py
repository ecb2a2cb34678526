"""Figures as plain data (traces and layout for plotly.js), each with its numbers as a table and as CSV."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from losscope.report.formatting import interval_text
from losscope.report.measures import CURVES
from losscope.report.subjects import Subject
from losscope.report.summary import Comparison
from losscope.report.tables import Column, Group, Row, Table


@dataclass(frozen=True)
class Figure:
    """One figure. `alt` says in words what it shows; `height` is in pixels."""

    anchor: str
    title: str
    caption: str
    alt: str
    traces: tuple[dict[str, Any], ...]
    layout: dict[str, Any]
    table: Table
    csv: str
    height: int = 420


def plain(text: str) -> str:
    """Text that plotly shows as it is: plotly reads a subset of HTML in every label."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with a header line."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return lines.getvalue()


def training_figure(comparison: Comparison, anchor: str) -> Figure:
    """Fig. 3: loss, active ratio, gradient norm and intra-class variance over epochs, bands over seeds."""
    traces: list[dict[str, Any]] = []
    layout: dict[str, Any] = {"grid": {"rows": 2, "columns": 2, "pattern": "independent"}, "showlegend": True}
    titles = ("loss (mean over valid terms)", "active ratio (share of valid terms)",
              "gradient norm (all parameters)", "intra-class variance (squared distance)")  # fmt: skip
    for place, (measure, title) in enumerate(zip(CURVES, titles, strict=True), start=1):
        axis = "" if place == 1 else str(place)
        logarithmic = place in (1, 4)
        layout[f"yaxis{axis}"] = {"title": {"text": title}, "type": "log" if logarithmic else "linear",
                                  **({} if logarithmic else {"rangemode": "tozero"})}  # fmt: skip
        layout[f"xaxis{axis}"] = {"title": {"text": "epoch (0 = before training)"}}
        for subject in comparison.trained:
            curve = comparison.curves.get((subject, measure.key))
            if curve:
                traces += _band(subject, curve.epochs, curve.points, axis, first=place == 1)
    n = len(comparison.seeds)
    return Figure(
        anchor=anchor,
        title="How fast does each loss settle, and how hard does it still push?",
        caption=f"{comparison.dataset}, protocol {comparison.protocol}: mean over n = {n} seeds with 95 % t bands. "
        "Loss, active ratio and gradient norm over the training steps of an epoch; variance on the training split.",
        alt="Four line charts over epochs, one line for each loss; the numbers are in the table below.",
        traces=tuple(traces),
        layout=layout,
        table=_training_table(comparison, anchor),
        csv=_training_csv(comparison),
        height=640,
    )


def _band(
    subject: Subject, epochs: Sequence[int], points: Sequence[Any], axis: str, *, first: bool
) -> list[dict[str, Any]]:
    """A line of means over a band between the bounds."""
    shared = {"xaxis": f"x{axis}", "yaxis": f"y{axis}", "legendgroup": subject.label, "mode": "lines"}
    low = [point.mean if point.low is None else point.low for point in points]
    high = [point.mean if point.high is None else point.high for point in points]
    mean = [point.mean for point in points]
    digits = [[float(f"{value:.5g}") for value in part] for part in (mean, low, high)]
    edge = {"showlegend": False, "hoverinfo": "skip", "line": {"width": 0}, "x": list(epochs)}
    return [
        {**shared, **edge, "y": digits[1]},
        {**shared, **edge, "y": digits[2], "fill": "tonexty", "fillcolor": f"{subject.color}33"},
        {**shared, "x": list(epochs), "y": digits[0], "name": plain(subject.label), "showlegend": first,
         "line": {"color": subject.color, "dash": subject.dash, "width": 2}},
    ]  # fmt: skip


def _training_table(comparison: Comparison, anchor: str) -> Table:
    """Every epoch would drown a reader: before training, after the first epoch, and about ten more."""
    rows = []
    for subject in comparison.trained:
        curves = [comparison.curves.get((subject, measure.key)) for measure in CURVES]
        for epoch in _shown(comparison.epochs):
            cells = []
            for curve in curves:
                known = dict(zip(curve.epochs, curve.points, strict=True)) if curve else {}
                cells.append(interval_text(known[epoch]) if epoch in known else "")
            rows.append(Row(f"{subject.label}, epoch {epoch}", tuple(cells), subject))
    columns = tuple(Column(measure.label, measure.term) for measure in CURVES)
    return Table(
        f"{anchor}-table",
        "Mean over seeds with its 95 % t interval; the CSV has every epoch.",
        "loss, epoch",
        columns,
        (Group("", tuple(rows)),),
    )


def _shown(last: int) -> list[int]:
    return sorted({0, 1, last, *(round(last * part / 10) for part in range(1, 10))})


def _training_csv(comparison: Comparison) -> str:
    rows = [
        (subject.loss, subject.variant, measure.key, epoch, point.n, point.mean, point.low, point.high)
        for subject in comparison.trained
        for measure in CURVES
        if (curve := comparison.curves.get((subject, measure.key)))
        for epoch, point in zip(curve.epochs, curve.points, strict=True)
    ]
    return csv_text(("loss", "variant", "measure", "epoch", "n", "mean", "low", "high"), rows)
