"""What a loss does to a pair at a given distance: value and gradient in closed form, no measurement."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from losscope import cards
from losscope.cards import Response
from losscope.report.figures import Figure, Panel, axis, csv_text, plain, short
from losscope.report.formatting import number
from losscope.report.subjects import DASHES, Subject
from losscope.report.summary import Summary
from losscope.report.tables import Column, Group, Row, Table

DISTANCES = tuple(step / 50 for step in range(101))
NEGATIVE_AT = math.sqrt(2)
"""Distance of the negative while the positive moves: that of unrelated directions in many dimensions."""
POSITIVE_AT = 0.5
"""Distance of the positive while the negative moves."""

Curves = dict[str, Callable[[float], Response]]


def response_figure(summary: Summary, anchor: str) -> Figure | None:
    """The curves of every loss variant of the report that has a closed form; None if there is none."""
    known = {subject: curves for subject, settings in _variants(summary) if (curves := _curves(subject.loss, settings))}
    if not known:
        return None
    panels = (
        _panel(known, "positive", "tangential", "How hard a positive is pulled"),
        _panel(known, "negative", "tangential", "How hard a negative is pushed"),
        _panel(known, "positive", "value", "What a positive costs"),
        _panel(known, "negative", "value", "What a negative costs"),
    )
    return Figure(
        anchor=anchor,
        title="Whom does each loss pull, and how hard?",
        where="closed forms",
        caption="Closed forms for one term on the unit sphere (no data, no seeds), with the margins of this report. The "
        f"triplet's other member is held fixed: the negative at √2 while the positive moves, the positive at "
        f"{POSITIVE_AT:g} while the negative moves. The gradient is its part along the sphere, the one that turns an "
        "embedding; a batch's mean divides it by the number of terms.",
        panels=panels,
        legend=tuple(known),
        table=_table(known, anchor),
        csv=csv_text(("loss", "variant", "side", "distance", *Response._fields), _rows(known)),
    )


def _variants(summary: Summary) -> Iterator[tuple[Subject, Mapping[str, Any]]]:
    """Every loss with its hyper-parameters; where studies give a loss others under one name, the name says which."""
    seen: dict[Subject, list[Mapping[str, Any]]] = {}
    for comparison in summary.comparisons:
        for subject, settings in comparison.hyperparameters.items():
            before = seen.setdefault(subject, [])
            if settings not in before:
                words = ", ".join(f"{key} = {value}" for key, value in settings.items())
                dash = DASHES[(DASHES.index(subject.dash) + len(before)) % len(DASHES)]
                yield (replace(subject, name=f"{subject.label} ({words})", dash=dash) if before else subject), settings
                before.append(settings)


def _curves(loss: str, settings: Mapping[str, Any]) -> Curves | None:
    """The two sides of a loss, by distance; None without a closed form."""
    margin = settings.get("margin")
    if not isinstance(margin, int | float):
        return None
    if loss == "contrastive":
        return {
            "positive": cards.contrastive_positive,
            "negative": lambda distance: cards.contrastive_negative(distance, margin=margin),
        }
    if loss == "triplet":
        squared = bool(settings.get("squared", False))
        return {
            "positive": lambda distance: cards.triplet_positive(
                distance, negative_distance=NEGATIVE_AT, margin=margin, squared=squared
            ),
            "negative": lambda distance: cards.triplet_negative(
                distance, positive_distance=POSITIVE_AT, margin=margin, squared=squared
            ),
        }
    return None


UNITS = {"tangential": "|gradient| along the sphere", "value": "value of the term"}


def _panel(known: dict[Subject, Curves], side: str, part: str, title: str) -> Panel:
    traces: list[dict[str, Any]] = []
    peaks = []
    for subject, curves in known.items():
        values = [getattr(curves[side](distance), part) for distance in DISTANCES]
        line = {"color": subject.color, "dash": subject.dash, "width": 2}
        traces.append({"x": DISTANCES, "y": short(values), "mode": "lines", "line": line, "name": plain(subject.label)})
        peak = number(DISTANCES[values.index(max(values))])
        peaks.append(f"{subject.label} is largest ({number(max(values))}) at {peak}")
    layout = {"xaxis": axis(f"distance of the {side} (0 to 2)"), "yaxis": axis(UNITS[part], rangemode="tozero")}
    return Panel(title, f"{title}, against its distance: {'; '.join(peaks)}", tuple(traces), layout)


def _table(known: dict[Subject, Curves], anchor: str) -> Table:
    groups = []
    for side in ("positive", "negative"):
        rows = []
        for distance in (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75):
            found = [curves[side](distance) for curves in known.values()]
            rows.append(Row(f"{distance:g}", tuple(f"{number(one.tangential)} ({number(one.value)})" for one in found)))
        groups.append(Group(f"{side} at this distance", tuple(rows)))
    columns = tuple(Column(subject.label) for subject in known)
    caption = "Gradient along the sphere (value of the term); the CSV has every distance and the whole gradient."
    return Table(f"{anchor}-numbers", "Numbers of the figure", caption, "distance", columns, tuple(groups))


def _rows(known: dict[Subject, Curves]) -> Iterator[tuple[Any, ...]]:
    for subject, curves in known.items():
        for side, response in curves.items():
            for distance in DISTANCES:
                yield subject.loss, subject.variant, side, distance, *response(distance)
