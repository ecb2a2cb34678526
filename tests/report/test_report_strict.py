"""The strict protocol's tables against the rows of the record."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

import losscope
from losscope.checks import findings
from losscope.report import write_report
from losscope.report.strict import strict_tables
from losscope.report.tables import Group, Table
from losscope.statistics import Interval
from losscope.summary import summarize
from losscope.summary.formatting import interval_text
from planted_strict import class_splits, drawn, evaluated


def cells(group: Group, table: Table) -> dict[str, dict[str, str]]:
    """Row -> column -> text."""
    labels = [f"{column.group} {column.label}".strip() for column in table.columns]
    return {row.label: dict(zip(labels, row.cells, strict=True)) for row in group.rows}


def test_one_class_split_speaks_for_other_seeds(strict_record: Any) -> None:
    summary = summarize(strict_record(seeds=13, fingerprint="one"))
    reached, differences = strict_tables(summary)
    (group,) = reached.groups
    shown = cells(group, reached)
    assert list(shown) == ["raw input", "untrained network", "contrastive", "triplet"]
    for selection in summary.comparisons[0].selections:
        row = shown[selection.loss]
        test = list(selection.chosen.test.values())
        half = stats.t.ppf(0.975, 12) * stats.sem(test)
        assert row["on test chosen"] == interval_text(
            Interval(13, np.mean(test), np.mean(test) - half, np.mean(test) + half)
        )
        assert row["on test peeking gain"] == interval_text(selection.peeking_gain.interval, signed=True)
        assert row["n"] == "13 seeds"
    assert shown["raw input"]["on test last epoch"] == "–"
    one, other = (list(found.chosen.test.values()) for found in summary.comparisons[0].selections)
    (pair,) = differences.groups[0].rows
    assert pair.label == "triplet − contrastive"
    assert pair.cells[0].startswith(f"{np.mean(np.subtract(other, one)):+.3f}".replace("-", "−")[:4])
    assert pair.cells[-1] == "other seeds on this split"


def test_a_clear_difference_is_called_so(strict_record: Any) -> None:
    def level(split: str, loss: str, variant: str, seed: int, epoch: int) -> float:
        return 0.5 + 0.05 * (loss == "triplet") + 0.001 * (seed % 5) + 0.0007 * (loss == "triplet") * (seed % 3)

    (_, differences) = strict_tables(summarize(strict_record(level=level, seeds=13)))
    assert differences.groups[0].rows[0].cells[-2] == "larger"
    (_, few) = strict_tables(summarize(strict_record("few", level=level, seeds=12)))
    assert few.groups[0].rows[0].cells[-2] == "cannot tell: 12 paired seeds; a verdict needs 13."


def splits_that_differ(rows: Any) -> Any:
    """Each class split has levels of its own; triplet leads by 0.3, more or less."""
    for row in evaluated(lambda split, loss, *_: 0.5 + 0.3 * (loss == "triplet"))(rows):
        own = 0.01 * int(row["dataset"][-1]) * (1 + (row["loss"] == "triplet"))
        yield {**row, "value": row["value"] + own} if row["diagnostic"] == "recall_at_k" else row


def test_four_or_equal_class_splits_give_no_verdict(strict_record: Any) -> None:
    def told(name: str, count: int, **settings: Any) -> tuple[str, ...]:
        (_, differences) = strict_tables(summarize(strict_record(name, **class_splits(count), **settings)))
        return differences.groups[0].rows[0].cells  # type: ignore[no-any-return]

    assert told("four", 4, edit=splits_that_differ)[-2] == "cannot tell: a verdict needs 5 class splits"
    assert told("five", 5, edit=splits_that_differ)[-2] == "larger"
    equal = told("equal", 5)  # to the last digit in all splits: certain it is not
    assert (equal[2], equal[-2]) == ("0.0625", "cannot tell")


def test_pairs_over_splits_are_of_equal_data(strict_record: Any) -> None:
    folder = strict_record(seeds=13)
    for path in folder.glob("groups/*/runs.json"):
        runs = json.loads(path.read_text())
        for run in runs:
            if run["loss"] == "triplet" and run["seed"] < 6:
                run["data_fingerprint"] = "changed since then"
        path.write_text(json.dumps(runs))
    (_, differences) = strict_tables(summarize(folder))
    assert differences.groups[0].rows[0].cells[1] == "7 seeds"


def test_several_class_splits_are_no_replicates(strict_record: Any) -> None:
    summary = summarize(strict_record(**class_splits(4), edit=splits_that_differ))
    reached, differences = strict_tables(summary)
    assert reached.groups[0].label == ("digits/class_disjoint_validation, protocol strict · 4 class splits together")
    assert len(reached.groups) == 5
    means = [np.mean(list(part.selections[0].chosen.test.values())) for part in summary.comparisons]
    # Of the planted classes 4 are trained on, 4 validate and 4 test: 1/n becomes 1/n + (1/3)/(2/3).
    half = stats.t.ppf(0.975, 3) * np.std(means, ddof=1) * math.sqrt(1 / 4 + 1 / 2)
    expected = interval_text(Interval(4, np.mean(means), np.mean(means) - half, np.mean(means) + half))
    together = cells(reached.groups[0], reached)["contrastive"]
    assert together["on test chosen"] == expected
    assert together["n"] == "4 splits x 5 seeds"
    (pair,) = differences.groups[0].rows
    assert pair.cells[1] == "4 splits"
    assert pair.cells[3] == "–"  # an interval decides, and no p that is adjusted in another way stands beside it
    assert pair.cells[-1] == "other class splits"


def test_unequal_budgets_and_variants_without_seeds_are_noted(strict_record: Any) -> None:
    lost = {("triplet", "margin=0.2", 3): "diverged", ("triplet", "margin=0.1", 3): "diverged"}
    reached, _ = strict_tables(summarize(strict_record(status=lost)))
    place = "synthetic, protocol strict"
    assert reached.notes == (
        f"{place}: unequal budgets. Variants to be chosen from: contrastive 2, triplet 1; more of them flatter a loss.",
        f"{place}: chosen at the end of the values tried, so that others may do better: triplet margin = 0.5.",
        f"{place}: no candidates, because they lack seeds: triplet margin=0.1, triplet margin=0.2.",
    )


def test_without_validation_classes_there_is_no_table(write_record: Any) -> None:
    assert strict_tables(summarize(write_record())) == ()


def test_pages_and_json_hold_them(strict_record: Any, tmp_path: Path) -> None:
    folder = strict_record()
    html, markdown = write_report(folder)
    assert "## Chosen on validation classes" in markdown.read_text()
    assert 'id="strict-protocol"' in html.read_text()
    document = json.loads((folder / "report.json").read_text())["strict"]
    assert [one["loss"] for one in document] == ["contrastive", "triplet"]
    selection = summarize(folder).comparisons[0].selections[0]
    assert document[0]["peeking_gain"]["mean"] == pytest.approx(selection.peeking_gain.interval.mean)
    assert document[0]["chosen"]["epochs"] == {str(seed): epoch for seed, epoch in selection.chosen.epochs.items()}


def test_two_class_splits_from_training_to_the_table(tmp_path: Path) -> None:
    study = losscope.parse_study({
        "name": "two_splits",
        "seeds": 2,
        "data": [
            {"name": "digits", "split": "class_disjoint_validation", "class_split": split, "limit": 10} for split in (1, 2)
        ],
        "protocol": [{"name": "strict", "epochs": 2, "evaluate_every": 1, "model": {"name": "linear", "widths": [8]}}],
        "loss": [{"name": "contrastive", "margin": [0.5, 1.0]}, {"name": "triplet", "margin": [0.2, 0.5]}],
    })  # fmt: skip
    losscope.run(study, tmp_path, jobs=1)
    summary = summarize(tmp_path)
    names = [f"digits/class_disjoint_validation/{split}" for split in (1, 2)]
    assert [part.dataset for part in summary.comparisons] == names
    assert [part.classes for part in summary.comparisons] == [{"test": 5, "train": 3, "validation": 2}] * 2
    reached, differences = strict_tables(summary)
    assert reached.groups[0].label.endswith("2 class splits together")
    assert [row.label for row in reached.groups[0].rows] == ["raw input", "untrained network", "contrastive", "triplet"]
    assert reached.notes[0].endswith("every loss had 2 variants x 2 epochs to be chosen from.")
    assert differences.groups[0].rows[0].cells[1] == "2 splits"
    found = {one.check.code: one.outcome for one in findings(summary)}
    assert (found["test-peeking"], found["closed-set"], found["dropped-classes"]) == ("passed", "passed", "passed")


def without_classes_of(split: str) -> Any:
    """The planted rows without a row for each class of one split."""

    def edit(rows: Any) -> list[dict[str, Any]]:
        found = evaluated(drawn)(rows)
        return [row for row in found if (row["split"], row["diagnostic"]) != (split, "intra_class_variance")]

    return edit


@pytest.mark.parametrize("split", ["train", "test"])
def test_class_splits_without_rows_of_a_splits_classes(strict_record: Any, split: str) -> None:
    folder = strict_record(**class_splits(3), edit=without_classes_of(split))
    reached, _ = strict_tables(summarize(folder))
    assert [group.label.split(" · ")[0] for group in reached.groups] == [
        f"digits/class_disjoint_validation/{nth}, protocol strict" for nth in (1, 2, 3)
    ]
    assert sum(f"say how many classes these splits have: {split}." in note for note in reached.notes) == 3
    write_report(folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    for about in manifest["data"].values():
        about["classes"] = {"train": 4, "validation": 4, "test": 4}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    reached, _ = strict_tables(summarize(folder))
    assert reached.groups[0].label.endswith("3 class splits together")
    assert not any("say how many classes" in note for note in reached.notes)
