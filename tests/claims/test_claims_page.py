"""What the page on claims says was measured is what the benchmark wrote, and every claim is in it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks import claims as benchmark
from benchmarks.pages import read_table

from losscope.claims import claims, ledger

ROOT = Path(__file__).parent.parent.parent
FOUND = json.loads((ROOT / "benchmarks" / "claims.json").read_text())


def test_the_page_has_the_tables_of_the_benchmark() -> None:
    page = ROOT / "docs" / "claims.md"
    assert read_table(page, "claims") == benchmark.tables(FOUND)
    assert f"{len(claims())} sentences of the literature" in page.read_text()


def test_nine_of_ten_verdicts_stay_the_same_on_other_seeds_and_none_turns() -> None:
    rows = FOUND["contrasts"]
    assert len(rows) > 200
    assert min(min(row["n"]) for row in rows) == 13
    assert sum(map(benchmark.same, rows)) / len(rows) >= 0.9
    assert not [row for row in rows if set(row["verdicts"]) == {"holds", "does not hold"}]


def test_two_records_are_compared_contrast_by_contrast(write_record: Any) -> None:
    one, other = (
        ledger(write_record("one", seeds=13)),
        ledger(write_record("other", seeds=13, protocols=[{"name": "b"}])),
    )
    contrasts, judged = benchmark.compared(one, one)
    assert len(contrasts) == sum(line.ruling.n > 0 for line in one.lines)
    assert all(map(benchmark.same, contrasts))
    assert [row["claim"] for row in judged] == [
        entry.claim.name for entry in one.entries if any(line.ruling.n for line in entry.lines)
    ]
    assert benchmark.compared(one, other) == ([], [])
