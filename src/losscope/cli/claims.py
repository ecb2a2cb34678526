"""`losscope claims`: what holds of what the papers claim."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from losscope.cli.console import print_json
from losscope.cli.options import AsJson


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
    from losscope.cli.ledger import show_ledger

    found = ledger(folders, anytime=anytime)
    print_json(claims_document(found)) if as_json else show_ledger(found, lines=lines)
