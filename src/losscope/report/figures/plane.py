"""Fig. 2: samples on the first two principal components of their space, raw and embedded."""

from __future__ import annotations

from typing import Any

import numpy as np

from losscope.report.figures import Figure, Panel, axis, csv_text, short
from losscope.report.tables import Column, Group, Row, Table
from losscope.summary.formatting import number
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Plane

# Paul Tol's muted scheme, its darkest and palest colors changed to be seen on white and on black; these color
# classes, never losses, and every class has a symbol of its own as well.
CLASS_COLORS = ("#5B4BC4", "#88CCEE", "#44AA99", "#117733", "#999933", "#C9A227", "#CC6677", "#B0306F", "#AA4499", "#EE7733")  # fmt: skip
CLASS_SYMBOLS = ("circle", "square", "diamond", "triangle-up", "triangle-down", "pentagon", "star", "hexagon", "cross", "bowtie")  # fmt: skip
OTHERS = "#9A9A9A"


def plane_figure(comparison: Comparison, anchor: str) -> Figure:
    """What do the classes look like before and after?"""
    planes = comparison.planes
    first = next(iter(planes.values()))
    shown = max(len(plane.x) for plane in planes.values())
    seeds = ", ".join(f"seed {seed}" for seed in sorted({plane.seed for plane in planes.values()}))
    return Figure(
        anchor=anchor,
        title="What do the classes look like before and after training?",
        where=comparison.title,
        caption=f"One run each ({seeds}), {shown:,} of {first.samples:,} samples of the split {first.split}, after "
        f"{comparison.epochs} epochs. Each space has a fit of its own, so positions and scales don't compare across "
        "panels, and what two components don't hold is not seen: distances here are no measurement. Color and symbol "
        "are the first ten classes; gray dots are other classes, crosses outliers.",
        panels=tuple(_panel(subject, plane) for subject, plane in planes.items()),
        legend=(),
        table=_table(comparison, anchor),
        csv=_csv(comparison),
        look="squares",
    )


def _panel(subject: Subject, plane: Plane) -> Panel:
    labels, x, y = np.array(plane.labels), np.array(plane.x), np.array(plane.y)
    traces = []
    classes = sorted(set(labels[labels >= 0].tolist()))
    rest = (labels >= 0) & ~np.isin(labels, classes[: len(CLASS_COLORS)])
    for name, rows, look in (
        ("outlier", labels < 0, {"color": OTHERS, "symbol": "x-thin-open", "size": 5}),
        ("other classes", rest, {"color": OTHERS, "symbol": "circle", "size": 3}),
        *((f"class {label}", labels == label, {"color": color, "symbol": symbol, "size": 5})
          for label, color, symbol in zip(classes, CLASS_COLORS, CLASS_SYMBOLS, strict=False)),
    ):  # fmt: skip
        if rows.any():
            traces.append(_dots(name, x[rows], y[rows], look))
    held = f"{plane.explained:.0%} of the variance"
    layout = {
        "xaxis": axis("first component", zeroline=False, constrain="domain"),
        "yaxis": axis("second component", zeroline=False, scaleanchor="x", scaleratio=1, constrain="domain"),
    }
    return Panel(
        f"{subject.label}: {held}", f"Scatter plot of {subject.label}, {held} in this plane.", tuple(traces), layout
    )


def _dots(name: str, x: np.ndarray, y: np.ndarray, look: dict[str, Any]) -> dict[str, Any]:
    return {"x": short(x), "y": short(y), "mode": "markers", "marker": {**look, "opacity": 0.75}, "name": name}


def _table(comparison: Comparison, anchor: str) -> Table:
    """Where each class that has a color lies: the mean of its shown points."""
    groups = []
    for subject, plane in comparison.planes.items():
        labels, x, y = np.array(plane.labels), np.array(plane.x), np.array(plane.y)
        present = sorted(set(plane.labels))
        colored = [label for label in present if label >= 0][: len(CLASS_COLORS)]
        rows = [
            Row("outliers" if label < 0 else f"class {label}",
                (str(int((labels == label).sum())), number(float(x[labels == label].mean())),
                 number(float(y[labels == label].mean()))))
            for label in present if label < 0 or label in colored
        ]  # fmt: skip
        groups.append(Group(f"{subject.label}: {plane.explained:.1%} of the variance in two components", tuple(rows)))
    columns = (Column("points"), Column("mean of the first component"), Column("mean of the second"))
    caption = "Where the classes lie that have a color; the CSV has every point."
    return Table(f"{anchor}-numbers", "Numbers of the figure", caption, "class", columns, tuple(groups))


def _csv(comparison: Comparison) -> str:
    rows = [
        (subject.label, label, *short((x, y)))
        for subject, plane in comparison.planes.items()
        for label, x, y in zip(plane.labels, plane.x, plane.y, strict=True)
    ]
    return csv_text(("subject", "class", "x", "y"), rows)
