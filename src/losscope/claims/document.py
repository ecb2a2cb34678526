"""The ledger as plain JSON types: one object for each contrast, and one for each claim that has none."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.claims.types import Entry, Ledger, Line
from losscope.statistics import Interval


def claims_document(ledger: Ledger) -> list[dict[str, Any]]:
    """What `losscope claims --json` prints.

    `verdict` is of the contrast, `overall` of the claim; `effect` and `interval` are on `scale` (a ratio where the region of
    practical equivalence is relative), `mean_difference` is in the measure's own unit.
    """
    return [found for entry in ledger.entries for found in _entry(entry)]


def printed_document(ledger: Ledger) -> list[dict[str, Any]]:
    """The printed numbers that were checked."""
    return [asdict(number) for number in ledger.printed]


def _entry(entry: Entry) -> list[dict[str, Any]]:
    if entry.lines:
        return [_line(entry, line) for line in entry.lines]
    nothing = dict.fromkeys(("effect", "interval", "mean_difference", "scale", "p", "adjusted_p", "region", "population",
                             "measure", "protocol", "dataset", "split", "contrast"))  # fmt: skip
    return [
        {
            **_claim(entry), "verdict": "cannot tell", "reason": " ".join([entry.reason, *entry.missing]), **nothing, "n": 0,
            "family": 0, "reading": {}, "cautions": [], "rows": [],
        }
    ]  # fmt: skip


def _claim(entry: Entry) -> dict[str, Any]:
    claim = entry.claim
    return {
        "claim": claim.name,
        "text": claim.text,
        "source": claim.source,
        "tag": claim.tag,
        "printed": claim.printed,
        "note": claim.note,
        "would_change": claim.would_change,
        "needs": {"paired_seeds": claim.seeds, "study": claim.study},
        "overall": {
            "verdict": entry.words,
            "depends_on": list(entry.depends_on),
            "reason": entry.reason,
            "missing": list(entry.missing),
        },
    }


def _line(entry: Entry, line: Line) -> dict[str, Any]:
    ruling = line.ruling
    return {
        **_claim(entry),
        "verdict": ruling.verdict,
        "reason": ruling.why,
        "effect": ruling.effect and ruling.effect.mean,
        "interval": _bounds(ruling.effect),
        "scale": ruling.scale,
        "mean_difference": line.difference and line.difference.mean,
        "n": ruling.n,
        "p": ruling.p,
        "adjusted_p": ruling.p_adjusted,
        "family": ruling.family,
        "region": ruling.region,
        "cautions": list(ruling.cautions),
        "population": line.population,
        "dataset": line.comparison.dataset,
        "protocol": line.comparison.protocol,
        "measure": line.measure.key,
        "split": line.rows[0].split if line.rows else None,
        "contrast": line.label,
        "reading": dict(line.reading),
        "rows": [asdict(rows) | {"runs": list(rows.runs)} for rows in line.rows],
    }


def _bounds(interval: Interval | None) -> list[float] | None:
    if interval is None or interval.low is None or interval.high is None:
        return None
    return [interval.low, interval.high]
