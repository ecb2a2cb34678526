"""Differences over seeds and classes, from the results of single queries, against a naive reading of the files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from losscope.errors import DamagedRecord
from losscope.files import read_json, write_json
from losscope.report import summarize
from losscope.statistics import crossed_bootstrap, crossed_interval, region_of, standing
from losscope.summary import crossing
from losscope.summary.crossing import COLUMNS, crossed_differences
from losscope.summary.measures import MAP_AT_R, RECALL_1
from losscope.summary.queries import QueryResults, aligned, files_of, rows_in

ONE_SPLIT = "one and the same"
LOSSES = [{"name": "contrastive", "margin": 1.0}, {"name": "triplet", "margin": 1.0}]
GAIN = {"contrastive": 0.0, "triplet": 0.1, "info_nce": 0.1}


def asked(classes: int = 20, each: int = 3, *, gap: float = 1.0) -> Any:
    """Queries of `classes` classes: levels differ by seed, class, loss and query; the first query has no relevant item."""

    def queries(place: Mapping[str, Any], seed: int) -> Mapping[str, Any]:
        count = classes * each
        random = np.random.default_rng([seed, len(place["loss"])])
        label = np.arange(count) % classes
        level = 0.4 + 0.05 * np.sin(label) + gap * GAIN[place["loss"]] + random.normal(0, 0.02, count)
        hits = [None, *level[1:].tolist()]
        return {"query": range(count), "label": label.tolist(), "recall_at_1": hits,
                "average_precision_at_r": (level / 2).tolist()}  # fmt: skip

    return queries


def table_of(folder: Path, loss: str, column: str) -> tuple[list[list[float]], list[int]]:
    """(seeds, queries) and labels, row by row."""
    groups = (path.parent for path in folder.glob("groups/*/queries.parquet"))
    (path,) = (group / "queries.parquet" for group in groups if read_json(group / "group.json")["loss"] == loss)
    found: dict[str, dict[int, float]] = {}
    labels: dict[int, int] = {}
    order: list[str] = []
    for row in pq.read_table(path).to_pylist():
        if (row["split"], row["epoch"]) == ("heldout", 3) and row[column] is not None:
            found.setdefault(row["run"], {})[row["query"]] = row[column]
            labels[row["query"]] = row["label"]
            order += [row["run"]] if row["run"] not in order else []
    queries = sorted(labels)
    return [[found[run][query] for query in queries] for run in order], [labels[query] for query in queries]


def test_crossed_differences_are_of_the_rows_on_disk(write_record: Any) -> None:
    folder = write_record(losses=LOSSES, seeds=13, fingerprint=ONE_SPLIT, queries=asked())
    found = crossed_differences(summarize(folder))
    assert not found.left_out
    assert [one.measure for one in found.differences] == [RECALL_1, MAP_AT_R]
    for one in found.differences:
        assert (one.first.loss, one.second.loss, one.family, one.bootstrap) == ("contrastive", "triplet", 1, None)
        first, labels = table_of(folder, "contrastive", COLUMNS[one.measure])
        second, _ = table_of(folder, "triplet", COLUMNS[one.measure])
        assert one.jackknife == crossed_interval(first, second, labels)
        region = region_of(one.measure.diagnostic)
        assert one.verdict == standing(crossed_interval(first, second, labels).interval, region) == "larger"
        assert one.jackknife.queries == 60 - (one.measure is RECALL_1)
        assert one.jackknife.interval.n == 13
        assert one.population == "other seeds and other classes like these, among the same distractors"
    assert found.differences[0].jackknife.interval.mean == pytest.approx(0.1, abs=0.01)


def test_verdicts_hold_for_all_differences_of_a_measure_together(write_record: Any) -> None:
    folder = write_record(losses=[*LOSSES, {"name": "info_nce", "temperature": [0.07, 0.1]}], seeds=13,
                          fingerprint=ONE_SPLIT, queries=asked())  # fmt: skip
    family = crossed_differences(summarize(folder)).of(RECALL_1)
    assert [(one.first.loss, one.second.loss) for one in family] == [  # one variant of each loss
        ("contrastive", "triplet"), ("contrastive", "info_nce"), ("triplet", "info_nce")
    ]  # fmt: skip
    first, labels = table_of(folder, "contrastive", "recall_at_1")
    wide = crossed_interval(first, table_of(folder, "triplet", "recall_at_1")[0], labels, level=1 - 0.05 / 3).interval
    assert (family[0].simultaneous, family[0].family) == (wide, 3)
    assert [one.verdict for one in family][:2] == ["larger", "larger"]


def test_few_classes_are_not_drawn_and_the_population_says_so(write_record: Any) -> None:
    folder = write_record(losses=LOSSES, fingerprint=ONE_SPLIT, queries=asked(10, 6))
    (one, _) = crossed_differences(summarize(folder)).differences
    first, labels = table_of(folder, "contrastive", "recall_at_1")
    second, _ = table_of(folder, "triplet", "recall_at_1")
    assert one.jackknife == crossed_interval(first, second, labels, classes="fixed")
    assert one.population == "other seeds and other queries of these 10 classes, among the same distractors"
    assert one.verdict == "cannot tell yet"  # five seeds


def test_equal_losses_are_equal_in_practice(write_record: Any) -> None:
    folder = write_record(losses=LOSSES, seeds=13, fingerprint=ONE_SPLIT, queries=asked(20, 10, gap=0.0))
    assert crossed_differences(summarize(folder)).differences[0].verdict == "equivalent"


def test_from_twenty_seeds_on_the_bootstrap_stands_beside(write_record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_record(losses=LOSSES, seeds=20, fingerprint=ONE_SPLIT, queries=asked())
    (one, _) = crossed_differences(summarize(folder)).differences
    first, labels = table_of(folder, "contrastive", "recall_at_1")
    second, _ = table_of(folder, "triplet", "recall_at_1")
    assert one.bootstrap == crossed_bootstrap(first, second, labels)
    monkeypatch.setattr(crossing, "MOST_BOOTSTRAPPED", 118)  # 59 queries and 60
    assert {one.bootstrap for one in crossed_differences(summarize(folder)).differences} == {None}


def left_out(folder: Path) -> dict[str, tuple[str, ...]]:
    found = crossed_differences(summarize(folder))
    assert not found.differences
    return found.left_out


TITLE = ("synthetic, protocol as_printed",)


@pytest.mark.parametrize(("settings", "reason"), [
    ({"queries": asked()}, "not applicable, each seed has data, and so queries, of its own"),
    ({"fingerprint": ONE_SPLIT}, "no results of single queries are stored"),
    ({"fingerprint": ONE_SPLIT, "queries": asked(), "seeds": 4}, "fewer than 5 seeds that two losses share"),
    ({"fingerprint": ONE_SPLIT, "queries": asked(6, 1)}, "fewer than 20 classes, one of them with a single query"),
])  # fmt: skip
def test_what_cannot_be_crossed_is_said(write_record: Any, settings: dict[str, Any], reason: str) -> None:
    assert left_out(write_record(losses=LOSSES, **settings)) == {reason: TITLE}


def test_runs_on_changed_data_are_not_crossed(write_record: Any) -> None:
    folder = write_record(losses=LOSSES, seeds=10, fingerprint=ONE_SPLIT, queries=asked())
    for path in folder.glob("groups/*/runs.json"):  # in both losses alike
        write_json(path, [
            record | {"data_fingerprint": "changed"} if record["seed"] > 7 else record for record in read_json(path)
        ])  # fmt: skip
    assert left_out(folder) == {"the data changed between runs, so their queries may be others": TITLE}


def test_a_report_reads_only_so_many_rows(write_record: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_record(losses=LOSSES, fingerprint=ONE_SPLIT, queries=asked(), protocols=[
        {"name": "one", "epochs": 3}, {"name": "two", "epochs": 3}
    ])  # fmt: skip
    per_protocol = 2 * 5 * 3 * 60
    monkeypatch.setattr(crossing, "MOST_ROWS", per_protocol + 1)
    found = crossed_differences(summarize(folder))
    assert {one.comparison.protocol for one in found.differences} == {"one"}
    ((reason, titles),) = found.left_out.items()
    assert titles == ("synthetic, protocol two",)
    assert reason == "more results of single queries than the 1,801 rows that one report reads"


def test_a_damaged_file_is_named_and_the_others_are_used(write_record: Any) -> None:
    folder = write_record(losses=LOSSES, fingerprint=ONE_SPLIT, queries=asked(), protocols=[
        {"name": "one", "epochs": 3}, {"name": "two", "epochs": 3}
    ])  # fmt: skip
    summary = summarize(folder)
    runs = [run.run for run in summary.comparisons[1].runs]
    damaged = next(iter(files_of(summary.studies, runs)))
    damaged.write_bytes(damaged.read_bytes()[:-20])
    with pytest.raises(DamagedRecord, match="can't be read"):
        rows_in([damaged])
    found = crossed_differences(summary)
    assert {one.comparison.protocol for one in found.differences} == {"one"}
    ((reason, titles),) = found.left_out.items()
    assert reason.startswith(f"{damaged} can't be read")
    assert titles == ("synthetic, protocol two",)


def test_a_run_in_two_folders_is_read_once(write_record: Any) -> None:
    one, other = (
        write_record(name, losses=LOSSES, fingerprint=ONE_SPLIT, queries=asked()) for name in ("one", "other")
    )
    summary = summarize([one, other])
    files = files_of(summary.studies, [run.run for run in summary.runs])
    assert {path.parents[2] for path in files} == {one}
    assert crossed_differences(summary).differences[0].jackknife == (
        crossed_differences(summarize(one)).differences[0].jackknife
    )


def results(queries: list[int], values: list[float], labels: list[int] | None = None) -> QueryResults:
    of = np.array(queries) % 2 if labels is None else np.array(labels)
    return QueryResults(np.array(queries), of, {"recall_at_1": np.array(values)})


def test_only_queries_that_every_seed_of_both_losses_has_are_compared() -> None:
    first = {
        0: results([1, 2, 3, 5], [0.1, 0.2, 0.3, 0.5]),
        1: results([1, 2, 5], [1.1, 1.2, 1.5]),
        7: results([9], [1.0]),
    }
    second = {
        0: results([0, 2, 3, 5], [9, 2.2, 2.3, 2.5]),
        1: results([2, 3, 5], [3.2, 3.3, np.nan]),
        8: results([9], [1.0]),
    }
    found = aligned(first, second, "recall_at_1")
    assert found is not None
    assert (found.seeds, found.labels.tolist()) == ((0, 1), [0])
    assert (found.first.tolist(), found.second.tolist()) == ([[0.2], [1.2]], [[2.2], [3.2]])


def test_queries_of_other_classes_are_not_compared() -> None:
    first = {0: results([1, 2], [0.1, 0.2])}
    assert aligned(first, {0: results([1, 2], [0.1, 0.2], [1, 1])}, "recall_at_1") is None
    assert aligned(first, {0: results([3, 4], [0.1, 0.2])}, "recall_at_1") is None
    assert aligned(first, {1: results([1, 2], [0.1, 0.2])}, "recall_at_1") is None
    assert aligned({}, {}, "recall_at_1") is None
