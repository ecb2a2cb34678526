"""Paired differences on request: equal to the table's rows, and refused by name where more than the loss differs."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import losscope
from losscope.errors import IncomparableRuns, InvalidInput, UnknownName
from losscope.summary import summarize
from losscope.summary.measures import RECALL_1
from losscope.summary.pairing import Side, compare, on_equal_data, seeds_of_other_data

LAST = 3
NARROW = {"name": "narrow", "epochs": 3, "model": {"widths": [64, 32]}}


def naive(values: Any, folder: Path, first: dict[str, str], second: dict[str, str]) -> list[float]:
    shared = {"diagnostic": "recall_at_k", "item": 1, "split": "heldout", "epoch": LAST}
    one, other = values(folder, **shared, **first), values(folder, **shared, **second)
    return [theirs - ours for ours, theirs in zip(one, other, strict=True)]


def test_the_difference_is_that_of_the_rows(write_record: Any, values: Any) -> None:
    folder = write_record()
    found = compare(folder, "contrastive", "triplet squared=true")
    each = naive(values, folder, {"loss": "contrastive"}, {"loss": "triplet", "variant": "squared=true"})
    assert (found.difference.n, found.difference.interval.mean) == (5, pytest.approx(np.mean(each)))
    assert found.population == "other draws of the data and seeds"
    assert str(found).startswith("triplet squared=true - contrastive, Recall@1: ")
    back = compare(folder, {"loss": "triplet", "variant": "squared=true"}, {"loss": "contrastive"}, "Recall@1")
    assert back.difference.interval.mean == -found.difference.interval.mean
    assert compare(write_record("fixed", fingerprint="one"), "contrastive", "triplet squared=true").population == (
        "other seeds on this split"
    )


def test_the_front_door_compares(write_record: Any) -> None:
    assert losscope.compare(write_record(), "contrastive", "raw input", "map_at_r/evaluation/last").difference.n == 5


@pytest.mark.parametrize(("settings", "said"), [
    ({"model": {"widths": [128]}}, r"protocol model.widths: \[64, 32\] against \[128\]"),
    ({"labels": "shuffled"}, "protocol labels: given against shuffled"),
    ({"optimizer": {"lr": 0.01}}, "protocol optimizer.lr: 0.001 against 0.01"),
    ({"batch": {"terms": 32}}, "protocol batch.terms: 64 against 32"),
    ({"inputs": "unit_length"}, "protocol inputs: raw against unit_length"),
    ({"epochs": 4}, "protocol epochs: 3 against 4"),
])  # fmt: skip
def test_every_setting_that_differs_is_named(write_record: Any, settings: dict[str, Any], said: str) -> None:
    folder = write_record(protocols=[NARROW, {**NARROW, "name": "other", **settings}])
    one, other = {"loss": "contrastive", "protocol": "narrow"}, {"loss": "contrastive", "protocol": "other"}
    with pytest.raises(IncomparableRuns, match=said) as caught:
        compare(folder, one, other)
    assert "more than the loss differs" in str(caught.value)
    assert str(caught.value).count(" against ") == 1
    assert (
        compare(
            folder, {**one, "loss": "contrastive"}, {**one, "loss": "triplet", "variant": "squared=false"}
        ).difference.n
        == 5
    )


def test_protocols_that_differ_in_what_they_look_at_are_comparable(write_record: Any) -> None:
    folder = write_record(protocols=[NARROW, {**NARROW, "name": "watched", "evaluate_at": [1]}])
    found = compare(
        folder, {"loss": "contrastive", "protocol": "narrow"}, {"loss": "contrastive", "protocol": "watched"}
    )
    assert found.difference.n == 5


def test_data_sets_splits_and_inputs_are_told_apart(write_record: Any) -> None:
    folder = write_record(datasets=[{"name": "synthetic"}, {"name": "digits"}])
    with pytest.raises(IncomparableRuns, match="dataset: synthetic against digits"):
        compare(folder, {"loss": "contrastive", "dataset": "synthetic"}, {"loss": "contrastive", "dataset": "digits"})
    two = write_record("two", protocols=[NARROW, {**NARROW, "name": "other", "model": {"widths": [8]}}])
    inputs = [{"loss": "none", "variant": "input", "protocol": name} for name in ("narrow", "other")]
    assert compare(two, *inputs).difference.interval.mean != 0  # an input knows nothing of the model


def change(folder: Path, name: str, edit: Any) -> None:
    """Edit a JSON file of every triplet group, or of the study."""
    for path in folder.glob(name):
        document = json.loads(path.read_text())
        edit(document)
        path.write_text(json.dumps(document))


def test_other_data_at_equal_seeds_are_named(write_record: Any) -> None:
    def other_data(document: list[dict[str, Any]]) -> None:
        for run in document:
            if run["seed"] in (2, 4):
                run["data_fingerprint"] = "changed since then"

    folder = write_record()
    change(folder, "groups/*/runs.json", lambda runs: other_data(runs) if runs[0]["loss"] == "triplet" else None)
    with pytest.raises(IncomparableRuns, match="data fingerprint at seed 2 and 1 more: data 2 against changed sinc"):
        compare(folder, "contrastive", "triplet squared=true")


def test_a_reports_differences_leave_out_seeds_on_other_data(write_record: Any) -> None:
    def other_data(document: list[dict[str, Any]]) -> None:
        for run in document:
            if run["loss"] == "triplet" and run["seed"] in (2, 4):
                run["data_fingerprint"] = "changed since then"

    folder = write_record()
    change(folder, "groups/*/runs.json", other_data)
    seeds = {frozenset({one.first.loss, one.second.loss}): one.paired.seeds for one in summarize(folder).differences}
    assert seeds == {frozenset({"contrastive", "triplet"}): (0, 1, 3), frozenset({"triplet"}): (0, 1, 2, 3, 4)}


def test_no_pair_of_two_comparisons_is_of_other_data(write_record: Any) -> None:
    def other_data(document: list[dict[str, Any]]) -> None:
        for run in document:
            if run["protocol"] == "other" and run["seed"] in (2, 4):
                run["data_fingerprint"] = "changed since then"

    folder = write_record(protocols=[NARROW, {**NARROW, "name": "other"}])
    change(folder, "groups/*/runs.json", other_data)
    one, other = summarize(folder).comparisons
    first, second = Side(one, one.trained[0]), Side(other, other.trained[1])
    assert seeds_of_other_data(first, second) == {2, 4}
    found = on_equal_data(first, second, RECALL_1)
    assert found is not None
    assert [list(side) for side in found] == [[0, 1, 3], [0, 1, 3]]
    assert seeds_of_other_data(first, first) == set()


def test_seeds_that_are_not_shared_are_named(write_record: Any) -> None:
    lost = {("contrastive", "", seed): "diverged" for seed in (0, 1)} | {
        ("triplet", "squared=true", seed): "diverged" for seed in (2, 3, 4)
    }
    with pytest.raises(IncomparableRuns, match=re.escape("has the seeds [2, 3, 4] and triplet squared=true")):
        compare(write_record(status=lost), "contrastive", "triplet squared=true")


def test_numerics_versions_are_told_apart(write_record: Any) -> None:
    one = write_record("one", losses=[{"name": "contrastive"}])
    other = write_record("other", losses=[{"name": "triplet"}])
    for folder, version in ((one, 1), (other, 2)):
        change(
            folder,
            "manifest.json",
            lambda document, version=version: document["invocations"][0].update(numerics=version),
        )
    with pytest.raises(IncomparableRuns, match=r"numerics version: \[1\] against \[2\]"):
        compare([one, other], "contrastive", "triplet")


def test_what_is_not_there_or_is_several_is_said(write_record: Any) -> None:
    folder = write_record(protocols=[NARROW, {**NARROW, "name": "other", "model": {"widths": [8]}}])
    with pytest.raises(UnknownName, match="did you mean 'contrastive'"):
        compare(folder, "contrastiv", "triplet")
    with pytest.raises(InvalidInput, match="means 2 of the losses of this record; expected one"):
        compare(folder, "contrastive", "triplet")
    with pytest.raises(InvalidInput, match="means 2 of the losses"):
        compare(folder, "triplet", "contrastive", protocol="narrow")
    with pytest.raises(UnknownName, match="unknown measure 'recall'"):
        compare(folder, "contrastive", "raw input", "recall", protocol="narrow")
    with pytest.raises(UnknownName, match="column to choose runs by: 'seed'"):
        compare(folder, {"seed": "1"}, "contrastive")
    with pytest.raises(InvalidInput, match=r"raw input .* has no value of loss/training/last"):
        compare(folder, "contrastive", "raw input", "loss/training/last", protocol="narrow")
