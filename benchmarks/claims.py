"""Do verdicts stay the same on other seeds? The ledger of claims on two records of one study with different seeds.

    OMP_NUM_THREADS=1 python -m benchmarks.claims out/paper_a_synthetic out/paper_a_synthetic_13_25

Writes benchmarks/claims.json and the tables of docs/claims.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.pages import markdown, write_table
from benchmarks.rows import machine
from losscope.claims import ledger
from losscope.claims.types import Ledger, Line

PAGE = Path(__file__).parent.parent / "docs" / "claims.md"
RESULT = Path(__file__).with_name("claims.json")

Row = dict[str, Any]


def compared(one: Ledger, other: Ledger) -> tuple[list[Row], list[Row]]:
    """Every contrast and every claim that both ledgers judge, with the verdict in each."""
    sides = [{_place(line): line for line in found.lines if line.ruling.n} for found in (one, other)]
    contrasts = [
        {
            **dict(zip(("claim", "protocol", "measure", "contrast"), place, strict=True)),
            "verdicts": [side[place].verdict for side in sides],
            "effects": [side[place].effect_text for side in sides],
            "n": [side[place].ruling.n for side in sides],
        }
        for place in sides[0]
        if place in sides[1]
    ]
    claims = [
        {"claim": first.claim.name, "verdicts": [first.words, second.words]}
        for first, second in zip(one.entries, other.entries, strict=True)
        if any(row["claim"] == first.claim.name for row in contrasts)
    ]
    return contrasts, claims


def _place(line: Line) -> tuple[str, str, str, str]:
    return line.claim.name, line.comparison.protocol, line.measure.key, line.label


def same(row: Row) -> bool:
    """Whether both blocks of seeds say the same; of a claim that depends, whatever factors they name."""
    one, other = (verdict.split(" on ")[0] for verdict in row["verdicts"])
    return bool(one == other)


def tables(found: Mapping[str, Any]) -> str:
    """How many verdicts stay the same, then claim by claim."""
    contrasts, claims = found["contrasts"], found["claims"]
    kinds = [(f"contrasts, preset {name}", [row for row in contrasts if row["protocol"] == name])
             for name in dict.fromkeys(row["protocol"] for row in contrasts)]  # fmt: skip
    kinds += [("contrasts, all", contrasts), ("claims", claims)]
    counts = [[name, *_counts(rows)] for name, rows in kinds]
    each = [
        [row["claim"], *row["verdicts"], f"{sum(map(same, own))} of {len(own)}"]
        for row in claims
        if (own := [line for line in contrasts if line["claim"] == row["claim"]])
    ]
    return (
        markdown(["verdicts", "number", "same in both blocks", "holds in one, does not hold in the other"], counts)
        + "\n"
        + markdown(["claim", *(f"seeds {name}" for name in found["seeds"]), "contrasts that stay the same"], each)
    )


def _counts(rows: Sequence[Row]) -> list[str]:
    kept = sum(map(same, rows))
    turned = sum(set(row["verdicts"]) == {"holds", "does not hold"} for row in rows)
    return [str(len(rows)), f"{kept} ({100 * kept / len(rows):.1f} %)", str(turned)]


def main() -> None:
    """Judge both records, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("records", nargs=2, type=Path, metavar="DIR")
    folders = parser.parse_args().records
    ledgers = [ledger(folder) for folder in folders]
    seeds = [sorted({seed for line in found.lines for seed in line.comparison.seeds}) for found in ledgers]
    contrasts, claims = compared(*ledgers)
    found = {
        "machine": machine(),
        "seeds": [f"{block[0]} to {block[-1]}" for block in seeds],
        "contrasts": contrasts,
        "claims": claims,
    }
    RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    write_table(PAGE, "claims", tables(found))
    print(tables(found))


if __name__ == "__main__":
    main()
