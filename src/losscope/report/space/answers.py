"""The first screen in words: how good, where it fails, whether it collapses, and against another space."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losscope.report.space.words import estimate, percent, shown, title

LEAST_QUERIES = 2
"""Of a class, to be called best or worst."""


def answers(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Questions and answers, the most important first."""
    found = [("How good is it?", _good(document))]
    if document["comparison"]:
        found.insert(0, ("Better or worse?", _compared(document["comparison"])))
    found += [("Where does it fail?", _fails(document)), ("Does it collapse?", _collapses(document))]
    return found


def _good(document: Mapping[str, Any]) -> str:
    first = next(iter(document["recall_at_k"]))
    intervals, asked = document["intervals"], document["queries"]
    recall = intervals[f"recall_at_{first}"]
    many = f"{asked['asked']:,} queries" + ("" if asked["exact"] else f", a sample of {asked['of']:,}")
    said = (
        f"{title(f'recall_at_{first}')} is {estimate(recall)} and MAP@R {estimate(intervals['map_at_r'])} over {many} "
        f"in {document['classes']:,} classes."
    )
    if document["reverse"]:
        back = document["reverse"]["intervals"]
        said += f" From gallery to queries {title(f'recall_at_{first}')} is {estimate(back[f'recall_at_{first}'])}."
    return said


def _fails(document: Mapping[str, Any]) -> str:
    asked = [row for row in document["per_class"] if row["queries"] >= LEAST_QUERIES]
    parts = []
    if asked:
        worst = sorted(asked, key=lambda row: row["map_at_r"])[:3]
        listed = ", ".join(f"{row['label']} ({shown(row['map_at_r'])})" for row in worst)
        never = sum(row["recall_at_1"] == 0 for row in asked)
        parts.append(f"Lowest MAP@R by class: {listed}.")
        if never:
            parts.append(f"{never:,} classes never find one of their own first.")
    doubts = document["geometry"].get("suspects")
    if doubts and doubts["total"]:
        parts.append(f"{doubts['total']:,} labels are suspects, that of row {doubts['rows'][0]['row']} first.")
    twins = document["geometry"].get("duplicates")
    if twins and twins["across_total"]:
        parts.append(f"{twins['across_total']:,} near-duplicate pairs have different classes.")
    return " ".join(parts) or "No class has two queries."


def _collapses(document: Mapping[str, Any]) -> str:
    rank = f"Effective rank {shown(document['effective_rank'])} of {document['dim']}"
    spread = f"mean intra-class variance {shown(document['intra_class_variance_mean'])}"
    alarm = document["geometry"].get("alarm")
    if alarm is None:
        return f"{rank}; {spread}."
    if alarm["kind"] == "none":
        return f"No sign of it. {rank}; {spread}."
    return f"Yes, {alarm['kind']}: {' '.join(alarm['evidence'])} {rank}."


def _compared(comparison: Mapping[str, Any]) -> str:
    found = comparison["differences"]["map_at_r"]
    low, high = found["low"], found["high"]
    if low is None:
        word = "Can't tell with one class"
    elif low > 0:
        word = "Better"
    elif high < 0:
        word = "Worse"
    else:
        word = "No difference that other classes would be sure to show"
    total = comparison["queries_better"] + comparison["queries_worse"] + comparison["queries_equal"]
    return (
        f"{word}: MAP@R differs by {estimate(found, signed=True)} from {comparison['source']}. "
        f"{percent(comparison['queries_better'] / total)} of the queries got better, "
        f"{percent(comparison['queries_worse'] / total)} worse."
    )
