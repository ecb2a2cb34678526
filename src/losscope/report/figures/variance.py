"""Fig. 1: intra-class variance of each class on the training split."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from losscope.report.figures import LOGARITHMIC, Figure, Panel, axis, csv_text, plain, short
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import Interval, mean_interval
from losscope.summary.formatting import interval_text, span
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

UNIT = "squared distance"
FEW = 20
"""Classes whose points can be told apart, with their intervals."""
SPREAD = 0.7
"""Width of the losses of one class, in classes."""


def variance_figure(comparison: Comparison, anchor: str) -> Figure:
    """Does a loss loosen all classes or a few?

    Where each seed draws classes of its own (synthetic data), class 3 of one seed is not class 3 of another: one seed
    is shown by class, and the mean over seeds by rank, each seed's classes sorted. Many classes are shown by rank alone.
    """
    seed = min(seed for classes in comparison.class_variances.values() for of in classes.values() for seed in of)
    counts = span([len(comparison.runs_of(subject)) for subject in comparison.shown])
    if comparison.drawn_per_seed:
        panels = [_panel(f"by class, seed {seed} alone", "class", _of_seed(comparison, seed)),
                  _panel("by rank, mean over seeds", "rank (1 = loosest class of its seed)",
                         _by_rank(comparison))]  # fmt: skip
        how = ("Each seed draws other classes: by class one seed alone, by rank the mean over seeds of each seed's sorted "
               "classes.")  # fmt: skip
    elif _ranked(comparison):
        panels = [_panel("by rank, mean over seeds", "rank (1 = loosest class of its loss and seed)",
                         _by_rank(comparison))]  # fmt: skip
        how = "So many classes are sorted, each loss's and seed's in an order of their own."
    else:
        panels = [_panel("by class, mean over seeds", "class", _by_class(comparison))]
        how = "The classes are the same for every seed."
    return Figure(
        anchor=anchor,
        title="Is every class looser under one loss, or only some?",
        where=comparison.title,
        caption=f"Intra-class variance on the split train after {comparison.epochs} epochs, n = {counts} seeds, bars 95 % t "
        f"intervals over seeds. {how} Logarithmic scale.",
        panels=tuple(panels),
        legend=tuple(comparison.class_variances),
        table=_table(comparison, anchor),
        csv=_csv(comparison),
        look="marks",
    )


def _ranked(comparison: Comparison) -> bool:
    """Whether the numbers are by rank: classes that differ between seeds, or too many to be told apart."""
    return comparison.drawn_per_seed or max(map(len, comparison.class_variances.values())) > FEW


Points = Mapping[Subject, Mapping[int, Interval]]


def _of_seed(comparison: Comparison, seed: int) -> Points:
    return {
        subject: points
        for subject, classes in comparison.class_variances.items()
        if (points := {label: Interval(1, of[seed]) for label, of in classes.items() if seed in of})
    }


def _by_class(comparison: Comparison) -> Points:
    return {
        subject: {label: mean_interval(list(of.values())) for label, of in classes.items() if of}
        for subject, classes in comparison.class_variances.items()
    }


def _by_rank(comparison: Comparison) -> Points:
    found = {}
    for subject, classes in comparison.class_variances.items():
        seeds = sorted({seed for of in classes.values() for seed in of})
        ranked = [sorted((of[seed] for of in classes.values() if seed in of), reverse=True) for seed in seeds]
        found[subject] = {rank: mean_interval(values)
                          for rank, values in enumerate(zip(*ranked, strict=False), start=1)}  # fmt: skip
    return found


def _panel(title: str, places: str, points: Points) -> Panel:
    traces = []
    means = []
    few = max(len(of) for of in points.values()) <= FEW
    for nth, (subject, of) in enumerate(points.items()):
        # Beside one another within a class, where there is room.
        traces.append(_dots(subject, of, SPREAD * ((nth + 0.5) / len(points) - 0.5) if few else 0.0))
        means.append(f"{subject.label} {min(part.mean for part in of.values()):.2g} to "
                     f"{max(part.mean for part in of.values()):.2g}")  # fmt: skip
    layout = {"xaxis": axis(places, **({"dtick": 1} if few else {})), "yaxis": axis(UNIT, **LOGARITHMIC)}
    return Panel(title, f"Intra-class variance {title}: {'; '.join(means)}", tuple(traces), layout)


def _dots(subject: Subject, of: Mapping[int, Interval], shift: float) -> dict[str, Any]:
    points = list(of.values())
    high = [(point.high if point.high is not None else point.mean) - point.mean for point in points]
    return {
        "x": short(place + shift for place in of),
        "customdata": list(of),
        "hovertemplate": "%{customdata}: %{y:.3g}",
        "y": short(point.mean for point in points),
        "mode": "markers",
        "marker": {"color": subject.color, "symbol": subject.symbol, "size": 8 if len(points) <= FEW else 4},
        "error_y": {"type": "data", "array": short(high), "color": subject.color, "thickness": 1.5, "width": 3,
                    "visible": any(high) and len(points) <= FEW},
        "name": plain(subject.label),
    }  # fmt: skip


def _table(comparison: Comparison, anchor: str) -> Table:
    """By rank or by class, as the figure; of many ranks some."""
    points = _by_rank(comparison) if _ranked(comparison) else _by_class(comparison)
    places = sorted({place for of in points.values() for place in of})
    if len(places) > FEW:  # the first, the last, and so many between
        places = [places[round(nth * (len(places) - 1) / FEW)] for nth in range(FEW + 1)]
    word = "rank" if _ranked(comparison) else "class"
    rows = [
        Row(f"{word} {place}", tuple(interval_text(of[place]) if place in of else "" for of in points.values()))
        for place in places
    ]
    columns = tuple(Column(subject.label) for subject in points)
    caption = (
        f"Intra-class variance by {word}, mean over seeds [95 % t interval]; the CSV has every class of every seed."
    )
    return Table(f"{anchor}-numbers", "Numbers of the figure", caption, word, columns, (Group("", tuple(rows)),))


def _csv(comparison: Comparison) -> str:
    def rows() -> Iterator[tuple[Any, ...]]:
        for subject, classes in comparison.class_variances.items():
            for label, of in classes.items():
                for seed, value in of.items():
                    yield subject.label, label, seed, value

    return csv_text(("subject", "class", "seed", "intra_class_variance"), rows())
