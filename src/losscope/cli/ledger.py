"""The ledger of claims in the terminal: readable at 100 columns, and without color."""

from __future__ import annotations

from rich import box
from rich.markup import escape
from rich.table import Column, Table

from losscope.claims.types import Beside, Entry, Ledger, Line
from losscope.cli.console import out
from losscope.summary.formatting import interval_text, p_text

COLORS = {"holds": "green", "does not hold": "red", "depends": "yellow", "cannot tell": "bright_black"}
POPULATIONS = 3
"""Populations that stand below the ledger before they are left to --json."""


def show_ledger(ledger: Ledger, *, lines: bool) -> None:
    """Print all claims with their verdicts, and with `lines` every contrast that they rest on."""
    for damaged in ledger.damaged:
        out.print(f"[bold]Left out:[/bold] {escape(damaged)}", soft_wrap=True, highlight=False)
    source = ""
    for entry in ledger.entries:
        if entry.claim.source.split(",")[0] != source:
            source = entry.claim.source.split(",")[0]
            out.print(f"\n[bold]{escape(source)}[/bold]", highlight=False)
        _show(entry, lines=lines)
    _show_printed(ledger)
    speaks = list(dict.fromkeys(line.population for line in ledger.lines))
    out.print("\nVerdicts at 5 % after Holm's adjustment over all contrasts of a claim, from 13 paired seeds on; an effect inside "
              "the region of practical equivalence does not count.", highlight=False)  # fmt: skip
    if ledger.anytime:
        out.print("Valid at any time: seeds may have been added after looking at those before.", highlight=False)
    else:
        out.print("Valid if the number of seeds was fixed beforehand; where seeds were added after looking, judge with "
                  "--anytime.", highlight=False)  # fmt: skip
    for sentence in speaks[:POPULATIONS]:
        out.print(f"For {escape(sentence)}.", highlight=False)
    if len(speaks) > POPULATIONS:
        out.print(f"And likewise for {len(speaks) - POPULATIONS} more comparisons; --json says it of every line.")


def _show(entry: Entry, *, lines: bool) -> None:
    claim = entry.claim
    out.print(
        f"\n[bold {COLORS[entry.verdict]}]{escape(entry.words)}[/]  {escape(claim.text)}  [dim]{claim.name}[/dim]",
        highlight=False,
    )
    parts = [entry.reason, *(f"Missing: {missing}." for missing in entry.missing)]
    if entry.n:
        fewest, most = entry.n
        parts.insert(1, f"n = {fewest}." if fewest == most else f"n = {fewest} to {most}.")
    if claim.note:
        parts.append(claim.note)
    out.print("  " + escape(" ".join(parts)), highlight=False)
    if lines and entry.lines:
        out.print(
            f"  [dim]{escape(claim.source)}. What would change it: {escape(claim.would_change)}[/dim]", highlight=False
        )
        out.print(_table(entry))


def _table(entry: Entry) -> Table:
    """All lines, those of one measure and split below its name."""
    table = Table("contrast", Column("effect", justify="right", no_wrap=True), Column("n", justify="right"),
                  Column("Holm's p", justify="right", no_wrap=True), Column("verdict", no_wrap=True), box=box.SIMPLE)  # fmt: skip
    measured = ""
    for line in sorted(entry.lines, key=lambda line: entry.claim.measures.index(line.measure)):
        if measured != f"{line.measure.label}, {line.split}":
            measured = f"{line.measure.label}, {line.split}"
            table.add_row(f"[bold]{escape(measured)}[/bold]")
        table.add_row(
            escape(f"{line.comparison.dataset}, {line.comparison.protocol}: {line.label}"),
            line.effect_text,
            str(line.ruling.n),
            "" if line.ruling.p_adjusted is None else p_text(line.ruling.p_adjusted),
            f"[{COLORS[line.verdict]}]{line.verdict}[/]",
        )
        if line.ruling.beside:
            table.add_row(f"[dim]{escape(_beside(line, line.ruling.beside))}[/dim]")
    return table


def _beside(line: Line, beside: Beside) -> str:
    """What could have been seen, the tests without a distribution, and effect sizes."""
    found = [f"could have seen {line.detectable_text}"] if line.detectable_text else []
    named = (("sign-flip p", beside.p_sign_flip), ("Wilcoxon p", beside.p_wilcoxon))
    found += [f"{name} {p_text(p)}" for name, p in named if p is not None]
    found += [f"d_z {interval_text(beside.cohen_d)}"] if beside.cohen_d else []
    return "; ".join([*found, f"larger in {100 * beside.superiority.mean:.0f} % of seeds"])


def _show_printed(ledger: Ledger) -> None:
    if not ledger.printed:
        return
    out.print("\n[bold]Printed numbers, held against one another and against this record[/bold]", highlight=False)
    for found in ledger.printed:
        out.print(f"\n[bold {COLORS[found.verdict]}]{found.verdict}[/]  {escape(found.what)}", highlight=False)
        out.print(f"  Printed: {escape(found.printed)}; {escape(found.follows)}.", highlight=False)
