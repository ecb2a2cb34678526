"""`losscope list`: what there is to name: losses, diagnostics, data sets, models and studies, and the checks of a report."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from losscope.cli.console import out, print_json
from losscope.cli.options import AsJson
from losscope.errors import UnknownName

KINDS = ("losses", "diagnostics", "data", "models", "studies", "checks")


def list_(
    what: Annotated[
        str, typer.Argument(help="losses, diagnostics, data, models, studies or checks (default: all).")
    ] = "all",
    as_json: AsJson = False,
) -> None:
    """List what there is: losses, diagnostics, data sets, models, studies, checks."""
    entries = listing(what)
    if as_json:
        print_json(entries if what == "all" else entries[what])
        return
    for kind in KINDS:
        if kind in entries:
            out.print(f"[bold]{kind}[/bold]")
            for entry in entries[kind]:
                out.print(f"  {entry['name']:<38}{entry['summary']}", highlight=False, markup=False, soft_wrap=True)


def listing(what: str) -> dict[str, list[dict[str, Any]]]:
    """Entries with `name` and `summary` of one kind, or of all."""
    if what not in (*KINDS, "all"):
        raise UnknownName.of("kind of thing to list:", what, (*KINDS, "all"))
    return {kind: _ENTRIES[kind]() for kind in KINDS if what in (kind, "all")}


def _losses() -> list[dict[str, Any]]:
    from losscope.cards import CARDS, Composition
    from losscope.losses import LOSSES

    at = Composition()
    return [
        {
            "name": name,
            "kind": loss.kind,
            "saturates": loss.saturates,
            "reference": loss.reference,
            "floor": CARDS[name].floor(**at.shape),
            "collapse_value": CARDS[name].collapse_value(**at.shape),
            "floor_at": {**at.shape, "hyperparameters": CARDS[name].hyperparameters},
            "summary": f"{loss.kind} loss; {loss.reference}",
        }
        for name, loss in LOSSES.items()
    ]


def _diagnostics() -> list[dict[str, Any]]:
    from losscope.diagnostics import DIAGNOSTICS

    return [
        {
            "name": name,
            "sees": diagnostic.sees,
            "unit": diagnostic.unit,
            "summary": f"{_first_line(diagnostic.function)} [{diagnostic.unit}]",
        }
        for name, diagnostic in DIAGNOSTICS.items()
    ]


def _data() -> list[dict[str, Any]]:
    from losscope.data import DATASETS

    return [{"name": name, "summary": source.summary} for name, source in DATASETS.items()]


def _models() -> list[dict[str, Any]]:
    from losscope.training.models import MODELS

    return [{"name": name, "summary": _first_line(model)} for name, model in MODELS.items()]


def _studies() -> list[dict[str, Any]]:
    from losscope.studies import shipped

    return [{"name": name, "summary": summary} for name, summary in shipped().items()]


def _checks() -> list[dict[str, Any]]:
    from losscope.checks import CHECKS

    return [
        {
            "name": check.code,
            "severity": check.severity,
            "detects": check.detects,
            "why": check.why,
            "remedy": check.remedy,
            "summary": f"{check.severity}: {check.detects}",
        }
        for check in CHECKS
    ]


def _first_line(thing: Any) -> str:
    return (thing.__doc__ or "").strip().splitlines()[0].strip()


_ENTRIES = {
    "losses": _losses,
    "diagnostics": _diagnostics,
    "data": _data,
    "models": _models,
    "studies": _studies,
    "checks": _checks,
}
