"""Figures as plain data (traces and axes for plotly.js), each with its numbers as a table and as CSV.

A figure is a row of panels under one legend. Colors and text that depend on light or dark are left to the page.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from losscope.report.tables import Table
from losscope.statistics import Interval
from losscope.summary.subjects import Subject


@dataclass(frozen=True)
class Panel:
    """One plot. `alt` says in words what it shows; `traces` and `layout` are plotly's."""

    title: str
    alt: str
    traces: tuple[dict[str, Any], ...]
    layout: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Figure:
    """One figure with its numbers. `title` is its question, `where` names what it is about."""

    anchor: str
    title: str
    where: str
    caption: str
    panels: tuple[Panel, ...]
    legend: tuple[Subject, ...]
    table: Table
    csv: str
    look: Literal["lines", "marks", "squares", "bars"] = "lines"


def plain(text: str) -> str:
    """Text that plotly shows as it is: plotly reads a subset of HTML in every label."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def short(values: Iterable[float]) -> list[float]:
    """Numbers with five significant digits: more than a screen shows, and small in the page."""
    return [float(f"{value:.5g}") for value in values]


def error_bar(interval: Interval, subject: Subject) -> dict[str, Any]:
    """Half of an interval as plotly's error bar; invisible for a single seed."""
    half = interval.high - interval.mean if interval.high is not None else 0.0
    return {"type": "data", "array": short([half]), "color": f"{subject.color}99", "thickness": 1.2, "width": 3,
            "visible": half > 0}  # fmt: skip


LOGARITHMIC: dict[str, Any] = {"type": "log", "dtick": "D2", "tickformat": "~g"}
"""An axis that is labelled 0.1, 0.2, 0.5, 1."""


def axis(title: str, **settings: Any) -> dict[str, Any]:
    """An axis with its title and unit."""
    return {"title": {"text": plain(title)}, **settings}


def csv_text(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """CSV with a header line; floats with six significant digits."""
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    return lines.getvalue()
