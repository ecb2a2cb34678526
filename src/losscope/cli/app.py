"""The verbs. Each imports what it needs when it runs, so that `--help` and `report` stay free of torch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from losscope import __version__
from losscope.cli.card import card
from losscope.cli.claims import claims
from losscope.cli.console import errors, out
from losscope.cli.data import app as data_app
from losscope.cli.diagnose import diagnose
from losscope.cli.doctor import doctor
from losscope.cli.listing import list_
from losscope.cli.merge import merge
from losscope.cli.repair import repair
from losscope.cli.report import report
from losscope.cli.rerun import rerun
from losscope.cli.study import study
from losscope.cli.table import table
from losscope.cli.verify import verify
from losscope.errors import LosscopeError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    help="Shows what a metric-learning loss does to embeddings and to training, and tests whether one loss "
    "is really better than another.",
)
VERBS: dict[str, Callable[..., None]] = {
    # train, and read what came out
    "study": study, "report": report, "claims": claims, "table": table,
    # without a study
    "diagnose": diagnose, "doctor": doctor, "card": card, "list": list_,
    # what records need that are kept
    "verify": verify, "rerun": rerun, "merge": merge, "repair": repair,
}  # fmt: skip
for name, verb in VERBS.items():
    app.command(name)(verb)
app.add_typer(data_app, name="data")


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
