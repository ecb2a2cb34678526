"""How the effort of a loss is spread over the samples of the common probe, in four views."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from losscope.report.figures import Figure, Panel, axis, csv_text, error_bar, plain, short
from losscope.report.paper_b.source import cited, under_cited_names
from losscope.report.tables import MEANS, Column, Group, Row, Table
from losscope.statistics import Interval
from losscope.summary.formatting import estimate_text, interval_text, number, span
from losscope.summary.measures import (
    ACTIVE_PROBE,
    EFFECTIVE_SHARE,
    GREEDY,
    GREEDY_RATIO,
    PAIR_WEIGHT,
    PAIR_WEIGHTS,
    PARTICIPATION,
    RELATIVE_ACTIVITY,
    RESIDUAL,
    SATISFIED,
    SHARE_90,
    SHARE_CURVE,
    TANGENTIAL,
    Measure,
)  # fmt: skip
from losscope.summary.subjects import GRAYS, Subject
from losscope.summary.types import Comparison

NUMBERS: tuple[Measure, ...] = (SHARE_90, TANGENTIAL, PARTICIPATION, EFFECTIVE_SHARE, RESIDUAL, ACTIVE_PROBE, PAIR_WEIGHT,
                                GREEDY, SATISFIED, GREEDY_RATIO)  # fmt: skip
MOST_BANDS = 7
"""Losses of one panel whose bands are drawn."""


def greediness_figure(comparison: Comparison, anchor: str) -> Figure | None:
    """None where nothing was measured on a probe."""
    panels = [
        panel
        for panel in (_curve(comparison), _weights(comparison), _activity(comparison), _greedy(comparison))
        if panel
    ]
    if not panels:
        return None
    counts = span([len(comparison.runs_of(subject)) for subject in comparison.shown])
    return Figure(
        anchor=anchor,
        title="Does a loss work on all samples a little, or on few a lot?",
        where=comparison.title,
        caption=f"One batch of training samples, the same for every loss of a seed, after {comparison.epochs} epochs. Means over "
        f"n = {counts} seeds, bands and bars 95 % t intervals. Shares are free of a loss's scale; the size of the gradient is "
        "in the table. Pair weights are over their mean; −5 takes all smaller ones.",
        panels=tuple(panels),
        legend=under_cited_names(comparison.shown),
        table=_table(comparison, anchor),
        csv=csv_text(("loss", "variant", "diagnostic", "item", "n", "mean", "low", "high"), _rows(comparison)),
    )


def _profiles(comparison: Comparison, diagnostic: str) -> dict[Subject, Mapping[int, Interval]]:
    """Item -> interval for every shown loss that has the diagnostic."""
    return {
        subject: {item: of.interval for item, of in items.items() if of.interval}
        for subject in comparison.shown
        if (items := comparison.profiles.get((subject, diagnostic)))
    }


def _curve(comparison: Comparison) -> Panel | None:
    found = _profiles(comparison, SHARE_CURVE)
    if not found:
        return None
    traces = [trace for subject, items in found.items() for trace in _line(subject, items, len(found))]
    half = [f"{cited(subject)} {number(items[50].mean)}" for subject, items in found.items() if 50 in items]
    return Panel(
        "Least share of samples that carries so much of the gradient",
        f"Share of samples against percent of the gradient norm. At 50 %: {'; '.join(half)}",
        tuple(traces),
        {
            "xaxis": axis("percent of the gradient norm", range=[0, 103]),
            "yaxis": axis("share of samples", range=[0, 1.03]),
        },
    )


def _weights(comparison: Comparison) -> Panel | None:
    found = _profiles(comparison, PAIR_WEIGHTS)
    if not found:
        return None
    traces = [trace for subject, items in found.items() for trace in _line(subject, items, len(found))]
    peaks = [f"{cited(subject)} at {max(items, key=lambda item: items[item].mean)}" for subject, items in found.items()]
    return Panel(
        "How much weight a pair of samples has",
        f"Histogram of pair weights by decade; the fullest decade: {'; '.join(peaks)}",
        tuple(traces),
        {
            "xaxis": axis("power of ten of weight / mean weight", dtick=1),
            "yaxis": axis("share of pairs", rangemode="tozero"),
        },
    )


def _activity(comparison: Comparison) -> Panel | None:
    found = _profiles(comparison, RELATIVE_ACTIVITY)
    if not found:
        return None
    traces = [trace for subject, items in found.items() for trace in _line(subject, items, len(found))]
    items = sorted({item for of in found.values() for item in of})
    middle = [f"{cited(subject)} {number(of[2].mean)}" for subject, of in found.items() if 2 in of]
    ticks = {
        "tickvals": items,
        "ticktext": [threshold(item) for item in items],
        "range": [min(items) - 0.15, max(items) + 0.15],
    }
    return Panel(
        "Terms above a share of the largest possible gradient",
        f"Relative activity against its threshold. At {threshold(2)}: {'; '.join(middle)}",
        tuple(traces),
        {"xaxis": axis("threshold", **ticks), "yaxis": axis("share of terms", range=[-0.02, 1.03])},
    )


def _greedy(comparison: Comparison) -> Panel | None:
    points = {
        subject: (base, share)
        for subject in comparison.shown
        if (base := comparison.interval(subject, SATISFIED)) and (share := comparison.interval(subject, GREEDY))
    }  # fmt: skip
    if not points:
        return None
    start = math.floor(10 * min(one.mean for pair in points.values() for one in pair)) / 10
    gray = {"color": GRAYS["input"], "dash": "dot", "width": 1.5}
    traces: list[dict[str, Any]] = [
        {"x": [start, 1], "y": [start, 1], "mode": "lines", "line": gray, "name": "blind to satisfaction"}
    ]
    for subject, (base, share) in points.items():
        traces.append(
            {
                "x": short([base.mean]),
                "y": short([share.mean]),
                "mode": "markers",
                "marker": {"color": subject.color, "symbol": subject.symbol, "size": 9},
                "error_x": error_bar(base, subject),
                "error_y": error_bar(share, subject),
                "name": plain(cited(subject)),
            }
        )
    said = [
        f"{cited(subject)} {number(share.mean)} of {number(base.mean)}" for subject, (base, share) in points.items()
    ]
    return Panel(
        "Gradient spent on samples that are satisfied already",
        f"Greedy fraction against its base rate; on the dotted line a loss is blind to satisfaction: {'; '.join(said)}",
        tuple(traces),
        {
            "xaxis": axis("satisfied samples (base rate)"),
            "yaxis": axis("greedy fraction"),
        },
    )


def _line(subject: Subject, items: Mapping[int, Interval], losses: int) -> list[dict[str, Any]]:
    """A line with markers over a band, which many losses leave out: their bands would hide one another."""
    places, points = list(items), list(items.values())
    line = {"color": subject.color, "dash": subject.dash, "width": 2}
    traces: list[dict[str, Any]] = []
    if losses <= MOST_BANDS:
        low = short(point.mean if point.low is None else point.low for point in points)
        high = short(point.mean if point.high is None else point.high for point in points)
        edge = {"x": places, "mode": "lines", "line": {"width": 0}, "hoverinfo": "skip"}
        traces += [{**edge, "y": low}, {**edge, "y": high, "fill": "tonexty", "fillcolor": f"{subject.color}22"}]
    marker = {"color": subject.color, "symbol": subject.symbol, "size": 6}
    return [*traces, {"x": places, "y": short(point.mean for point in points), "mode": "lines+markers", "line": line,
                      "marker": marker, "name": plain(cited(subject))}]  # fmt: skip


def threshold(item: int) -> str:
    """A threshold of relative activity, 10 to the power of minus `item`.

    >>> threshold(2)
    '0.01'
    """
    return f"{10.0**-item:g}"


def _table(comparison: Comparison, anchor: str) -> Table:
    """Every number of the probe; the curves at a few points, the CSV has all."""
    known = [one for one in NUMBERS if any(comparison.get(subject, one) for subject in comparison.shown)]
    rows = []
    activity = _profiles(comparison, RELATIVE_ACTIVITY)
    items = sorted({item for of in activity.values() for item in of})
    for subject in comparison.shown:
        estimates = [comparison.get(subject, one) for one in known]
        of = activity.get(subject, {})
        cells = [estimate_text(estimate, comparison.epochs) for estimate in estimates]
        cells += [interval_text(of[item]) if item in of else "" for item in items]
        counts = {estimate.n for estimate in estimates if estimate} | {one.n for one in of.values()}
        rows.append(Row(cited(subject), (*cells, span(counts)), subject))
    columns = (
        *(Column(one.label, one.term) for one in known),
        *(Column(f"above {threshold(item)}", "relative_activity", "relative activity") for item in items),
        Column("n", "seeds"),
    )
    return Table(f"{anchor}-numbers", "Numbers of the figure", f"{MEANS} On the common probe; the CSV has every point of the curves.",
                 "loss", columns, (Group("", tuple(rows)),))  # fmt: skip


def _rows(comparison: Comparison) -> Iterator[tuple[Any, ...]]:
    def row(subject: Subject, diagnostic: str, item: int | str, found: Interval) -> tuple[Any, ...]:
        return subject.loss, subject.variant, diagnostic, item, found.n, found.mean, found.low, found.high

    for subject in comparison.shown:
        for one in NUMBERS:
            if (estimate := comparison.get(subject, one)) and estimate.interval:
                yield row(subject, one.diagnostic, "", estimate.interval)
        for diagnostic in (SHARE_CURVE, RELATIVE_ACTIVITY, PAIR_WEIGHTS):
            for item, interval in _profiles(comparison, diagnostic).get(subject, {}).items():
                yield row(subject, diagnostic, item, interval)
