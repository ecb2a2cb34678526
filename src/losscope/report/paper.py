"""Tables 1 to 4 of paper A with our measurements beside the printed numbers."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

from losscope.report.formatting import estimate_text
from losscope.report.measures import MEASURES, Measure
from losscope.report.subjects import Subject
from losscope.report.summary import Comparison, Summary
from losscope.report.tables import Column, Group, Row, Table, heading, seeds_text

BY_KEY = {measure.key: measure for measure in MEASURES}
PAPER, OURS = "paper", "measured"


@cache
def paper() -> Mapping[str, Any]:
    """What the paper prints."""
    return tomllib.loads((files("losscope.report") / "paper_a.toml").read_text(encoding="utf-8"))


def paper_tables(summary: Summary) -> list[Table]:
    """The four tables; data that were not measured keep their printed numbers and say how to measure them."""
    return [_table(summary, entry) for entry in paper()["table"]]


def _table(summary: Summary, entry: Mapping[str, Any]) -> Table:
    measures = [BY_KEY[key] for key in entry["columns"]]
    printed = [any(part[loss][place] for part in entry["dataset"] for loss in ("contrastive", "triplet"))
               for place in range(len(measures))]  # fmt: skip
    columns = [Column(name, measure.term, measure.label) for measure, both in zip(measures, printed, strict=True)
               for name in ((PAPER, OURS) if both else (OURS,))]  # fmt: skip
    groups, notes = [], list(entry["notes"])
    for part in entry["dataset"]:
        matching = [
            comparison for comparison in summary.comparisons if _same_data(comparison.dataset, part["name"])
        ]
        for comparison in matching:
            found = [_row(comparison, subject, measures, printed, _printed(part, subject))
                     for subject in comparison.subjects]  # fmt: skip
            groups.append(Group(heading(comparison), tuple(found)))
        if not matching:
            groups.append(_missing(part, printed))
        notes += part.get("notes", [])
    caption = f"Table {entry['number']}. {entry['title']} Mean over seeds with its 95 % t interval."
    return Table(
        f"table-{entry['number']}",
        caption,
        "loss",
        (*columns, Column("n", "seeds")),
        tuple(groups),
        tuple(notes),
    )


def _same_data(dataset: str, name: str) -> bool:
    """Whether `dataset` is the paper's data set, whatever the backbone or split protocol in its name."""
    return dataset == name or dataset.startswith((f"{name}+", f"{name}/"))


def _printed(part: Mapping[str, Any], subject: Subject) -> list[str]:
    empty = [""] * len(part["contrastive"])
    found: list[str] = part.get(subject.loss, empty) if subject.loss in ("contrastive", "triplet") else empty
    return found


def _row(
    comparison: Comparison, subject: Subject, measures: list[Measure], printed: list[bool], values: list[str]
) -> Row:
    estimates = [comparison.get(subject, measure) for measure in measures]
    cells: list[str] = []
    for estimate, both, value in zip(estimates, printed, values, strict=True):
        cells += (
            [value, estimate_text(estimate, comparison.epochs)]
            if both
            else [estimate_text(estimate, comparison.epochs)]
        )
    relation = paper()["variants"].get(subject.variant) if subject.loss == "triplet" else None
    label = f"{subject.label} ({relation})" if relation else subject.label
    return Row(label, (*cells, seeds_text({estimate.n for estimate in estimates if estimate})), subject)


def _missing(part: Mapping[str, Any], printed: list[bool]) -> Group:
    """The printed numbers of data that no study in the report has."""
    found = []
    for loss in ("contrastive", "triplet"):
        cells: list[str] = []
        for both, value in zip(printed, part[loss], strict=True):
            cells += [value, ""] if both else [""]
        found.append(Row(loss, (*cells, "")))
    return Group(
        f"{part['name']}: not measured in this study; run losscope study {part['study']}", tuple(found)
    )
