"""The ledger on the page: every claim, every contrast, the same in HTML, Markdown and JSON."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from losscope.claims import claims, judge
from losscope.report import write_report
from losscope.report.claims import SHOWN, claims_section
from losscope.summary import summarize

LAST = 3


def plain(path: Path) -> str:
    return re.sub(r"\s+", " ", unescape(re.sub(r"<[^>]+>", "", path.read_text())))


def test_page_markdown_and_json_carry_the_same_ledger(write_record: Any) -> None:
    folder = write_record(seeds=13)
    page, text = write_report(folder)
    shown = claims_section(summarize(folder))
    html, markdown = plain(page), text.read_text()
    for table in (shown.verdicts, *shown.contrasts, shown.printed):
        assert table.title in html
        for row in (row for group in table.groups for row in group.rows):
            for cell in (row.label, *row.cells):
                assert re.sub(r"\s+", " ", cell) in html
                assert cell.replace("<", "&lt;").replace("|", "\\|") in markdown
    document = json.loads((folder / "report.json").read_text())["claims"]
    assert {one["claim"] for one in document} == {*(claim.name for claim in claims()), "printed_numbers"}
    lines = [line for entry in shown.ledger.entries for line in entry.lines]
    assert sum(len(group.rows) for table in shown.contrasts for group in table.groups) == len(lines)
    assert [one["verdict"] for one in document if one["n"]] == [line.verdict for line in lines if line.ruling.n]


def test_the_page_says_what_could_have_been_seen(write_record: Any) -> None:
    shown = claims_section(summarize(write_record(seeds=13)))
    (table,) = [table for table in shown.contrasts if table.anchor == "contrasts-absolute_variance"]
    place = [column.label for column in table.columns].index("could have seen")
    lines = next(entry for entry in shown.ledger.entries if entry.claim.name == "absolute_variance").lines
    cells = [row.cells[place] for group in table.groups for row in group.rows]
    assert sorted(cells) == sorted(line.detectable_text for line in lines)
    assert all(float(cell.removeprefix("×")) > 1.1 for cell in cells)


def test_the_ledger_follows_the_overview_and_verdicts_are_words_with_a_color(write_record: Any) -> None:
    page = write_report(write_record(seeds=13))[0].read_text()
    assert "No claim can be decided" not in page
    assert re.findall(r'<section id="(\w+)"', page)[:3] == ["answers", "measures", "claims"]
    found = set(re.findall(r'<strong class="verdict (\w+)">([^<]+)</strong>', page))
    assert {word for word, _ in found} >= {"holds", "cannot", "does"}
    assert all(text.startswith(word) for word, text in found)
    for word in ("holds", "does", "depends", "cannot"):
        assert f".verdict.{word} {{ color:" in page


def test_a_claim_that_nothing_speaks_of_is_named_apart(write_record: Any) -> None:
    shown = claims_section(summarize(write_record(losses=[{"name": "arcface"}])))
    assert len(shown.unspoken) == len(claims())
    assert shown.contrasts == ()
    page, text = write_report(write_record("two", losses=[{"name": "arcface"}]))
    for path in (page, text):
        assert "Nothing in this record can be held against a claim." in path.read_text()


def test_too_many_contrasts_leave_the_rare_verdicts_on_the_page(write_record: Any, set_values: Any) -> None:
    protocols = [{"name": f"protocol_{nth}", "epochs": LAST} for nth in range(SHOWN // 2 + 4)]

    def level(row: dict[str, Any]) -> float:
        better = (row["loss"] == "triplet") != (row["protocol"] == "protocol_33" and row["variant"] == "squared=true")
        return 0.5 + 0.2 * better + 0.001 * (row["seed"] % 3)

    edit = set_values(level, diagnostic="recall_at_k", item=1, split="heldout", epoch=LAST)
    summary = summarize(write_record(protocols=protocols, seeds=13, edit=edit))
    entry = next(entry for entry in judge(summary).entries if entry.claim.name == "better_retrieval")
    assert len(entry.lines) == SHOWN + 8
    (table,) = [table for table in claims_section(summary).contrasts if table.anchor == "contrasts-better_retrieval"]
    rows = [row for group in table.groups for row in group.rows]
    assert len(rows) == SHOWN
    assert [row.cells[5] for row in rows].count("does not hold") == entry.count("does not hold") == 1
    assert "8 more contrasts, all with the commonest verdict, are in report.json." in table.caption


@pytest.mark.parametrize("seeds", [2, 5])
def test_few_seeds_tell_nothing(write_record: Any, seeds: int) -> None:
    folder = write_record(seeds=seeds)
    shown = claims_section(summarize(folder))
    said = f"No claim can be decided: n = {seeds} paired seeds, verdicts need 13."
    assert all(said in path.read_text() for path in write_report(folder))
    (group,) = [group for group in shown.verdicts.groups if group.label.startswith("paper A")]
    assert {row.cells[0] for row in group.rows} == {"cannot tell"}
    few = f"{seeds} paired seeds; a verdict needs 13."
    assert all(few in row.cells[-1] or "not measured" in row.cells[-1] for row in group.rows)
    assert sum(few in row.cells[-1] for row in group.rows) > 10
