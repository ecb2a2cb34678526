"""The figures of a diagnosed space: its map, classes, distances, spectrum and hubs."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np

from losscope.report.figures import Figure, Panel, axis, csv_text, plain, short
from losscope.report.figures.plane import CLASS_COLORS, CLASS_SYMBOLS, OTHERS
from losscope.report.space.reading import Record
from losscope.report.space.words import percent, shown
from losscope.report.tables import Column, Group, Row, Table
from losscope.summary.subjects import Subject

POINTS = 4000
HIT, MISS = "#0072B2", "#D55E00"


def figures(record: Record) -> list[Figure]:
    """All figures for which there are numbers."""
    made = (map_figure, classes_figure, distances_figure, spectrum_figure)
    return [figure for make in made if (figure := make(record)) is not None]


def map_figure(record: Record) -> Figure | None:
    """Where are the classes, and where are the queries that fail?"""
    x, y = (record.rows[name].to_numpy() for name in ("x", "y"))
    placed = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(placed):
        return None
    kept = placed[np.unique(np.linspace(0, len(placed) - 1, min(POINTS, len(placed))).astype(int))]
    labels = np.array(record.labels, dtype=object)[kept]
    counts = Counter(label for label in labels if label)
    colored = [label for label, _ in counts.most_common(len(CLASS_COLORS))]
    how = record.document["map"]
    held = [share for share in how["explained"] if share is not None]
    where = f"{how['method']}, {percent(sum(held))} of the variance" if held else how["method"]
    traces = [_dots("other classes", kept[~np.isin(labels, colored)], x, y, record, {"color": OTHERS, "size": 3})]
    traces += [
        _dots(label, kept[labels == label], x, y, record, {"color": color, "symbol": symbol, "size": 5})
        for label, color, symbol in zip(colored, CLASS_COLORS, CLASS_SYMBOLS, strict=False)
    ]
    panels = [Panel(f"The {len(colored)} largest classes", f"Scatter plot of {len(kept):,} rows, {where}.",
                    tuple(trace for trace in traces if trace["x"]), _square(how["method"]))]  # fmt: skip
    asked = kept[record.rows["asked"].to_numpy()[kept]]
    if len(asked):
        hit = np.nan_to_num(record.rows["recall_at_1"].to_numpy().astype(float)[asked]) >= 1
        looks = (("first neighbor is relevant", hit, {"color": HIT, "size": 4, "symbol": "circle"}),
                 ("it is not", ~hit, {"color": MISS, "size": 6, "symbol": "x"}))  # fmt: skip
        panels.append(Panel("Queries that fail (crosses) and those that don't",
                            f"The same plot; {int((~hit).sum()):,} of {len(asked):,} queries fail.",
                            tuple(_dots(name, asked[which], x, y, record, look) for name, which, look in looks if which.any()),
                            _square(how["method"])))  # fmt: skip
    centers = tuple(Row(label, (str(counts[label]), *(shown(float(part[kept][labels == label].mean())) for part in (x, y))))
                    for label in colored)  # fmt: skip
    return Figure(
        "map", "Where are the classes, and where are the queries that fail?", where,
        f"{len(kept):,} of {len(record.rows):,} rows. What two dimensions don't hold is not seen: distances here are no "
        "measurement. Color and symbol are the ten largest classes, gray dots the others.",
        tuple(panels), tuple(Subject("trained", "", "", color, "solid", "circle", label) for label, color in zip(colored, CLASS_COLORS, strict=False)),
        Table("map-numbers", "Numbers of the figure", "The CSV has every point.", "class",
              (Column("points"), Column("mean x"), Column("mean y")), (Group("", centers),)),
        csv_text(("row", "label", "x", "y"), zip(kept.tolist(), labels, short(x[kept]), short(y[kept]), strict=True)),
        look="squares",
    )  # fmt: skip


def _square(method: str) -> dict[str, Any]:
    names = ("first component", "second component") if method == "PCA" else (f"{method} 1", f"{method} 2")
    return {"xaxis": axis(names[0], zeroline=False, constrain="domain"),
            "yaxis": axis(names[1], zeroline=False, scaleanchor="x", scaleratio=1, constrain="domain")}  # fmt: skip


def _dots(
    name: str, rows: np.ndarray, x: np.ndarray, y: np.ndarray, record: Record, look: dict[str, Any]
) -> dict[str, Any]:
    named = "name" in record.rows.column_names
    texts = [
        plain(f"{record.name(row)}: {record.labels[row]}" if named else record.labels[row]) for row in rows.tolist()
    ]
    return {"x": short(x[rows]), "y": short(y[rows]), "mode": "markers", "marker": {**look, "opacity": 0.75},
            "name": plain(name)[:60], "text": texts, "hovertemplate": "%{text}<extra></extra>"}  # fmt: skip


def classes_figure(record: Record) -> Figure | None:
    """Are loose classes the ones that fail?"""
    rows = [row for row in record.per_class if row.get("variance") is not None and row["map_at_r"] is not None]
    if len(rows) < 2:
        return None
    trace = {"x": short(row["variance"] for row in rows), "y": short(row["map_at_r"] for row in rows), "mode": "markers",
             "marker": {"color": HIT, "size": 6, "opacity": 0.7}, "text": [plain(row["label"]) for row in rows],
             "hovertemplate": "%{text}: variance %{x}, MAP@R %{y}<extra></extra>"}  # fmt: skip
    cells = tuple(Row(row["label"], (shown(row["variance"]), shown(row["map_at_r"]))) for row in rows[:50])
    return Figure(
        "class-variance", "Are loose classes the ones that fail?", "", f"{len(rows):,} classes.",
        (Panel("MAP@R by intra-class variance", "Scatter plot with a point for each class.", (trace,),
               {"xaxis": axis("intra-class variance"), "yaxis": axis("MAP@R")}),),
        (), Table("class-variance-numbers", "Numbers of the figure", "At most 50 classes; the CSV has all.", "class",
                  (Column("variance"), Column("MAP@R")), (Group("", cells),)),
        csv_text(("class", "variance", "map_at_r"), ((row["label"], row["variance"], row["map_at_r"]) for row in rows)),
    )  # fmt: skip


def distances_figure(record: Record) -> Figure | None:
    """Are rows of one class nearer to each other than to others?"""
    found = record.geometry.get("overlap")
    if not found or not found.get("edges"):
        return None
    edges = np.array(found["edges"])
    centers = (edges[1:] + edges[:-1]) / 2
    traces, lines = [], []
    for name, key, color, dash in (("same class", "same", HIT, "solid"), ("other class", "other", MISS, "dash")):
        counts = np.array(found[key], dtype=float)
        share = counts / max(counts.sum(), 1)
        traces.append({"x": short(centers), "y": short(share), "mode": "lines", "name": name, "fill": "tozeroy",
                       "line": {"color": color, "dash": dash, "shape": "hvh"}, "fillcolor": f"{color}33"})  # fmt: skip
        lines += [(name, *pair) for pair in zip(centers.tolist(), share.tolist(), strict=True)]
        share_mean = float((centers * share).sum())
        lines.append((f"{name}, mean", share_mean, float("nan")))
    means = tuple(Row(name, (shown(place),)) for name, place, share in lines if share != share)
    return Figure(
        "distances", "Are rows of one class nearer to each other than to others?", "",
        "Shares of pairs by distance. Blue, solid: pairs of one class; orange, dashed: pairs of two.",
        (Panel("Distances of pairs", "Two histograms over distance.", tuple(traces),
               {"xaxis": axis("distance"), "yaxis": axis("share of pairs")}),),
        (), Table("distances-numbers", "Numbers of the figure", "Means of the two; the CSV has the histograms.", "pairs",
                  (Column("mean distance"),), (Group("", means),)),
        csv_text(("pairs", "distance", "share"), [line for line in lines if line[2] == line[2]]),
    )  # fmt: skip


def spectrum_figure(record: Record) -> Figure | None:
    """How many dimensions are in use?"""
    values = record.geometry.get("spectrum", {}).get("singular_values")
    if not values:
        return None
    share = np.array(values, dtype=float) / max(sum(values), 1e-300)
    trace = {"x": list(range(1, len(share) + 1)), "y": short(share), "mode": "lines+markers",
             "marker": {"size": 4, "color": HIT}, "line": {"color": HIT}}  # fmt: skip
    rows = tuple(Row(str(nth), (shown(float(one)),)) for nth, one in enumerate(share[:20], start=1))
    return Figure(
        "spectrum", "How many dimensions are in use?", f"effective rank {shown(record.document['effective_rank'])}",
        "Singular values of the embeddings over their sum, decreasing. A line that falls at once: few directions carry all.",
        (Panel("Singular values", "A decreasing line.", (trace,),
               {"xaxis": axis("component"), "yaxis": axis("share of the sum")}),),
        (), Table("spectrum-numbers", "Numbers of the figure", "The first 20; the CSV has all.", "component",
                  (Column("share"),), (Group("", rows),)),
        csv_text(("component", "share"), enumerate(share.tolist(), start=1)),
    )  # fmt: skip
