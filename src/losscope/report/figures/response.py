"""What a loss does to a pair at a given cosine: value and gradient in closed form, no measurement."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from losscope.cards import NEGATIVE_AT, POSITIVE_AT, Card, Composition, Response
from losscope.report.cards import known_cards
from losscope.report.figures import Figure, Panel, axis, csv_text, plain, short
from losscope.report.tables import Column, Group, Row, Table
from losscope.summary.formatting import number
from losscope.summary.subjects import Subject
from losscope.summary.types import Summary

SIMILARITIES = tuple(step / 50 for step in range(-50, 51))
SHOWN = (*(step / 5 for step in range(-4, 5)), 0.9)
SMALLEST = 1e-4
"""Values below this are left out of the logarithmic panels."""

SIDES = ("positive", "negative")


def response_figure(summary: Summary, anchor: str) -> Figure | None:
    """The curves of every loss variant of the report that has a card; None if there is none."""
    known = known_cards(summary)
    if not known:
        return None
    panels = (
        _pulls(known, "positive", "How hard a positive is pulled"),
        _pulls(known, "negative", "How hard a negative is pushed"),
        _values(known, "positive", "What a positive costs"),
        _values(known, "negative", "What a negative costs"),
    )
    return Figure(
        anchor=anchor,
        title="Whom does each loss pull, and how hard?",
        where="closed forms",
        caption=f"Closed forms for one term on the unit sphere (no data, no seeds): {Composition()}. One pair moves; all other "
        f"positives of the term stay at cosine {POSITIVE_AT:g}, all other negatives at {NEGATIVE_AT:g}; for losses with class "
        "vectors the pair is a sample and its own, or another, class vector. The gradient is the part along the sphere that "
        "comes through this pair, as a share of the loss's bound (on the cards), so that losses of any scale share an axis; "
        "below 0 a positive is pushed away. A batch's mean divides it by the number of terms.",
        panels=panels,
        legend=tuple(known),
        table=_table(known, anchor),
        csv=csv_text(("loss", "variant", "side", "cosine", *Response._fields, "share_of_bound"), _rows(known)),
    )


def response(card: Card, side: str, similarity: float) -> Response:
    """What the term does to its positive or its negative."""
    return card.positive(similarity) if side == "positive" else card.negative(similarity)


def _largest(card: Card) -> float:
    """The bound; for embeddings of any length the largest gradient at length 1."""
    bound = card.bound()
    if math.isfinite(bound):
        return bound
    return max(abs(response(card, side, similarity).pull) for side in SIDES for similarity in SIMILARITIES)


def _pulls(known: dict[Subject, Card], side: str, title: str) -> Panel:
    sign = 1 if side == "positive" else -1
    curves = {}
    for subject, card in known.items():
        largest = _largest(card)
        curves[subject] = [sign * response(card, side, similarity).pull / largest + 0.0 for similarity in SIMILARITIES]
    layout = {"yaxis": axis("gradient, share of the bound", rangemode="tozero")}
    return _panel(curves, side, title, layout)


def _values(known: dict[Subject, Card], side: str, title: str) -> Panel:
    curves = {
        subject: [response(card, side, similarity).value for similarity in SIMILARITIES]
        for subject, card in known.items()
    }
    layout = {"yaxis": axis("value of the term", type="log", dtick=1, tickformat="~g")}
    return _panel(curves, side, title, layout, SMALLEST)


def _panel(
    curves: dict[Subject, list[float]], side: str, title: str, layout: dict[str, Any], smallest: float = -math.inf
) -> Panel:
    traces: list[dict[str, Any]] = []
    peaks = []
    for subject, values in curves.items():
        line = {"color": subject.color, "dash": subject.dash, "width": 2}
        y = [value if value >= smallest else None for value in short(values)]
        traces.append({"x": SIMILARITIES, "y": y, "mode": "lines", "line": line, "name": plain(subject.label)})
        peak = number(SIMILARITIES[values.index(max(values))])
        peaks.append(f"{subject.label} is largest ({number(max(values))}) at {peak}")
    layout = {"xaxis": axis(f"cosine of the {side} (-1 to 1)"), **layout}
    return Panel(title, f"{title}, against its cosine: {'; '.join(peaks)}", tuple(traces), layout)


def _table(known: dict[Subject, Card], anchor: str) -> Table:
    groups = []
    for side in SIDES:
        rows = []
        for similarity in SHOWN:
            found = [response(card, side, similarity) for card in known.values()]
            rows.append(Row(number(similarity), tuple(f"{number(one.pull)} ({number(one.value)})" for one in found)))
        groups.append(Group(f"{side} at this cosine", tuple(rows)))
    columns = tuple(Column(subject.label) for subject in known)
    caption = (
        "Gradient along the sphere, above 0 drawing together (value of the term); the CSV has every cosine and the shares of "
        "the bound."
    )
    return Table(f"{anchor}-numbers", "Numbers of the figure", caption, "cosine", columns, tuple(groups))


def _rows(known: dict[Subject, Card]) -> Iterator[tuple[Any, ...]]:
    for subject, card in known.items():
        largest = _largest(card)
        for side in SIDES:
            for similarity in SIMILARITIES:
                found = response(card, side, similarity)
                yield subject.loss, subject.variant, side, similarity, *found, found.pull / largest
