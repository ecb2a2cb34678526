"""What a person sees in the terminal. Results go to stdout, everything else to stderr; bars only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column, Table

if TYPE_CHECKING:
    from losscope.sweep.drive import StudyResult
    from losscope.sweep.estimate import Estimate
    from losscope.sweep.plan import Plan
    from losscope.table import RunRecord

out = Console()
errors = Console(stderr=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout."""
    json.dump(document, sys.stdout, indent=1, ensure_ascii=False)
    sys.stdout.write("\n")


LONG = {True: 18, False: 32}
"""Characters of a loss with its variant that stay on one line in a narrow terminal, and in a wide one."""

Report = Callable[[str, int, int], None]
"""Called with what is going on, how much is done, and of how much (0: unknown)."""


@contextmanager
def loading_progress() -> Iterator[Report]:
    """One bar for each thing that is read, computed or downloaded."""
    with _bars() as bars:
        yield _one_bar_each(bars)


@contextmanager
def study_progress() -> Iterator[tuple[Report, Callable[[Plan], Report]]]:
    """Bars for loading data; then one bar over all epochs of all groups, and one for each group that trains."""
    with _bars() as bars:

        def begin(plan: Plan) -> Report:
            groups = [unit for unit in plan.units if unit.cell.loss.name != "none"]
            trained = {unit.folder.name for unit in groups}
            runs = sum(len(unit.cell.seeds) for unit in groups)
            errors.print(f"{runs} runs in {len(groups)} groups to train; {plan.finished} runs were there already.")
            overall = bars.add_task("epochs in all", total=sum(unit.cell.protocol.epochs for unit in groups))
            each, done = _one_bar_each(bars), dict[str, int]()

            def report(name: str, epoch: int, epochs: int) -> None:
                each(name, epoch, epochs)
                if name in trained:  # not what is waited for
                    done[name] = epoch
                bars.update(overall, completed=sum(done.values()))

            return report

        yield _one_bar_each(bars), begin


@contextmanager
def told_when_interrupted() -> Iterator[None]:
    """Say what Ctrl-C leaves behind; the program then ends with exit code 130."""
    try:
        yield
    except KeyboardInterrupt:
        errors.print("Interrupted. The record so far is readable; repeat the command to go on.")
        raise


def _bars() -> Progress:
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        console=errors,
        disable=not errors.is_terminal,
        transient=True,
    )


def _one_bar_each(bars: Progress) -> Report:
    tasks: dict[str, TaskID] = {}

    def report(name: str, done: int, total: int) -> None:
        if name not in tasks:
            if not total and not errors.is_terminal:  # nobody knows how long, and there is no bar to see
                errors.print(name, markup=False, soft_wrap=True, highlight=False)
            tasks[name] = bars.add_task(name, total=total or None)
        bars.update(tasks[name], completed=done, visible=not total or done < total)

    return report


def show_plan(estimate: Estimate) -> None:
    """Cells, runs and the estimate of a dry run."""
    table = Table(
        "data set", "protocol", "loss", "variant", "runs", "epochs", "CPU time", title="What would be trained"
    )
    for row in estimate.rows:
        table.add_row(
            row.dataset,
            row.protocol,
            row.loss,
            row.variant,
            str(row.runs),
            str(row.epochs),
            _duration(row.cpu_seconds),
        )
    out.print(table)
    out.print(
        f"{estimate.runs} runs to do, {estimate.finished} there already; about {_duration(estimate.wall_seconds)} with "
        f"{estimate.jobs} processes, from one measured step of each."
    )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def show_failures(result: StudyResult) -> None:
    """Say which runs failed or diverged, with the last line of their traceback."""
    for record in result.records:
        name = " ".join(part for part in (record.dataset, record.protocol, record.loss, record.variant) if part)
        if record.status == "diverged":
            errors.print(
                f"{name}, seed {record.seed}: diverged at step {record.diverged_at}; the others are unaffected."
            )
    reasons: dict[str, list[RunRecord]] = {}
    for record in result.failed:
        reasons.setdefault((record.error or "unknown").strip().splitlines()[-1], []).append(record)
    for reason, records in reasons.items():
        first = records[0]
        errors.print(
            f"{len(records)} runs failed, the first of them {first.dataset} {first.protocol} {first.loss} "
            f"{first.variant}: {reason}\nThe traceback is in failed.json of the group's folder, if that could be written; repeat the command "
            "to try these runs again.",
            markup=False,
            soft_wrap=True,
        )


def measurement_table(rows: Any) -> None:
    """Measurements as text."""
    shown = (
        "dataset",
        "protocol",
        "loss",
        "variant",
        "seed",
        "split",
        "epoch",
        "diagnostic",
        "item",
        "value",
    )
    table = Table(*shown)
    for row in rows.to_pylist():
        table.add_row(
            *("" if row[name] is None else f"{row[name]:.6g}" if name == "value" else str(row[name]) for name in shown)
        )
    out.print(table)


def data_table(found: Sequence[Mapping[str, Any]]) -> None:
    """What `data check` found."""
    table = Table("data set", "status", "images", "digest", "where, or what to do")
    for entry in found:
        table.add_row(
            entry["name"],
            entry["status"],
            str(entry["images"] or ""),
            entry["digest"],
            escape(entry["advice"] or str(entry["path"])),
        )
    out.print(table)


def show_damage(problems: Iterable[str], what: str = "Left out") -> None:
    """What of a record can't be read, on stderr; "Left out" is what is in no number for it."""
    for problem in problems:
        errors.print(f"[bold]{what}:[/bold] {escape(problem)}", soft_wrap=True, highlight=False)


def summary_table(folder: Path) -> None:
    """The closing table of a study, of what can be read: losses x the few measures that matter."""
    from losscope.report import summary_table
    from losscope.summary import summarize

    headers, rows = summary_table(summarize([folder], tolerant=True))
    narrow = out.width < 120
    tables: list[Table] = []
    for place, *cells in rows:
        if place:  # the first row of a data set and protocol names them
            loss = Column(headers[1], no_wrap=True)  # broken by us: a terminal would cut its longest word
            tables.append(Table(loss, *headers[2:], title=escape(place), title_justify="left", box=box.SIMPLE))
        label, *numbers = cells
        broken = label.replace(" ", "\n  ") if len(label) > LONG[narrow] else label
        tables[-1].add_row(escape(broken), *(cell.replace(" ± ", "\n± ") if narrow else cell for cell in numbers))
    for table in tables:
        out.print(table)
    out.print("Means over n seeds ± half of the 95 % t interval.")
