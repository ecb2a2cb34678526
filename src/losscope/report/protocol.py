"""The protocol in full, what each loss was given, and where the numbers come from, as tables."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from typing import Any

from losscope.report.subjects import Subject
from losscope.report.summary import Comparison, Summary
from losscope.report.tables import Column, Group, Row, Table, heading, span


def protocol_table(summary: Summary) -> Table:
    """Every setting of every protocol, under the key that a study file gives it."""
    protocols = {
        study.renamed.get(protocol.name, protocol.name): dict(_flat(protocol.decisive()))
        for study in summary.studies
        for protocol in study.study.protocol
    }
    keys = list(dict.fromkeys(key for settings in protocols.values() for key in settings))
    rows = [Row(key, tuple(_value(settings.get(key)) for settings in protocols.values())) for key in keys]
    return Table("protocol", "Every setting, under its key in the study file. All losses of a protocol share them.",
                 "setting", tuple(Column(name) for name in protocols), (Group("", tuple(rows)),))  # fmt: skip


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def losses_table(summary: Summary) -> Table:
    """Hyper-parameters of every loss, and how much training its runs had."""
    groups = [
        Group(heading(part), tuple(_work(summary, part, subject) for subject in part.trained))
        for part in summary.comparisons
    ]
    columns = (Column("hyper-parameters"), Column("updates"), Column("terms seen"), Column("samples embedded"),
               Column("runs", "seeds"), Column("CPU seconds, all runs"))  # fmt: skip
    caption = "What each loss was given. Counts are per run; samples count with repetition, in training steps only."
    return Table("losses", caption, "loss", columns, tuple(groups))


def _work(summary: Summary, comparison: Comparison, subject: Subject) -> Row:
    runs = comparison.runs_of(subject)
    settings = ", ".join(f"{key} = {_value(value)}" for key, value in summary.hyperparameters(subject).items())
    # Runs of one group share its time; a group's runs have equal times to the last digit.
    seconds = sum({run.cpu_seconds for run in runs})
    counts = (span([getattr(run, name) for run in runs]) for name in ("updates", "terms", "samples"))
    return Row(subject.label, (settings, *counts, str(len(runs)), f"{seconds:,.0f}"), subject)


def studies_table(summary: Summary) -> Table:
    """Where the runs come from: folder, command, machine and packages."""
    rows = []
    for study in summary.studies:
        count = {
            status: sum(run.status == status for run in study.trained) for status in ("done", "diverged", "failed")
        }
        last = (study.manifest.get("invocations") or [{}])[-1]
        packages = ", ".join(f"{name} {found}" for name, found in last.get("packages", {}).items())
        made_with = f"losscope {last.get('losscope', '?')}, Python {last.get('python', '?')}, {packages}"
        rows.append(
            Row(
                study.study.name,
                (
                    study.folder.name,
                    f"{count['done']} of {study.planned}",
                    f"{count['diverged']}, {count['failed']}",
                    _command(last.get("command", [])),
                    str(last.get("started", "")),
                    f"{last.get('platform', '?')}, device {last.get('device', '?')}",
                    made_with,
                ),
            )
        )
    columns = tuple(Column(name) for name in ("folder", "runs finished", "diverged, failed", "last command",
                                              "started", "machine", "made with"))  # fmt: skip
    return Table("studies", "Where the runs come from.", "study", columns, (Group("", tuple(rows)),))


def _command(arguments: list[str]) -> str:
    """The command as typed, its program by name only: where it is installed is nobody's business."""
    return shlex.join([PurePath(arguments[0]).name, *arguments[1:]]) if arguments else ""
