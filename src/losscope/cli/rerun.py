"""`losscope rerun`: one recorded run trained anew."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from losscope.cli.console import loading_progress, out, print_json
from losscope.cli.options import AsJson, DataFolder
from losscope.cli.verify import show_checked


def rerun(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A study's folder.")],
    run: Annotated[str, typer.Argument(metavar="RUN", help="Beginning of the run's digest (losscope table DIR).")],
    out_folder: Annotated[
        Path | None, typer.Option("--out", help="Folder of the new record (default: DIR/reruns/DIGEST).")
    ] = None,
    data: DataFolder = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Train one recorded run anew into a folder of its own, and compare every row. Exit codes: 0 the same, 3 different."""
    from losscope.receipts.verifying import rerun as trained_anew

    with loading_progress() as progress:
        checked, place = trained_anew(
            folder, run, out_folder, data=data, device=device, loading=progress, progress=progress
        )
    if as_json:
        print_json({**checked.document(), "folder": str(place)})
    else:
        show_checked(checked)
        out.print(f"Its record: {place}", soft_wrap=True, highlight=False, markup=False)
    if checked.verdict == "different":
        raise typer.Exit(3)
