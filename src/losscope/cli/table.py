"""`losscope table`: the rows of a record."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from losscope.cli.console import measurement_table, print_json, show_damage
from losscope.errors import InvalidInput


def table(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")],
    format: Annotated[str, typer.Option(help="json, csv or text.")] = "text",
    diagnostic: Annotated[str | None, typer.Option(help="Only this diagnostic.")] = None,
    split: Annotated[str | None, typer.Option(help="Only this split.")] = None,
    epoch: Annotated[str | None, typer.Option(help="A number, or last.")] = None,
    steps: Annotated[bool, typer.Option("--steps", help="Step rows instead of epoch rows.")] = False,
) -> None:
    """Print measurements: one row each, columns run, dataset, protocol, loss, variant, seed, split, epoch, ..."""
    from losscope.table import damaged_groups, read_measurements, select

    if format not in ("json", "csv", "text"):
        raise InvalidInput(f"--format {format}; expected json, csv or text")
    if epoch is not None and epoch != "last" and not epoch.isdigit():
        raise InvalidInput(f"--epoch {epoch}; expected a number or last")
    names = ("steps.parquet", "steps.jsonl") if steps else ("measurements.parquet", "epochs.jsonl")
    damaged = damaged_groups(folder, ("group.json", "runs.json", *names))
    show_damage(damaged.values())
    rows = select(
        read_measurements(folder, steps=steps, without=damaged),
        diagnostic=diagnostic,
        split=split,
        epoch="last" if epoch == "last" else int(epoch) if epoch else None,
    )
    if format == "json":
        print_json(rows.to_pylist())
    elif format == "csv":
        import pyarrow.csv

        pyarrow.csv.write_csv(rows, sys.stdout.buffer)
    else:
        measurement_table(rows)
    if damaged:
        raise typer.Exit(1)
