"""`losscope verify`: does this folder hold what its study gives?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from losscope.cli.console import loading_progress, out, print_json
from losscope.cli.options import AsJson, DataFolder

if TYPE_CHECKING:
    from losscope.receipts.comparing import Difference
    from losscope.receipts.receipt import Checked, Verification

SHOWN = 5
"""Diagnostics of a run that are shown when they differ; --json has all."""

MARKS = {"identical": "green", "within": "yellow", "similar": "yellow", "different": "red", "not recomputed": "yellow"}


def verify(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")],
    runs: Annotated[int, typer.Option(min=1, help="Runs to recompute, of as many cells as there are.")] = 3,
    seed: Annotated[int, typer.Option(help="Draws the sample: the same runs on every machine.")] = 0,
    exact: Annotated[bool, typer.Option("--exact", help="Fail on anything but the same bits.")] = False,
    data: DataFolder = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Recompute a sample of recorded runs and compare every row. Exit codes: 0 passed, 3 failed, 2 nothing recomputed."""
    from losscope.receipts.verifying import verify as verified

    with loading_progress() as progress:
        found = verified(
            folder, runs=runs, seed=seed, exact=exact, data=data, device=device, loading=progress, progress=progress
        )
    print_json(found.document()) if as_json else show_verification(found)
    if found.outcome != "passed":
        raise typer.Exit(3 if found.outcome == "failed" else 2)


def show_verification(found: Verification) -> None:
    """The receipt as text."""
    _line(
        f"{found.folder}: {len(found.checked)} of {found.ended} runs, drawn by seed {found.seed}, each trained alone."
    )
    for one in found.checked:
        show_checked(one)
    for problem in found.damaged:
        _line(f"[red]damaged[/red]  {escape(problem)}")
    counted = [(name, sum(one.verdict == name for one in found.checked)) for name in MARKS]
    told = ", ".join(f"{count} {name}" for name, count in counted if count)
    color = "green" if found.outcome == "passed" else "red"
    _line(
        f"[bold {color}]{found.outcome.upper()}[/bold {color}]: {told or 'no run'}; {len(found.damaged)} files damaged."
    )


def show_checked(one: Checked) -> None:
    """One run: how it compares, where it was trained, and what differs most."""
    color = MARKS[one.verdict]
    _line(f"[{color}]{one.verdict}[/{color}]  {escape(str(one.run))}")
    if one.reason is not None:
        _line(f"    {escape(one.reason)}")
        return
    rows, same = (sum(getattr(part, name) for part in one.differences) for name in ("rows", "identical"))
    _line(
        f"    {same:,} of {rows:,} rows of {len(one.differences)} diagnostics have the same bits; {one.seconds:.1f} s"
    )
    for part in one.largest[:SHOWN]:
        _line(f"    {escape(_told(part))}")
    if len(one.largest) > SHOWN:
        _line(f"    and {len(one.largest) - SHOWN} diagnostics more (--json has all)")
    if len(one.recorded_environments) > 1:
        _line(f"    trained in one or several of {len(one.recorded_environments)} recorded environments")
    for change in one.changes:
        _line(f"    {escape(str(change))}")
    if one.same_bits_expected and one.verdict != "identical":
        _line("    the environment is the recorded one, so the same bits were to be expected")


def _told(part: Difference) -> str:
    """The row of a diagnostic that differs most."""
    name = " ".join(filter(None, [part.kind, part.split, part.diagnostic]))
    if part.verdict == "unrecorded":
        return f"{name}: {part.rows:,} rows are not in the record; this code measures them since"
    counts = f"{name}: {part.rows - part.identical:,} of {part.rows:,} rows differ"
    lost = [
        f"{count:,} {side}"
        for count, side in ((part.missing, "only recorded"), (part.extra, "only recomputed"))
        if count
    ]
    if (worst := part.worst) is None:
        return ", ".join([counts, *lost])
    where = [
        f"epoch {worst.epoch}",
        *(f"{key} {value}" for key, value in (("step", worst.step), ("item", worst.item)) if value is not None),
    ]
    share = f" ({worst.difference / worst.spread:.2g} of the spread)" if worst.spread else ""
    return (
        f"{', '.join([counts, *lost])}; {part.beyond:,} beyond tolerance; most at {', '.join(where)}: {_number(worst.recorded)} "
        f"recorded, {_number(worst.recomputed)} recomputed, difference {worst.difference:.3g}{share}"
    )


def _number(value: float | None) -> str:
    return "none" if value is None else f"{value:.9g}"


def _line(text: str) -> None:
    out.print(text, soft_wrap=True, highlight=False)
