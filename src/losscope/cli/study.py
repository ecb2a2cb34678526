"""`losscope study`: train, measure, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from losscope.cli.console import (
    errors,
    loading_progress,
    out,
    print_json,
    show_damage,
    show_failures,
    show_plan,
    study_progress,
    summary_table,
    told_when_interrupted,
)
from losscope.cli.options import AsJson, DataFolder
from losscope.errors import InvalidInput


def study(
    name: Annotated[str, typer.Argument(metavar="NAME|FILE", help="A shipped study (losscope list) or a TOML file.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the record; resumed if it is there.")],
    seeds: Annotated[int | None, typer.Option(min=1, help="Number of paired seeds.")] = None,
    epochs: Annotated[int | None, typer.Option(min=1, help="Epochs of every protocol.")] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set any key of the study, e.g. protocol.batch.terms=32.",
        ),
    ] = None,
    data: DataFolder = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    jobs: Annotated[int | None, typer.Option(min=1, help="Cells at a time, one thread each (default: cores).")] = None,
    on: Annotated[str, typer.Option(metavar="ENGINE", help="Where cells run: local, ray or slurm.")] = "local",
    ray_address: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="A cluster of Ray: auto, HOST:PORT or ray://HOST:PORT.")
    ] = None,
    cpus_per_cell: Annotated[
        float | None, typer.Option(metavar="N", help="CPUs that a cell takes on Ray or Slurm (default: 1).")
    ] = None,
    gpus_per_cell: Annotated[
        float | None, typer.Option(metavar="N", help="GPUs, on Ray fractions too (default: 1 with --device cuda).")
    ] = None,
    slurm: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="A parameter of the jobs, e.g. partition=gpu or timeout_min=120."),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another losscope that works on --out.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print cells, runs and a time estimate; train nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Train losses under identical settings, measure them, and write the report. Interrupt and repeat at will."""
    from losscope.studies import load
    from losscope.sweep import drive

    chosen = [
        *([f"seeds={seeds}"] if seeds else []),
        *([f"protocol.epochs={epochs}"] if epochs else []),
        *(settings or []),
    ]
    loaded = load(name, chosen)
    where: dict[str, Any] = {
        "data": data, "device": device, "jobs": jobs, "on": on, "ray_address": ray_address,
        "cpus_per_cell": cpus_per_cell, "gpus_per_cell": gpus_per_cell, "slurm": _parameters(slurm or []),
    }  # fmt: skip
    if dry_run:
        with loading_progress() as loading:
            estimate = drive.estimate(loaded, out_folder, **where, loading=loading)
        print_json(estimate.document()) if as_json else show_plan(estimate)
        return
    with study_progress() as (loading, progress), told_when_interrupted():
        result = drive.run(loaded, out_folder, **where, wait=wait, loading=loading, progress=progress)
    show_failures(result)
    from losscope.report import write_report
    from losscope.table import damage_in
    from losscope.table.inspecting import REPORTED

    damaged = damage_in(out_folder)
    show_damage(one.problem for one in damaged if one.file.name in REPORTED)
    show_damage((one.problem for one in damaged if one.file.name not in REPORTED), "Damaged, though in no number here")
    try:
        html, markdown = write_report(out_folder)
    except InvalidInput as error:
        if not result.failed:
            raise
        errors.print(f"The report was not written: {error}", markup=False, soft_wrap=True)
        raise typer.Exit(1) from None
    if as_json:
        print_json(
            {
                "folder": str(out_folder),
                "report": str(html),
                "markdown": str(markdown),
                "runs": len(result.records),
                "finished_before": result.finished_before,
                "failed": len(result.failed),
                "diverged": sum(record.status == "diverged" for record in result.records),
                "damaged": [one.problem for one in damaged],
            }
        )
    else:
        summary_table(out_folder)
        out.print(
            f"Report: {html}\nAgain:  {' '.join(['losscope', *sys.argv[1:]])}",
            soft_wrap=True,
            highlight=False,
        )
    if result.failed or damaged:
        raise typer.Exit(1)


def _parameters(settings: list[str]) -> dict[str, Any]:
    """The values of --slurm by name."""
    from losscope.studies import apply

    given: dict[str, Any] = {}
    for setting in settings:
        if not setting.partition("=")[0].strip() or "=" not in setting:
            raise InvalidInput(f"--slurm {setting!r}: expected KEY=VALUE, for example --slurm partition=gpu")
        apply(given, setting)
    return given
