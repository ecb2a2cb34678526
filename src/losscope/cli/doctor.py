"""`losscope doctor`: a training set-up in, named findings out, before the first step."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape

from losscope.cli.console import out, print_json
from losscope.cli.options import AsJson

if TYPE_CHECKING:
    from losscope.doctor import Diagnosis

FOUND = 3
"""Exit code where there is an issue."""

COLOR = {"issue": "bold red", "note": "bold yellow"}


def doctor(
    target: Annotated[
        str,
        typer.Argument(
            metavar="MODULE:FACTORY",
            help="A function that returns (model, criterion, loader, optimizer), or a mapping with these names and options of "
            "losscope.doctor.check; also path/to/script.py:factory.",
        ),
    ],
    batches: Annotated[int | None, typer.Option(min=1, help="Batches to look at (default: 4).")] = None,
    as_json: AsJson = False,
) -> None:
    """Check a training set-up on a few batches before its first step. Exit code 3 when an issue is found."""
    from losscope.doctor import check
    from losscope.doctor.factory import set_up

    with redirect_stdout(sys.stderr):  # what the factory prints is no part of the answer
        given = set_up(target)
        found = check(**given | ({"batches": batches} if batches else {}))
    print_json(found.document()) if as_json else show_diagnosis(found)
    if found.issues:
        raise typer.Exit(FOUND)


def show_diagnosis(found: Diagnosis) -> None:
    """Print issues, then notes, then what was in order."""
    for one in (*found.issues, *found.notes):
        out.print(f"[{COLOR[one.outcome]}]{one.outcome}[/] [bold]{one.code}[/]", highlight=False)
        for sentence in one.evidence:
            out.print(f"  {escape(sentence)}", highlight=False, soft_wrap=True)
        out.print(f"  Why: {escape(one.check.why)}\n  Fix: {escape(one.check.fix)}\n", highlight=False, soft_wrap=True)
    if found.passed:
        out.print(f"passed: {', '.join(one.code for one in found.passed)}", highlight=False, soft_wrap=True)
    out.print(found.summary, highlight=False, soft_wrap=True)
