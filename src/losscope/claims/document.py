"""The ledger as plain JSON types: one object for each contrast, and one for each claim that has none.

Then one for each printed number that was checked.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.claims.types import Entry, Ledger, Line, PrintedNumber
from losscope.statistics import MINIMUM_SEEDS, Interval


def claims_document(ledger: Ledger) -> list[dict[str, Any]]:
    """What `losscope claims --json` prints.

    `verdict` is of the contrast, `overall` of the claim; `effect` and `interval` are on `scale` (a ratio where the region of
    practical equivalence is relative), `mean_difference` is in the measure's own unit. `beside` holds what decides nothing: the
    smallest effect that could have been seen with a power of 80 %, p of the sign-flip and Wilcoxon tests about the edge of
    the region with the smallest that they can reach, Cohen's d_z and the share of seeds in which the claim's loss is larger.
    """
    judged = [found for entry in ledger.entries for found in _entry(entry)]
    return judged + [_printed(found) for found in ledger.printed]


def _entry(entry: Entry) -> list[dict[str, Any]]:
    if entry.lines:
        return [_line(entry, line) for line in entry.lines]
    return [
        {**_claim(entry), "verdict": "cannot tell", "reason": " ".join([entry.reason, *entry.missing]), **_nothing()}
    ]


def _nothing() -> dict[str, Any]:
    """The keys of a line where nothing was compared."""
    absent = dict.fromkeys(("effect", "interval", "scale", "mean_difference", "p", "adjusted_p", "region", "beside", "population",
                            "dataset", "protocol", "measure", "split", "contrast"))  # fmt: skip
    return {
        **absent,
        "n": 0,
        "family": 0,
        "reading": {},
        "other_variants": {"alike": 0, "pairs": 0},
        "cautions": [],
        "rows": [],
    }


def _printed(found: PrintedNumber) -> dict[str, Any]:
    return {
        "claim": "printed_numbers",
        "text": found.what,
        "source": found.source,
        "tag": "A-out",
        "printed": found.printed,
        "note": "",
        "would_change": "Other printed numbers.",
        "needs": {},
        "overall": {"verdict": found.verdict, "depends_on": [], "reason": found.follows, "missing": []},
        "verdict": found.verdict,
        "reason": found.follows,
        **_nothing(),
    }


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
        "needs": {"paired_seeds": MINIMUM_SEEDS, "study": claim.study},
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
        "beside": ruling.beside and asdict(ruling.beside),
        "cautions": list(ruling.cautions),
        "population": line.population,
        "dataset": line.comparison.dataset,
        "protocol": line.comparison.protocol,
        "measure": line.measure.key,
        "split": line.rows[0].split if line.rows else None,
        "contrast": line.label,
        "reading": dict(line.reading),
        "other_variants": {"alike": line.alike, "pairs": line.others},
        "rows": [asdict(rows) | {"commands": list(rows.commands), "runs": list(rows.runs)} for rows in line.rows],
    }


def _bounds(interval: Interval | None) -> list[float] | None:
    if interval is None or interval.low is None or interval.high is None:
        return None
    return [interval.low, interval.high]
