"""Fig. 3: loss, active ratio, gradient norm and intra-class variance over epochs, with bands over seeds."""

from __future__ import annotations

from typing import Any

from losscope.report.figures import LOGARITHMIC, Figure, Panel, axis, csv_text, plain, short
from losscope.report.tables import Column, Group, Row, Table
from losscope.summary.formatting import interval_text, span
from losscope.summary.measures import CURVES, GRADIENT
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Curve

AXES: tuple[dict[str, Any], ...] = (
    axis("loss, mean over valid terms", **LOGARITHMIC),
    axis("share of valid terms", rangemode="tozero"),
    axis("L2 norm, all parameters", rangemode="tozero"),
    axis("squared distance", **LOGARITHMIC),
)


APART = 20
"""Ratio of gradient norms from which a linear axis hides the small ones."""
FEW = 5
"""Losses whose bands can lie over one another and be seen."""


def training_figure(comparison: Comparison, anchor: str) -> Figure:
    """How training went, for each loss of a comparison."""
    counts = span([len(comparison.runs_of(subject)) for subject in comparison.shown])
    return Figure(
        anchor=anchor,
        title="How fast does each loss settle, and how hard does it still push?",
        where=comparison.title,
        caption=f"Lines are means over n = {counts} seeds, bands 95 % t intervals. Loss, active ratio and gradient norm "
        "are of the training steps of an epoch (epoch 0: one pass before training), the variance of the split train. "
        "Values of different losses are on different scales; their shape over time compares.",
        panels=tuple(_panel(comparison, place) for place in range(len(CURVES))),
        legend=comparison.shown,
        table=_table(comparison, anchor),
        csv=_csv(comparison),
    )


def _panel(comparison: Comparison, place: int) -> Panel:
    measure = CURVES[place]
    traces: list[dict[str, Any]] = []
    ends, levels = [], []
    for subject in comparison.shown:
        if curve := comparison.curves.get((subject, measure.key)):
            traces += _band(subject, curve, "33" if len(comparison.shown) <= FEW else "14")
            ends.append(f"{subject.label} ends at {interval_text(curve.points[-1])}")
            levels.append(curve.points[-1].mean)
    scale = AXES[place]
    if measure == GRADIENT and max(levels, default=0.0) > APART * min(levels, default=0.0) > 0:
        scale = {**scale, **LOGARITHMIC}
    layout = {"xaxis": axis("epoch (0 = before training)", range=[0, comparison.epochs]), "yaxis": scale}
    return Panel(measure.label, f"{measure.label} over epochs: {'; '.join(ends)}", tuple(traces), layout)


def _band(subject: Subject, curve: Curve, opacity: str) -> list[dict[str, Any]]:
    """A line of means over a band between the bounds; `opacity` of the band is hexadecimal."""
    epochs = list(curve.epochs)
    low = short(point.mean if point.low is None else point.low for point in curve.points)
    high = short(point.mean if point.high is None else point.high for point in curve.points)
    edge = {"x": epochs, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
    line = {"color": subject.color, "dash": subject.dash, "width": 2}
    return [
        {**edge, "y": low},
        {**edge, "y": high, "fill": "tonexty", "fillcolor": f"{subject.color}{opacity}"},
        {"x": epochs, "y": short(point.mean for point in curve.points), "mode": "lines", "line": line,
         "name": plain(subject.label)},
    ]  # fmt: skip


def _table(comparison: Comparison, anchor: str) -> Table:
    """Every epoch would drown a reader: before training, after the first epoch, and each tenth of the way; each quarter
    with many losses."""
    last, parts = comparison.epochs, 10 if len(comparison.shown) <= FEW else 4
    shown = sorted({0, 1, last, *(round(last * part / parts) for part in range(1, parts))})
    groups = []
    for subject in comparison.shown:
        curves = [comparison.curves.get((subject, measure.key)) for measure in CURVES]
        known = [dict(zip(curve.epochs, curve.points, strict=True)) if curve else {} for curve in curves]
        rows = [
            Row(f"epoch {epoch}", tuple(interval_text(of[epoch]) if epoch in of else "" for of in known), subject)
            for epoch in shown
            if any(epoch in of for of in known)
        ]
        groups.append(Group(subject.label, tuple(rows)))
    columns = tuple(Column(measure.label, measure.term) for measure in CURVES)
    caption = "Mean over seeds [95 % t interval]; the CSV has every epoch."
    return Table(f"{anchor}-numbers", "Numbers of the figure", caption, "epoch", columns, tuple(groups))


def _csv(comparison: Comparison) -> str:
    rows = [
        (subject.loss, subject.variant, measure.diagnostic, epoch, point.n, point.mean, point.low, point.high)
        for subject in comparison.shown
        for measure in CURVES
        if (curve := comparison.curves.get((subject, measure.key)))
        for epoch, point in zip(curve.epochs, curve.points, strict=True)
    ]
    return csv_text(("loss", "variant", "diagnostic", "epoch", "n", "mean", "low", "high"), rows)
