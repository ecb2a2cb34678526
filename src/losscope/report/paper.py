"""Tables 1 to 4 of paper A with our measurements beside the printed numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from losscope.report.tables import MEANS, Column, Group, Row, Table, heading
from losscope.summary.datasets import same_data
from losscope.summary.formatting import estimate_text, span
from losscope.summary.measures import BY_KEY
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

LOSSES = ("contrastive", "triplet")
"""The losses that the paper compares."""


@cache
def paper() -> Mapping[str, Any]:
    """What the paper prints."""
    return tomllib.loads((files("losscope.report") / "paper_a.toml").read_text(encoding="utf-8"))


def paper_tables(summary: Summary) -> dict[int, Table]:
    """The four tables by number; data that were not measured keep their printed numbers and say how to measure them."""
    return {entry["number"]: _table(summary, entry) for entry in paper()["table"]}


def has_measurements(table: Table) -> bool:
    """Whether any row is of this report and not only the paper's."""
    return any(row.subject for group in table.groups for row in group.rows)


def _table(summary: Summary, entry: Mapping[str, Any]) -> Table:
    measures = [BY_KEY[key] for key in entry["columns"]]
    printed = [any(part[loss][place] for part in entry["dataset"] for loss in LOSSES) for place in range(len(measures))]
    columns = [
        Column(name, measure.term, measure.label)
        for measure, both in zip(measures, printed, strict=True)
        for name in (("paper", "measured") if both else ("measured",))
    ]
    groups, notes = [], list(entry["notes"])
    for part in entry["dataset"]:
        found = [comparison for comparison in summary.given if same_data(comparison.dataset, part["name"])]
        groups += [_measured(comparison, entry, part, printed) for comparison in found]
        if not found:
            groups.append(_missing(part, printed))
        notes += part.get("notes", []) + (part.get("measured_notes", []) if found else [])
    columns.append(Column("n", "seeds"))
    title = f"Table {entry['number']} of paper A"
    caption = f"{entry['title']} {MEANS}"
    return Table(f"table-{entry['number']}", title, caption, "loss", tuple(columns), tuple(groups), tuple(notes))


def _measured(
    comparison: Comparison, entry: Mapping[str, Any], part: Mapping[str, Any], printed: Sequence[bool]
) -> Group:
    rows = []
    for subject in comparison.subjects:
        estimates = [comparison.get(subject, BY_KEY[key]) for key in entry["columns"]]
        if any(estimates):
            values = part[subject.loss] if subject.loss in LOSSES else [""] * len(printed)
            texts = [estimate_text(estimate, comparison.epochs) for estimate in estimates]
            counts = {estimate.n for estimate in estimates if estimate}
            rows.append(Row(_label(subject), (*_beside(values, texts, printed), span(counts)), subject))
    return Group(heading(comparison, entry["where"]), tuple(rows))


def _label(subject: Subject) -> str:
    """The subject, and for triplet loss what in the paper the variant is."""
    relation = paper()["variants"].get(subject.variant) if subject.loss == "triplet" else None
    return f"{subject.label} ({relation})" if relation else subject.label


def _missing(part: Mapping[str, Any], printed: Sequence[bool]) -> Group:
    """The printed numbers of data that no study in the report has."""
    rows = (Row(loss, (*_beside(part[loss], [""] * len(printed), printed), "")) for loss in LOSSES)
    return Group(f"{part['name']}: not measured in this study; run losscope study {part['study']}", tuple(rows))


def _beside(values: Iterable[str], texts: Iterable[str], printed: Iterable[bool]) -> list[str]:
    """Each measured text, after the printed value where the paper has such a column."""
    cells: list[str] = []
    for value, text, both in zip(values, texts, printed, strict=True):
        cells += [value, text] if both else [text]
    return cells
