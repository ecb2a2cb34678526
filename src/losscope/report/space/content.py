"""What the page of a diagnosed space shows, in order."""

from __future__ import annotations

import base64
import csv
import io
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from losscope.report.figures import Figure
from losscope.report.space import tables
from losscope.report.space.answers import answers
from losscope.report.space.figures import figures
from losscope.report.space.reading import Record
from losscope.report.space.words import shown
from losscope.report.tables import Table

NEIGHBORS = 5


@dataclass(frozen=True)
class Item:
    """One row as a person recognizes it: its name, label, picture (an address, or empty), and what is said of it."""

    name: str
    label: str
    picture: str
    says: str = ""
    relevant: bool = True


@dataclass(frozen=True)
class Failure:
    """A query and the neighbors that it found."""

    query: Item
    neighbors: tuple[Item, ...]


@dataclass(frozen=True)
class SpaceContent:
    """All parts of the page."""

    title: str
    facts: str
    notes: tuple[str, ...]
    answers: tuple[tuple[str, str], ...]
    differences: Table | None
    changed: Table | None
    better: tuple[Item, ...]
    worse: tuple[Item, ...]
    similarity_of_spaces: str
    measures: Table
    classes: Table
    classes_csv: str
    geometry: Table | None
    verification: Table | None
    failures: tuple[Failure, ...]
    suspects: Table | None
    duplicates: Table | None
    figures: tuple[Figure, ...]
    glossary: Mapping[str, Mapping[str, str]]

    def figure(self, anchor: str) -> Figure | None:
        """The figure of that name, where there are numbers for it."""
        return next((figure for figure in self.figures if figure.anchor == anchor), None)


def content(record: Record) -> SpaceContent:
    """Every part, computed from the record."""
    document = record.document
    comparison = document["comparison"]
    return SpaceContent(
        title=document["source"]["embeddings"],
        facts=f"{document['n']:,} rows of {document['dim']:,} dimensions ({document['source']['dtype']}), "
        f"{document['classes']:,} classes, {document['similarity']}"
        + (
            f"; gallery {document['gallery']['source']}, {document['gallery']['n']:,} rows"
            if document["gallery"]
            else ""
        ),
        notes=tuple(document["notes"]),
        answers=tuple(answers(document)),
        differences=tables.differences_table(record),
        changed=tables.changed_classes_table(record),
        better=_changed(record, comparison, "better"),
        worse=_changed(record, comparison, "worse"),
        similarity_of_spaces=_alike(comparison),
        measures=tables.measures_table(record),
        classes=tables.classes_table(record),
        classes_csv=_classes_csv(record),
        geometry=tables.geometry_table(record),
        verification=tables.verification_table(record),
        failures=tuple(_failure(record, one) for one in document["failures"]),
        suspects=tables.suspects_table(record),
        duplicates=tables.duplicates_table(record),
        figures=tuple(figures(record)),
        glossary=_glossary(),
    )


def _glossary() -> Mapping[str, Mapping[str, str]]:
    return tomllib.loads((files("losscope.report.space") / "glossary.toml").read_text(encoding="utf-8"))


def _failure(record: Record, found: Mapping[str, Any]) -> Failure:
    own = record.document["gallery"] is None
    neighbors = tuple(
        Item(
            record.name(one["row"]) if own else f"gallery row {one['row']}",
            one["label"] or "no class",
            _picture(record, one["row"]) if own else "",
            f"distance {shown(one['distance'])}",
            one["relevant"],
        )
        for one in found["neighbors"][:NEIGHBORS]
    )
    query = Item(
        record.name(found["row"]), found["label"], _picture(record, found["row"]), f"MAP@R {shown(found['map_at_r'])}"
    )
    return Failure(query, neighbors)


def _changed(record: Record, comparison: Mapping[str, Any] | None, side: str) -> tuple[Item, ...]:
    return tuple(
        Item(record.name(one["row"]), record.labels[one["row"]], _picture(record, one["row"]),
             f"MAP@R {shown(one['other'])} → {shown(one['this'])}")
        for one in (comparison[side] if comparison else [])
    )  # fmt: skip


def _alike(comparison: Mapping[str, Any] | None) -> str:
    if not comparison:
        return ""
    overlap = comparison["neighborhood_overlap"]
    return (
        f"Linear CKA {shown(comparison['cka'])} (unbiased {shown(comparison['cka_unbiased'])}): 1 if one space is the other "
        f"rotated and scaled. {shown(overlap['value'])} of a row's nearest neighbors are the same in both."
    )


def _picture(record: Record, row: int) -> str:
    found = record.picture(row)
    return "" if found is None else f"data:image/jpeg;base64,{base64.b64encode(found).decode('ascii')}"


def _classes_csv(record: Record) -> str:
    lines = io.StringIO()
    if record.per_class:
        writer = csv.DictWriter(lines, list(record.per_class[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(record.per_class)
    return lines.getvalue()
