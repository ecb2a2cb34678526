"""What a person sees in the terminal. Results go to stdout, everything else to stderr; bars only on a terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

if TYPE_CHECKING:
    from losscope.sweep.drive import Estimate, StudyResult
    from losscope.sweep.plan import Plan

out = Console()
errors = Console(stderr=True)


@contextmanager
def study_progress() -> Iterator[Callable[[Plan], Callable[[str, int, int], None]]]:
    """One bar over all epochs of all units, and one for each unit that runs."""
    bars = Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TextColumn("epochs"),
                    TimeRemainingColumn(), console=errors, disable=not errors.is_terminal, transient=True)

    def begin(plan: Plan) -> Callable[[str, int, int], None]:
        total = sum(unit.cell.protocol.epochs for unit in plan.units if unit.cell.loss.name != "none")
        runs = sum(len(unit.cell.seeds) for unit in plan.units)
        errors.print(f"{runs} runs in {len(plan.units)} groups to do, {plan.finished} runs there already.")
        overall = bars.add_task("study", total=total)
        tasks: dict[str, Any] = {}
        done: dict[str, int] = {}

        def report(name: str, epoch: int, epochs: int) -> None:
            if name not in tasks:
                tasks[name] = bars.add_task(name, total=epochs)
            done[name] = epoch
            bars.update(tasks[name], completed=epoch, visible=epoch < epochs)
            bars.update(overall, completed=sum(done.values()))

        return report

    with bars:
        yield begin


@contextmanager
def download_progress() -> Iterator[Callable[[str, int, int], None]]:
    """One bar for each file."""
    bars = Progress(TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TimeRemainingColumn(),
                    console=errors, disable=not errors.is_terminal, transient=True)
    tasks: dict[str, Any] = {}

    def report(name: str, done: int, total: int) -> None:
        if name not in tasks:
            tasks[name] = bars.add_task(name, total=total or None)
        bars.update(tasks[name], completed=done)

    with bars:
        yield report


def show_plan(estimate: Estimate) -> None:
    """Cells, runs and the estimate of a dry run."""
    table = Table("data set", "protocol", "loss", "variant", "runs", "epochs", "CPU time", title="What would be trained")
    for row in estimate.rows:
        table.add_row(row.dataset, row.protocol, row.loss, row.variant, str(row.runs), str(row.epochs),
                      _duration(row.cpu_seconds))
    out.print(table)
    out.print(f"{estimate.runs} runs to do, {estimate.finished} there already; about {_duration(estimate.wall_seconds)} with "
              f"{estimate.jobs} processes, from one measured step of each.")


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def show_failures(result: StudyResult) -> None:
    """Say which runs failed or diverged, with the last line of their traceback."""
    for record in result.records:
        name = " ".join(part for part in (record.dataset, record.protocol, record.loss, record.variant) if part)
        if record.status == "diverged":
            errors.print(f"{name}, seed {record.seed}: diverged at step {record.diverged_at}; the others are unaffected.")
    reasons = {}
    for record in result.failed:
        reasons.setdefault((record.error or "").strip().splitlines()[-1:][0] if record.error else "unknown", []).append(record)
    for reason, records in reasons.items():
        first = records[0]
        errors.print(f"{len(records)} runs failed, the first of them {first.dataset} {first.protocol} {first.loss} "
                     f"{first.variant}: {reason}\nThe traceback is in failed.json of the group's folder; repeat the command "
                     "to try these runs again.", markup=False, soft_wrap=True)


def measurement_table(rows: Any) -> None:
    """Measurements as text."""
    shown = ("dataset", "protocol", "loss", "variant", "seed", "split", "epoch", "diagnostic", "item", "value")
    table = Table(*shown)
    for row in rows.to_pylist():
        table.add_row(*("" if row[name] is None else f"{row[name]:.6g}" if name == "value" else str(row[name])
                        for name in shown))
    out.print(table)


def data_table(found: Sequence[Mapping[str, Any]]) -> None:
    """What `data check` found."""
    table = Table("data set", "found", "where", "what to do")
    for entry in found:
        table.add_row(entry["name"], "yes" if entry["found"] else "no", str(entry.get("path") or ""), entry.get("advice") or "")
    out.print(table)


def summary_table(folder: Path) -> None:
    """The closing table of a study: losses x the few measures that matter."""
    from losscope.report import summarize, summary_table

    headers, rows = summary_table(summarize([folder]))
    table = Table(*headers)
    for row in rows:
        table.add_row(*row)
    out.print(table)
