"""The first screen says what the rows say."""

from __future__ import annotations

from typing import Any

import pytest
from rich.console import Console

from losscope.cli import console
from losscope.report import summarize, summary_table
from losscope.report.headline import headline

LAST = 3


def recall(levels: dict[str, float], *, untrained: float = 0.2, wobble: float = 0.0) -> Any:
    """An edit that sets Recall@1 by loss and variant."""

    def edit(rows: Any) -> Any:
        for row in rows:
            if row["diagnostic"] == "recall_at_k" and row["item"] == 1:
                level = levels[row["loss"] + row["variant"]] if row["epoch"] or row["loss"] == "none" else untrained
                swing = 1 if row["loss"] == "contrastive" else -1
                yield {**row, "value": level + swing * wobble * (row["seed"] - 2)}
            else:
                yield row

    return edit


LEVELS = {"noneinput": 0.3, "contrastive": 0.5, "tripletsquared=false": 0.7, "tripletsquared=true": 0.6}


def test_one_comparison(write_record: Any) -> None:
    words = headline(summarize(write_record(edit=recall(LEVELS, wobble=0.001))), 2)
    assert words.which == "On synthetic, protocol as_printed, triplet squared=false has the highest Recall@1: 0.7000."
    assert words.how_much.startswith("+0.100 [+0.100, +0.100] of Recall@1 over triplet squared=true")
    assert words.trust == (
        "Cannot tell yet: n = 5 paired seeds, verdicts need 13. All 15 runs are finished. 2 checks fired, see below."
    )


def test_the_difference_of_the_first_two_is_paired_by_seed(write_record: Any) -> None:
    levels = {**LEVELS, "contrastive": 0.65}  # its seeds move against triplet's
    summary = summarize(write_record(edit=recall(levels, wobble=0.01)))
    row = headline(summary, 0).table.groups[0].rows[0]
    assert row.cells[:3] == ("triplet squared=false", "0.700 [0.680, 0.720]", "contrastive")
    # Differences 0.05 - 0.02 (s - 2): mean 0.05, standard deviation 0.0316, t(4) = 2.776: half width 0.0393.
    assert row.cells[3] == "+0.050 [+0.011, +0.089]"
    assert row.cells[4:] == ("5", "raw input 0.3000", "cannot tell yet (n < 13)")


@pytest.mark.parametrize(("level", "wobble", "said"), [
    (0.9, 0.001, "The input itself retrieves better on synthetic, protocol as_printed (raw input 0.9000): training made "
                 "retrieval worse there."),
    (0.71, 0.01, "The best loss is not shown to beat the input itself on synthetic, protocol as_printed (raw input 0.7100)."),
])  # fmt: skip
def test_training_that_did_not_help_is_said_first(write_record: Any, level: float, wobble: float, said: str) -> None:
    summary = summarize(write_record(edit=recall({**LEVELS, "noneinput": level}, wobble=wobble)))
    assert headline(summary, 0).which.endswith(said)


def test_several_comparisons(write_record: Any, set_values: Any) -> None:
    data = [{"name": "synthetic"}, {"name": "digits"}]
    same = headline(summarize(write_record("same", datasets=data, edit=recall(LEVELS, wobble=0.001))), 1)
    assert same.which == "triplet squared=false has the highest Recall@1 in all 2 comparisons."
    assert same.how_much.startswith("The lead over the next loss is between 0.1 and 0.1 of Recall@1")
    assert same.trust.endswith("1 check fired, see below.")
    best = {"synthetic": "contrastive", "digits": "triplet"}
    other = set_values(lambda row: 0.9 if row["loss"] == best[row["dataset"]] else 0.1, diagnostic="recall_at_k", item=1,
                       epoch=LAST)  # fmt: skip
    mixed = headline(summarize(write_record("mixed", datasets=data, edit=other)), 1)
    assert mixed.which.startswith("No loss leads everywhere. The highest Recall@1: ")
    assert "contrastive in 1 of 2 comparisons" in mixed.which


def test_thirteen_seeds_give_a_verdict(write_record: Any) -> None:
    words = headline(summarize(write_record(seeds=13, edit=recall(LEVELS, wobble=0.001))), 0)
    assert words.trust.startswith(
        "n = 13 paired seeds: 1 of 1 leads hold beyond ±0.01, the region of practical equivalence, 0 are equal in practice. "
        "This speaks for other draws of the data and seeds, not for other data sets or protocols."
    )
    assert words.table.groups[0].rows[0].cells[-1] == "holds beyond ±0.01"


def test_a_lead_that_is_sure_and_tiny_is_equal_in_practice(write_record: Any) -> None:
    levels = {**LEVELS, "tripletsquared=true": 0.699}  # 0.001 less than the leader, in every seed
    summary = summarize(write_record(seeds=13, edit=recall(levels, wobble=1e-5), fingerprint="one and the same"))
    words = headline(summary, 0)
    assert "0 of 1 leads hold beyond ±0.01, the region of practical equivalence, 1 is equal in practice." in words.trust
    assert "This speaks for other seeds on this split, not" in words.trust
    assert words.table.groups[0].rows[0].cells[-1] == "equal in practice"


def test_lost_runs_are_counted(write_record: Any) -> None:
    words = headline(summarize(write_record(status={("triplet", "squared=true", 0): "diverged"})), 0)
    assert "14 of 15 runs are finished (1 diverged: in no mean)." in words.trust


def test_nothing_finished(write_record: Any) -> None:
    words = headline(summarize(write_record(running=["none", "contrastive", "triplet"])), 1)
    assert words.which.startswith("No run with an evaluation is finished yet")
    assert words.how_much == "Nothing can be compared yet."
    assert "0 of 15 runs are finished" in words.trust


def test_a_loss_with_few_seeds_does_not_lead_by_luck(write_record: Any, set_values: Any) -> None:
    # Seed 0 is an easy one: triplet, which has it alone, is worse there and still has the higher mean.
    easy = set_values(
        lambda row: (0.9 if row["seed"] == 0 else 0.5) - 0.1 * (row["loss"] == "triplet"),
        diagnostic="recall_at_k",
        epoch=LAST,
    )
    losses = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.0}]
    lost = {("triplet", "", seed): "diverged" for seed in range(1, 5)}
    words = headline(summarize(write_record(losses=losses, edit=easy, status=lost)), 0)
    assert "contrastive has the highest Recall@1" in words.which


def test_a_single_loss_has_nothing_to_be_compared_with(write_record: Any) -> None:
    words = headline(summarize(write_record(losses=[{"name": "contrastive", "margin": 1.0}])), 0)
    assert words.trust.startswith("Cannot tell yet: no two losses share a finished seed.")


def test_the_terminal_table_is_short(write_record: Any, values: Any) -> None:
    folder = write_record(edit=recall(LEVELS, wobble=0.01))
    headers, rows = summary_table(summarize(folder))
    assert headers == [
        "data, protocol", "loss", "Recall@1", "intra-class variance", "intra/inter ratio", "active ratio", "n"
    ]  # fmt: skip
    assert [row[:2] for row in rows] == [
        ["synthetic, as_printed", "raw input"],
        ["", "untrained network"],
        ["", "contrastive"],
        ["", "triplet squared=false"],
        ["", "triplet squared=true"],
    ]
    assert (rows[2][2], rows[2][-1]) == ("0.500 ± 0.020", "5")
    assert rows[0][5] == ""  # an input has no loss
    assert all(len(row) == len(headers) for row in rows)
    words = [max(header.split(), key=len) for header in headers]  # a terminal wraps headers
    assert sum(max(map(len, column)) + 3 for column in zip(words, *rows, strict=True)) < 118


def test_a_narrow_terminal_cuts_no_name(write_record: Any, capsys: Any, monkeypatch: Any) -> None:
    losses = [{"name": "center_contrastive", "momentum": [0.0, 0.9]}, {"name": "n_pair", "unit_length": [True, False]}]
    folder = write_record(losses=losses)
    monkeypatch.setattr(console, "out", Console(width=80))
    console.summary_table(folder)
    printed = capsys.readouterr().out
    assert "\u2026" not in printed
    for word in ("center_contrastive ", "momentum=0.9 ", "unit_length=false ", "untrained network "):
        assert word in printed
    assert max(map(len, printed.splitlines())) <= 80
