"""The verbs of `losscope data`: what is there, and how to get what is not."""

from __future__ import annotations

from typing import Annotated

import typer

from losscope.cli.console import data_table, loading_progress, out, print_json
from losscope.cli.options import AsJson, DataFolder
from losscope.errors import InvalidInput

app = typer.Typer(no_args_is_help=True, help="Local data sets: what is there, and how to get what is not.")


@app.command("check")
def data_check(data: DataFolder = None, as_json: AsJson = False) -> None:
    """Say which local data sets are found, where, and how to get the others."""
    from losscope.data.inventory import describe

    found = describe(data)
    if as_json:
        print_json(found)
    else:
        data_table(found)


@app.command("fetch")
def data_fetch(
    name: Annotated[
        str,
        typer.Argument(
            metavar="NAME|FILE",
            help="mnist or fashion_mnist; or, with --url and --sha256, the path of any file inside the data folder.",
        ),
    ],
    url: Annotated[str | None, typer.Option(help="Another mirror's folder, or the file's address.")] = None,
    sha256: Annotated[str | None, typer.Option(help="Digest that the file must have.")] = None,
    data: DataFolder = None,
    as_json: AsJson = False,
) -> None:
    """Download a data set, or one file, into the data folder. Only what has the expected digest is kept."""
    from losscope.data.fetch import fetch, fetch_dataset
    from losscope.data.folders import data_folder

    folder = data_folder(data)
    if folder is None:
        raise InvalidInput("there is no data folder to fetch to; give one with --data or set LOSSCOPE_DATA")
    if sha256 and not url:
        raise InvalidInput("--sha256 goes with --url: the address of the file that has this digest")
    with loading_progress() as progress:
        paths = (
            [fetch(url, folder / name, sha256, progress=progress)]
            if url and sha256
            else fetch_dataset(name, folder=folder, url=url, progress=progress)
        )
    if as_json:
        print_json([str(path) for path in paths])
    else:
        for path in paths:
            out.print(str(path), soft_wrap=True, highlight=False)
