"""`losscope repair`: damage set aside, and only what was lost trained again."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from losscope.cli.console import out, print_json, study_progress, told_when_interrupted
from losscope.cli.options import AsJson, DataFolder

if TYPE_CHECKING:
    from losscope.receipts.repairing import Repair


def repair(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")],
    data: DataFolder = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(min=1, help="Processes, one thread each (default: cores).")] = None,
    aside_only: Annotated[
        bool, typer.Option("--aside-only", help="Train nothing: losscope study does it, also --on ray or slurm.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Name damaged files, set them aside, and train again only the runs that were lost. Exit codes: 0 whole, 1 not yet."""
    from losscope.receipts.repairing import repair as repaired

    with study_progress() as (loading, progress), told_when_interrupted():
        found = repaired(
            folder,
            data=data,
            device=device,
            jobs=jobs,
            aside_only=aside_only,
            loading=loading,
            progress=progress,
        )
    print_json(found.document()) if as_json else show_repair(found)
    if not found.whole:
        raise typer.Exit(1)


def show_repair(found: Repair) -> None:
    """What was damaged and what became of it, as text."""
    for damage in found.damaged:
        _line(f"[red]damaged[/red]    {escape(damage.problem)}")
    for place, now in found.aside.items():
        _line(f"[yellow]set aside[/yellow]  {escape(str(place))}\n           is now {escape(str(now))}")
    for path in found.rebuilt:
        _line(f"[green]rebuilt[/green]    {escape(str(path))}")
    done = [record for record in found.records if record.status != "failed"]
    if done:
        _line(f"[green]trained[/green]    {len(done)} runs that were lost")
    for text in found.left:
        _line(f"[red]left[/red]       {escape(text)}")
    if not found.damaged:
        _line(f"Nothing is damaged in {escape(str(found.folder))}.")
    elif found.whole:
        _line(f"{escape(str(found.folder))} is whole again.")


def _line(text: str) -> None:
    out.print(text, soft_wrap=True, highlight=False)
