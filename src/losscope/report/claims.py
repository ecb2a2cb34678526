"""The ledger of claims as tables: verdicts first, then every contrast they rest on, then the printed numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from losscope.claims import judge
from losscope.claims.composing import effects
from losscope.claims.types import Entry, Ledger, Line
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import MINIMUM_SEEDS
from losscope.summary.formatting import ABSENT, p_text, span
from losscope.summary.types import Summary

SHOWN = 60
"""Contrasts of one claim that a page shows; all are in report.json."""

RULE = (
    f"Decided at 5 % after Holm's adjustment over all contrasts of a claim, from {MINIMUM_SEEDS} paired seeds on; an effect inside "
    "the region of practical equivalence does not count. A claim depends where it holds in some places and not in others. "
    "Claims in our words, verdicts under our protocols; [B-abs]: of an abstract, [our reading]: of what a paper leaves open."
)


@dataclass(frozen=True)
class Claims:
    """What a report says of the literature."""

    ledger: Ledger
    verdicts: Table
    contrasts: tuple[Table, ...]
    unspoken: tuple[str, ...]  # claims that nothing in the record speaks of
    printed: Table

    @property
    def undecided(self) -> str:
        """Why not a single claim can be decided, in a sentence; empty if one is, or nothing was compared."""
        if not self.contrasts or any(line.verdict != "cannot tell" for line in self.ledger.lines):
            return ""
        most = max((entry.n[1] for entry in self.ledger.entries if entry.n), default=0)
        if most < MINIMUM_SEEDS:
            return f"No claim can be decided: n = {most} paired seeds, verdicts need {MINIMUM_SEEDS}."
        return "No claim can be decided: every interval reaches across the edge of its region of practical equivalence."


def claims_section(summary: Summary) -> Claims:
    """The ledger of a summary, as tables."""
    found = judge(summary)
    judged = [entry for entry in found.entries if entry.lines]
    return Claims(
        ledger=found,
        verdicts=_verdicts(judged),
        contrasts=tuple(_contrasts(entry) for entry in judged),
        unspoken=tuple(
            f"{entry.claim.text} {' '.join(f'{missing}.' for missing in entry.missing)}"
            for entry in found.entries
            if not entry.lines
        ),
        printed=_printed(found),
    )


def _verdicts(entries: Sequence[Entry]) -> Table:
    columns = (
        Column("verdict", "claim", words=True, verdict=True), Column("effects", "claim", words=True), Column("n", "seeds"),
        Column("hold", "", "contrasts"), Column("do not", "", "contrasts"), Column("open", "", "contrasts"),
        Column("because", words=True),
    )  # fmt: skip
    sources = dict.fromkeys(_source(entry) for entry in entries)
    groups = tuple(
        Group(source, tuple(_verdict(entry) for entry in entries if _source(entry) == source)) for source in sources
    )
    return Table("verdicts", "What holds of what the papers claim", RULE, "claim", columns, groups)


def _source(entry: Entry) -> str:
    return entry.claim.source.split(",")[0].split(":")[0]


def _verdict(entry: Entry) -> Row:
    counts = (str(entry.count(verdict)) for verdict in ("holds", "does not hold", "cannot tell"))
    because = " ".join([entry.reason, *([entry.claim.note] if entry.claim.note else [])])
    return Row(
        f"{entry.claim.text} [{entry.claim.tag}]",
        (entry.words, effects(entry.lines) or ABSENT, span(set(entry.n or ())), *counts, because),
    )


def _contrasts(entry: Entry) -> Table:
    claim = entry.claim
    lines = _shown(entry)
    several = any(line.others for line in lines)
    columns = (
        Column("effect", "claim"), Column("n", "seeds"), Column("Holm's p", "holm"), Column("equal in practice"),
        Column("could have seen"),
        Column("verdict", "claim", words=True, verdict=True), Column("because", words=True),
        *([Column("other variants alike")] if several else []),
    )  # fmt: skip
    groups: dict[str, list[Row]] = {}
    for line in lines:
        groups.setdefault(f"{line.measure.label} · {line.split} · {line.comparison.title}", []).append(
            _row(line, several)
        )
    printed = f" Printed: {claim.printed}." if claim.printed else ""
    left = len(entry.lines) - len(lines)
    populations = dict.fromkeys(line.population for line in lines)
    speaks = (
        f" For {next(iter(populations))}."
        if len(populations) == 1
        else " For other seeds under the protocol of the line."
    )
    more = f" {left} more contrasts, all with the commonest verdict, are in report.json." if left else ""
    return Table(
        f"contrasts-{claim.name}",
        claim.text.rstrip("."),
        f"{claim.source}.{printed} Effects within seeds, mean [95 % interval]: ratios (×) where the region of practical "
        f"equivalence is one, else differences, correlations or shares of seeds. Could have seen: the smallest effect as "
        f"claimed that these seeds show with a power of 80 %.{speaks} What would change it: "
        f"{claim.would_change}{more}",
        "contrast",
        columns,
        tuple(Group(label, tuple(rows)) for label, rows in groups.items()),
    )


def _shown(entry: Entry) -> list[Line]:
    """The lines of a claim; where they are too many, those of the rarer verdicts first."""
    if len(entry.lines) <= SHOWN:
        return list(entry.lines)
    rare = sorted(entry.lines, key=lambda line: entry.count(line.verdict))[:SHOWN]
    return [line for line in entry.lines if any(line is one for one in rare)]


def _row(line: Line, several: bool) -> Row:
    ruling = line.ruling
    alike = [f"{line.alike} of {line.others}" if line.others else ABSENT] if several else []
    return Row(
        line.label,
        (
            line.effect_text or ABSENT,
            str(ruling.n),
            ABSENT if ruling.p_adjusted is None else p_text(ruling.p_adjusted),
            ruling.region or ABSENT,
            line.detectable_text or ABSENT,
            line.verdict,
            " ".join([ruling.why, *(f"Caution: {caution}." for caution in ruling.cautions)]),
            *alike,
        ),
    )


def _printed(found: Ledger) -> Table:
    columns = (
        Column("verdict", "claim", words=True, verdict=True),
        Column("printed", words=True),
        Column("what follows", words=True),
    )
    rows = tuple(Row(one.what, (one.verdict, one.printed, one.follows)) for one in found.printed)
    caption = (
        "Printed numbers of paper A held against one another, against the outputs that its authors keep, and its test run on this "
        "record: a t test over the classes of one run, which are no replicates."
    )
    return Table("printed-numbers", "Printed numbers", caption, "statement", columns, (Group("", rows),))
