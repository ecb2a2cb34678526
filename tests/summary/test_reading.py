"""Records from disk: merging, what is left out, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from losscope.errors import DamagedRecord, InvalidInput, MissingData
from losscope.report import summarize
from losscope.summary.reading import read


def test_a_folder_without_a_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="no study in"):
        summarize(tmp_path)


def test_no_folder_is_refused() -> None:
    with pytest.raises(InvalidInput, match="at least one folder"):
        summarize([])


def test_a_torn_file_is_named(write_record: Any) -> None:
    folder = write_record()
    torn = next(folder.glob("groups/*/measurements.parquet"))
    torn.write_bytes(torn.read_bytes()[:100])
    with pytest.raises(DamagedRecord, match="can't be read"):
        summarize(folder)


def test_folders_merge_and_shared_runs_count_once(write_record: Any) -> None:
    one, other = write_record("one"), write_record("other", protocols=[{"name": "as_printed", "epochs": 3},
                                                                       {"name": "as_run", "epochs": 2}])  # fmt: skip
    record = read([one, other, one])
    assert len(record.studies) == 2
    assert len(record.runs) == 4 * 5 + 4 * 5
    assert [comparison.protocol for comparison in summarize([one, other]).comparisons] == ["as_printed", "as_run"]
    estimate = next(iter(summarize([one, other]).comparisons[0].estimates.values()))
    assert estimate.n == 5


def test_one_name_for_two_protocols_is_told_apart(write_record: Any) -> None:
    one = write_record("one")
    other = write_record("other", protocols=[{"name": "as_printed", "epochs": 2}])
    summary = summarize([one, other])
    assert [(part.protocol, part.epochs) for part in summary.comparisons] == [
        ("as_printed", 3),
        ("as_printed (other)", 2),
    ]
    assert [part.reference("input") is not None for part in summary.comparisons] == [True, True]


def test_diverged_and_failed_runs_are_in_no_mean(write_record: Any, values: Any) -> None:
    lost = {("contrastive", "", 1): "diverged", ("contrastive", "", 3): "failed"}
    folder = write_record(status=lost)
    comparison = summarize(folder).comparisons[0]
    contrastive = comparison.trained[0]
    estimate = comparison.estimates[contrastive, "intra_class_variance_mean/train/last"]
    rows = values(folder, loss="contrastive", diagnostic="intra_class_variance_mean", split="train", epoch=3)
    assert list(estimate.values) == [0, 2, 4]
    assert list(estimate.values.values()) == [rows[0], rows[2], rows[4]]


def test_a_running_study_is_readable(write_record: Any) -> None:
    folder = write_record(running=["triplet"])
    summary = summarize(folder)
    assert [subject.label for subject in summary.comparisons[0].trained] == ["contrastive"]
    assert (summary.studies[0].planned, len(summary.studies[0].trained)) == (15, 5)


def test_a_study_without_a_finished_run_is_readable(write_record: Any) -> None:
    summary = summarize(write_record(running=["contrastive", "triplet", "none"]))
    assert (summary.comparisons, summary.differences) == ((), ())
