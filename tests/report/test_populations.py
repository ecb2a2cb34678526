"""The section on populations: retrieval over seeds and classes, and paper A's own test beside the seeds'."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from scipy import stats

from losscope.report import summarize, write_report
from losscope.report.populations import populations
from losscope.summary.formatting import interval_text
from losscope.summary.measures import INTRA_TRAIN

LAST = 3
LOSSES = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.0}]
SEED = 0


def asked(place: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
    """Forty queries of twenty classes; triplet finds a tenth more."""
    gain = 0.1 * (place["loss"] == "triplet")
    hits = 0.5 + gain + np.random.default_rng([seed, len(place["loss"])]).normal(0, 0.02, 40)
    return {"query": range(40), "label": [query % 20 for query in range(40)], "recall_at_1": hits.tolist(),
            "average_precision_at_r": hits.tolist()}  # fmt: skip


def of_classes(values: Any, folder: Any, loss: str, seed: int) -> list[float]:
    every = [values(folder, loss=loss, diagnostic="intra_class_variance", split="train", epoch=LAST, item=label)
             for label in range(4)]  # fmt: skip
    return [of[seed] for of in every]


def test_the_papers_own_test_is_of_the_classes_of_the_first_run(write_record: Any, values: Any) -> None:
    folder = write_record(losses=LOSSES, seeds=13)
    summary = summarize(folder)
    shown = populations(summary)
    assert shown is not None
    (test,) = shown.own_tests
    one, other = (of_classes(values, folder, loss, SEED) for loss in ("contrastive", "triplet"))
    assert test.seed == SEED
    assert test.one_run.p == pytest.approx(stats.ttest_rel(other, one).pvalue)
    assert test.one_run.interval.mean == pytest.approx(np.mean(np.subtract(other, one)))
    assert list(test.by_seed) == list(range(13))
    tests = [(of_classes(values, folder, "contrastive", seed), of_classes(values, folder, "triplet", seed))
             for seed in range(13)]  # fmt: skip
    for sign in (1, -1):
        assert test.significant(sign) == sum(
            stats.ttest_rel(other, one).pvalue < 0.05 and sign * np.mean(np.subtract(other, one)) > 0
            for one, other in tests
        )
    assert shown.own_test is not None
    row = shown.own_test.groups[0].rows[0]
    (found,) = (part for part in summary.differences if part.measure == INTRA_TRAIN)
    assert (found.first.loss, found.second.loss) == ("contrastive", "triplet")
    assert row.cells[0] == interval_text(test.one_run.interval, signed=True)
    assert row.cells[1] == "4"
    assert row.cells[4:6] == (interval_text(found.paired.interval, signed=True), "13")
    assert row.cells[-1] == "other draws of the data and seeds"
    assert "pseudo-replication" in shown.own_test.caption
    assert all("pseudo-replication" in column.group for column in shown.own_test.columns[:4])


def test_the_sign_of_one_run_may_be_another_than_that_of_the_seeds(write_record: Any, set_values: Any) -> None:
    """Contrastive is looser in the first seed, triplet in all others: the paper's test is sure of the first."""
    sides = {"contrastive": -1, "triplet": 1}

    def level(row: dict[str, Any]) -> float:
        side = sides.get(row["loss"], 0) * (-1 if row["seed"] == SEED else 1)
        wobble = 0.001 * ((row["item"] or 0) + row["seed"] % 3) * (row["loss"] == "triplet")
        return 0.1 + 0.02 * side + wobble

    def edit(rows: Any) -> Any:
        for name in ("intra_class_variance", "intra_class_variance_mean"):
            rows = list(set_values(level, diagnostic=name, split="train", epoch=LAST)(rows))
        return rows

    shown = populations(summarize(write_record(losses=LOSSES, seeds=13, edit=edit)))
    assert shown is not None
    (test,) = shown.own_tests
    assert test.one_run.p is not None
    assert test.one_run.p < 0.001
    assert test.one_run.interval.mean < 0
    assert (test.significant(1), test.significant(-1)) == (12, 1)
    assert test.over_seeds is not None
    assert test.over_seeds.paired.interval.mean > 0
    assert test.over_seeds.verdict == "larger"


def test_seeds_of_other_data_are_in_neither_test(write_record: Any) -> None:
    folder = write_record(losses=LOSSES, seeds=13, fingerprint="one and the same")
    (path,) = (
        path for path in folder.glob("groups/*/runs.json") if json.loads(path.read_text())[0]["loss"] == "triplet"
    )
    records = json.loads(path.read_text())
    records[0]["data_fingerprint"] = "other"
    path.write_text(json.dumps(records))
    shown = populations(summarize(folder))
    assert shown is not None
    (test,) = shown.own_tests
    assert (test.seed, list(test.by_seed)) == (1, list(range(1, 13)))
    assert test.over_seeds is not None
    assert test.over_seeds.paired.n == 12


def test_without_both_losses_the_papers_test_is_not_there(write_record: Any) -> None:
    losses = [{"name": "contrastive", "margin": 1.0}, {"name": "info_nce", "temperature": 0.1}]
    shown = populations(summarize(write_record(losses=losses)))
    assert shown is not None
    assert (shown.own_tests, shown.own_test) == ((), None)


def test_nothing_to_compare_is_no_section(write_record: Any) -> None:
    folder = write_record(losses=LOSSES[:1])
    assert populations(summarize(folder)) is None
    page, text = write_report(folder)
    assert "For whom do the differences speak?" not in page.read_text() + text.read_text()
    assert json.loads((folder / "report.json").read_text())["populations"] is None


def test_the_section_is_in_every_form(write_record: Any) -> None:
    folder = write_record(losses=LOSSES, seeds=13, fingerprint="one and the same", queries=asked)
    shown = populations(summarize(folder))
    assert shown is not None
    assert shown.crossed is not None
    first = shown.crossed.groups[0]
    assert first.label == "Recall@1 · synthetic, protocol as_printed"
    (row,) = first.rows
    crossed = shown.crossings.differences[0]
    assert row.label == "triplet − contrastive"
    assert row.cells[1:] == (
        interval_text(crossed.jackknife.interval, signed=True), "13", "20", "40", "larger"
    )  # fmt: skip
    assert shown.crossed.caption.endswith(
        "They speak for other seeds and other classes like these, among the same distractors."
    )
    page, text = (html.unescape(path.read_text()) for path in write_report(folder))
    for form in (page.replace("<small>", ""), text):
        assert "For whom do the differences speak?" in form
        assert row.cells[1] in form
        assert "pseudo-replication" in form
        assert "other seeds and other classes like these" in form
    assert '<a href="#populations">Populations</a>' in page
    document = json.loads((folder / "report.json").read_text())["populations"]
    assert document["left_out"] == {}
    assert [one["measure"] for one in document["crossed"]] == [
        "recall_at_k/1/evaluation/last",
        "map_at_r/evaluation/last",
    ]
    assert document["crossed"][0]["second_minus_first"]["mean"] == pytest.approx(0.1, abs=0.01)
    assert document["crossed"][0]["verdict"] == "larger"
    (own,) = document["own_test"]
    assert own["population"].startswith("pseudo-replication")
    assert [run["seed"] for run in own["runs"]] == list(range(13))


def test_several_populations_stand_in_the_rows(write_record: Any) -> None:
    """Under one protocol all forty queries have a value, under the other those of ten classes."""

    def few(place: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
        found = asked(place, seed)
        lost = [place["protocol"] == "few" and label >= 10 for label in found["label"]]
        return {name: [None if gone else value for value, gone in zip(values, lost, strict=True)]
                if name in ("recall_at_1", "average_precision_at_r") else values
                for name, values in found.items()}  # fmt: skip

    protocols = [{"name": "all", "epochs": 3}, {"name": "few", "epochs": 3}]
    shown = populations(
        summarize(write_record(losses=LOSSES, fingerprint="one", queries=few, protocols=protocols, seeds=5))
    )
    assert shown is not None
    assert shown.crossed is not None
    assert [group.rows[0].cells[-1] for group in shown.crossed.groups[:2]] == [
        "other seeds and other classes like these, among the same distractors",
        "other seeds and other queries of these 10 classes, among the same distractors",
    ]
    assert shown.crossed.groups[0].rows[0].cells[-2] == "cannot tell yet (n < 13)"


def test_where_nothing_can_be_crossed_the_section_says_why(write_record: Any) -> None:
    folder = write_record(losses=LOSSES, queries=asked)
    page, text = (path.read_text() for path in write_report(folder))
    said = (
        "Not crossed (synthetic, protocol as_printed): not applicable, each seed has data, and so queries, of its own."
    )
    assert said in page
    assert said in text
