"""Tables as plain data, for the page and for Markdown alike."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.report.formatting import ABSENT, estimate_text
from losscope.report.measures import OVERVIEW, Measure
from losscope.report.subjects import Subject
from losscope.report.summary import Comparison, Summary


@dataclass(frozen=True)
class Column:
    """A column; `group` spans neighbors that share it, `term` is an entry of the glossary."""

    label: str
    term: str = ""
    group: str = ""


@dataclass(frozen=True)
class Row:
    """A row with its header; `subject` gives the color."""

    label: str
    cells: tuple[str, ...]
    subject: Subject | None = None


@dataclass(frozen=True)
class Group:
    """Rows under a heading of their own."""

    label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """One table; `head` is the header of the first column, `notes` stand below."""

    anchor: str
    caption: str
    head: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


def overview(summary: Summary) -> Table:
    """Losses x the few measures that matter, raw input and untrained network on top."""
    measures = [measure for measure in OVERVIEW
                if any((subject, measure.key) in comparison.estimates
                       for comparison in summary.comparisons for subject in comparison.subjects)]  # fmt: skip
    groups = tuple(
        Group(heading(comparison), rows(comparison, measures)) for comparison in summary.comparisons
    )
    columns = (
        *(Column(measure.label, measure.term, GROUPS[measure.where]) for measure in measures),
        Column("n", "seeds"),
    )
    return Table(
        "overview",
        "Mean over seeds with its 95 % t interval; n is the number of seeds.",
        "loss",
        columns,
        groups,
    )


GROUPS = {
    "evaluation": "on the evaluation split",
    "train": "on the training split",
    "training": "in training",
}


def heading(comparison: Comparison) -> str:
    """What the numbers of a comparison were measured on."""
    split = f"evaluation on {comparison.evaluation}" if comparison.evaluation else "no evaluation split"
    return f"{comparison.dataset} · protocol {comparison.protocol} · {comparison.epochs} epochs · {split}"


def rows(comparison: Comparison, measures: Sequence[Measure]) -> tuple[Row, ...]:
    """One row for each subject, `n` last."""
    found = []
    for subject in comparison.subjects:
        estimates = [comparison.get(subject, measure) for measure in measures]
        n = {estimate.n for estimate in estimates if estimate}
        if n:
            cells = (estimate_text(estimate, comparison.epochs) for estimate in estimates)
            found.append(Row(subject.label, (*cells, seeds_text(n)), subject))
    return tuple(found)


def seeds_text(counts: set[int]) -> str:
    """The number of seeds behind a row."""
    return "–".join(str(count) for count in sorted({min(counts), max(counts)})) if counts else ABSENT
