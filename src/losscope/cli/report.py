"""`losscope report`: a page from records."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from losscope.cli.console import out, print_json
from losscope.cli.options import AsJson


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
