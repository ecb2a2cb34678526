"""The verbs. Each imports what it needs when it runs, so that `--help` and `report` stay free of torch."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from losscope import __version__
from losscope.cli.console import (
    errors,
    loading_progress,
    measurement_table,
    out,
    print_json,
    show_damage,
    show_failures,
    show_plan,
    study_progress,
    summary_table,
    told_when_interrupted,
)
from losscope.cli.data import app as data_app
from losscope.cli.diagnose import diagnose
from losscope.cli.doctor import doctor
from losscope.cli.merge import merge
from losscope.cli.options import AsJson, DataFolder
from losscope.cli.repair import repair
from losscope.cli.rerun import rerun
from losscope.cli.verify import verify
from losscope.errors import InvalidInput, LosscopeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Shows what a metric-learning loss does to embeddings and to training, and tests whether one loss "
    "is really better than another.",
)
app.add_typer(data_app, name="data")
app.command()(diagnose)
app.command()(doctor)
app.command()(verify)
app.command()(rerun)
app.command()(merge)
app.command()(repair)


@app.command()
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
    if dry_run:
        with loading_progress() as loading:
            estimate = drive.estimate(loaded, out_folder, data=data, device=device, jobs=jobs, loading=loading)
        print_json(estimate.document()) if as_json else show_plan(estimate)
        return
    with study_progress() as (loading, progress), told_when_interrupted():
        result = drive.run(
            loaded, out_folder, data=data, device=device, jobs=jobs, on=on, ray_address=ray_address,  # type: ignore[arg-type]
            cpus_per_cell=cpus_per_cell, gpus_per_cell=gpus_per_cell, slurm=_parameters(slurm or []), wait=wait,
            loading=loading, progress=progress,
        )  # fmt: skip
    show_failures(result)
    from losscope.report import write_report
    from losscope.table import damaged_groups

    damaged = damaged_groups(out_folder)
    show_damage(damaged.values())
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
                "damaged": list(damaged.values()),
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


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="One or more studies' folders.")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder for the report (default: the first DIR).")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write report.html and report.md from records, also of a study that is still running."""
    from losscope.report import write_report

    html, markdown = write_report(folders, out_folder)
    if as_json:
        print_json({"report": str(html), "markdown": str(markdown)})
    else:
        out.print(f"{html}\n{markdown}", soft_wrap=True, highlight=False)


@app.command()
def claims(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="One or more studies' folders.")],
    lines: Annotated[bool, typer.Option("--lines", help="Every contrast that a verdict rests on.")] = False,
    anytime: Annotated[
        bool, typer.Option("--anytime", help="Stay valid where seeds were added after looking; intervals are wider.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Judge the claims of the literature on records: what holds, what doesn't, what it depends on, and what nobody can tell."""
    from losscope.claims import ledger
    from losscope.claims.document import claims_document
    from losscope.cli.claims import show_ledger

    found = ledger(folders, anytime=anytime)
    print_json(claims_document(found)) if as_json else show_ledger(found, lines=lines)


@app.command()
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


@app.command("list")
def list_(
    what: Annotated[
        str, typer.Argument(help="losses, diagnostics, data, models, studies or checks (default: all).")
    ] = "all",
    as_json: AsJson = False,
) -> None:
    """List what there is: losses, diagnostics, data sets, models, studies, checks."""
    from losscope.cli.listing import KINDS, listing

    entries = listing(what)
    if as_json:
        print_json(entries if what == "all" else entries[what])
        return
    for kind in KINDS:
        if kind in entries:
            out.print(f"[bold]{kind}[/bold]")
            for entry in entries[kind]:
                out.print(f"  {entry['name']:<38}{entry['summary']}", highlight=False, markup=False, soft_wrap=True)


@app.command()
def card(
    name: Annotated[str, typer.Argument(help="A loss (losscope list losses).")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Set a hyper-parameter, e.g. margin=0.5.")
    ] = None,
    classes: Annotated[int, typer.Option(help="Classes in training.")] = 10,
    per_class: Annotated[int, typer.Option(help="Samples of a class in a batch.")] = 5,
    batch_classes: Annotated[int | None, typer.Option(help="Classes in a batch (default: all).")] = None,
    one_tuple: Annotated[
        bool, typer.Option("--one-tuple", help="One positive for each anchor, not all of the batch.")
    ] = False,
    dim: Annotated[int | None, typer.Option(help="Embedding dimension, for the value of random embeddings.")] = None,
    as_json: AsJson = False,
) -> None:
    """Print a loss card: equation, floor, collapse, gradients, and what other libraries compute under the name."""
    from losscope.cards import Composition
    from losscope.cards import card as card_of
    from losscope.cards.document import document
    from losscope.cli.card import show_card
    from losscope.studies import apply

    given: dict[str, Any] = {}
    for setting in settings or []:
        apply(given, setting)
    found = card_of(name, **given)
    batch = Composition(classes, per_class, batch_classes, "one_tuple" if one_tuple else "all_in_batch")
    if as_json:
        print_json(document(found, dim=dim, **batch.shape))
    else:
        show_card(found, batch, dim)


def _parameters(settings: list[str]) -> dict[str, Any]:
    """The values of --slurm by name."""
    from losscope.studies import apply

    given: dict[str, Any] = {}
    for setting in settings:
        if "=" not in setting:
            raise InvalidInput(f"--slurm {setting!r}: expected KEY=VALUE, for example --slurm partition=gpu")
        apply(given, setting)
    return given


def _version(wanted: bool) -> None:
    if wanted:
        out.print(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Options of the program itself."""


def main() -> None:
    """Run the command line. Exit codes: 0 done, 1 failed, 2 usage or bad input, 3 asked for and found, 130 interrupted."""
    try:
        app()
    except LosscopeError as error:
        errors.print(f"[bold red]Error:[/bold red] {_escaped(str(error))}", soft_wrap=True, highlight=False)
        sys.exit(2)
    except OSError as error:
        place = f" ({error.filename})" if error.filename else ""
        errors.print(
            f"[bold red]Error:[/bold red] {_escaped(str(error.strerror or error) + place)}. What was recorded "
            "so far is kept; make room or mend the path, and repeat the command.",
            soft_wrap=True,
        )
        sys.exit(1)


def _escaped(text: str) -> str:
    from rich.markup import escape

    return escape(text)
