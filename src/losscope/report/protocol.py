"""The protocol in full, what each loss was given, and where the numbers come from, as tables."""

from __future__ import annotations

import json
import shlex
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from losscope.report.tables import Column, Group, Row, Table, heading
from losscope.summary.datasets import about, options
from losscope.summary.formatting import span
from losscope.summary.reading import StudyRecord, protocols
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary


def protocol_table(summary: Summary) -> Table:
    """Every setting of every protocol, under the key that a study file gives it."""
    found = {name: dict(_flat(protocol.decisive())) for name, protocol in protocols(summary.studies).items()}
    keys = list(dict.fromkeys(key for settings in found.values() for key in settings))
    rows = [Row(key, tuple(_value(settings.get(key)) for settings in found.values())) for key in keys]
    caption = "Every setting, under its key in the study file. All losses of a protocol share them."
    columns = tuple(Column(name, words=True) for name in found)
    return Table("protocol", "All settings", caption, "setting", columns, (Group("", tuple(rows)),))


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def data_table(summary: Summary) -> Table:
    """Every data set: how it was split, with which options, and what a reader must know of it."""
    rows = {}
    for part in summary.comparisons:
        classes = ", ".join(f"{split} {count}" for split, count in part.classes.items())
        drawn = "drawn anew by each seed" if part.drawn_per_seed else "the same for every seed"
        cells = (
            part.split_protocol,
            classes,
            drawn,
            options(summary.studies, part.dataset),
            about(summary.studies, part.dataset),
        )
        rows[part.dataset] = Row(part.dataset, cells)
    names = ("split protocol", "classes by split", "data", "options", "what it is")
    columns = tuple(Column(name, words=True) for name in names)
    caption = "What was trained and evaluated on. Protocols may add a class (outliers = class)."
    return Table("data", "Data", caption, "data", columns, (Group("", tuple(rows.values())),))


def losses_table(summary: Summary) -> Table:
    """Hyper-parameters of every loss, and how much training its runs had."""
    groups = [
        Group(heading(part), tuple(_work(part, subject) for subject in part.trained)) for part in summary.comparisons
    ]
    columns = (Column("hyper-parameters", words=True), Column("updates"), Column("terms seen"), Column("samples embedded"),
               Column("runs", "seeds"), Column("CPU seconds, all runs"))  # fmt: skip
    caption = "Counts are per run; samples count with repetition, in training steps only."
    return Table("losses", "What each loss was given", caption, "loss", columns, tuple(groups))


def _work(comparison: Comparison, subject: Subject) -> Row:
    runs = comparison.runs_of(subject)
    settings = ", ".join(f"{key} = {_value(value)}" for key, value in comparison.hyperparameters[subject].items())
    # Runs of one group share its time; a group's runs, of whatever variants, have equal times to the last digit.
    sharing = Counter(run.cpu_seconds for run in comparison.runs)
    seconds = sum(run.cpu_seconds / sharing[run.cpu_seconds] for run in runs)
    counts = (span([getattr(run, name) for run in runs]) for name in ("updates", "terms", "samples"))
    return Row(subject.label, (settings, *counts, str(len(runs)), f"{seconds:,.0f}"), subject)


def studies_table(summary: Summary) -> Table:
    """Where the runs come from: folder, command, machine and packages."""
    facts = [_facts(study) for study in summary.studies]
    rows = tuple(Row(key, tuple(of[key] for of in facts)) for key in facts[0])
    columns = tuple(Column(study.study.name, words=True) for study in summary.studies)
    return Table("studies", "Studies", "Where the runs come from.", "", columns, (Group("", rows),))


def _facts(study: StudyRecord) -> dict[str, str]:
    ended = [run.status for run in study.trained]
    last = (study.manifest.get("invocations") or [{}])[-1]
    packages = [f"{name} {found}" for name, found in last.get("packages", {}).items()]
    versions = [f"losscope {last.get('losscope')}", f"Python {last.get('python')}", *packages] if last else []
    return {
        "folder": study.folder.name,
        "seeds": ", ".join(str(seed) for seed in study.study.seed_list),
        "runs finished": f"{ended.count('done')} of {study.planned}",
        "diverged": str(ended.count("diverged")),
        "failed": str(ended.count("failed")),
        "last command": _command(last.get("command", [])),
        "started": str(last.get("started", "")),
        "machine": ", ".join(str(last[key]) for key in ("platform", "device") if key in last),
        "made with": ", ".join(versions),
    }


def _command(arguments: list[str]) -> str:
    """The command as typed, its program by name only."""
    return shlex.join([PurePath(arguments[0]).name, *arguments[1:]]) if arguments else ""
