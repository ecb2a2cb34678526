"""`losscope merge`: the folders of one study, from several machines, into one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from losscope.cli.console import errors, out, print_json
from losscope.cli.options import AsJson


def merge(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders of one study; seeds may differ.")],
    out_folder: Annotated[Path, typer.Option("--out", help="Folder of the merged record; new, or of the same study.")],
    as_json: AsJson = False,
) -> None:
    """Bring the runs of one study from several folders together. Exit codes: 0 done, 1 some groups are damaged, or
    being trained in the folder of --out, and left out, 2 refused."""
    from losscope.receipts.merging import merge as merged

    found = merged(folders, out_folder)
    if as_json:
        print_json(found.document())
    else:
        told = f"{found.folder}: {found.added} runs added, {found.doubled} there already; {found.runs} in all."
        out.print(told, soft_wrap=True, highlight=False, markup=False)
    for problem in found.damaged:
        errors.print(f"Left out: {problem}", soft_wrap=True, highlight=False, markup=False)
    for group in found.unfinished:
        errors.print(f"Left out, since it has not ended: {group}", soft_wrap=True, highlight=False, markup=False)
    for group in found.busy:
        told = f"Left out, since another process trains it: {group}; repeat this when it has ended"
        errors.print(told, soft_wrap=True, highlight=False, markup=False)
    if found.damaged or found.busy:
        raise typer.Exit(1)
