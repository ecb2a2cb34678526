"""Tables as plain data, for the page and for Markdown alike; the table of the few measures that matter."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.summary.formatting import estimate_text, half_text, span
from losscope.summary.measures import OVERVIEW, TERMINAL, Measure, Where
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary


@dataclass(frozen=True)
class Column:
    """A column; `group` spans neighbors that share it, `term` is an entry of the glossary, `words` are no numbers and a
    `verdict` is a word with a color."""

    label: str
    term: str = ""
    group: str = ""
    words: bool = False
    verdict: bool = False


@dataclass(frozen=True)
class Row:
    """A row with its header; `subject` gives the color."""

    label: str
    cells: tuple[str, ...]
    subject: Subject | None = None


@dataclass(frozen=True)
class Group:
    """Rows under a heading of their own; without a label they just follow."""

    label: str
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Table:
    """One table; `title` says what it is about, `head` is the header of the first column, `notes` stand below."""

    anchor: str
    title: str
    caption: str
    head: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]
    notes: tuple[str, ...] = ()


MEANS = "Mean over seeds [95 % t interval]."
WHERE: dict[Where, str] = {
    "evaluation": "on the evaluation split",
    "train": "on the training split",
    "train_clean": "on the training split under true labels",
    "validation": "on the validation split",
    "training": "in training",
    "probe": "on the common probe",
}


def overview(summary: Summary) -> Table:
    """Losses x the few measures that matter, raw input and untrained network on top."""
    known = {key for comparison in summary.comparisons for _, key in comparison.estimates}
    measures = [measure for measure in OVERVIEW if measure.key in known]
    columns = [Column(measure.label, measure.term, WHERE[measure.where]) for measure in measures]
    return Table(
        "overview",
        "Losses and the few measures that matter",
        f"{MEANS} A raw input without interval is the same for every seed.",
        "loss",
        (*columns, Column("n", "seeds")),
        tuple(Group(heading(part), measured(part, measures)) for part in summary.comparisons),
    )


def heading(comparison: Comparison, where: Where = "evaluation") -> str:
    """What the numbers of a comparison were measured on."""
    parts = [comparison.dataset, f"protocol {comparison.protocol}", f"{comparison.epochs} epochs"]
    parts += ["labels shuffled"] if comparison.shuffled else []
    split = {"evaluation": comparison.evaluation, "training": None, "probe": None}.get(where, where)
    if split:
        made = comparison.split_protocol
        how = f" ({made})" if made and f"/{made}" not in comparison.dataset else ""
        parts.append(f"split {split}{how}, {comparison.classes.get(split, 0)} classes")
    return " · ".join(parts)


def measured(comparison: Comparison, measures: Sequence[Measure]) -> tuple[Row, ...]:
    """One row for each subject that has any of the measures, the number of seeds last."""
    rows = []
    for subject in comparison.subjects:
        estimates = [comparison.get(subject, measure) for measure in measures]
        counts = {estimate.n for estimate in estimates if estimate}
        if counts:
            cells = (estimate_text(estimate, comparison.epochs) for estimate in estimates)
            rows.append(Row(subject.label, (*cells, span(counts)), subject))
    return tuple(rows)


def terminal(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """The overview for a terminal of 120 columns: headers and rows."""
    found = []
    for comparison in summary.comparisons:
        place = f"{comparison.dataset}, {comparison.protocol}"
        for subject in comparison.subjects:
            estimates = [comparison.get(subject, measure) for measure in TERMINAL.values()]
            if any(estimates):
                texts = [
                    half_text(estimate.interval) if estimate and estimate.interval else "" for estimate in estimates
                ]
                counts = {estimate.n for estimate in estimates if estimate}
                found.append([place, subject.label, *texts, span(counts)])
                place = ""
    return ["data, protocol", "loss", *TERMINAL, "n"], found
