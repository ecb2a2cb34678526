"""`losscope merge`: what several machines trained of one study is what one would have trained."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import losscope
from cli.conftest import Cli
from losscope.claims import ledger
from losscope.claims.document import claims_document
from losscope.errors import IncomparableRuns, InvalidInput, InvalidStudy, MissingData
from losscope.files import disk, read_json, write_json
from losscope.files.lock import locked
from losscope.receipts import merging
from losscope.report import write_report
from losscope.table import (
    damage_in,
    groups,
    read_ending,
    read_group,
    read_map,
    read_measurements,
    read_queries,
    read_runs,
)
from receipts.conftest import (
    Rows,
    Train,
    change_document,
    change_rows,
    change_value,
    doubled,
    files_of,
    group_of,
    reseal,
    small,
    times_a_thousand,
)

WHOLE = 0, 1, 2, 3


def rows_of(table: pa.Table) -> list[tuple[Any, ...]]:
    """All rows, in an order that does not depend on groups."""
    return sorted(zip(*(table[name].to_pylist() for name in table.column_names), strict=True), key=repr)


def tables_of(folder: Path) -> dict[str, list[Any]]:
    """Everything that the table says of a study."""
    steps = read_measurements(folder, steps=True)
    untimed = (replace(record, seconds=0.0, cpu_seconds=0.0) for record in read_runs(folder))
    return {
        "epochs": rows_of(read_measurements(folder)),
        "steps": rows_of(steps),
        "queries": rows_of(read_queries(folder)),
        "runs": sorted(map(repr, untimed)),
    }


def sorted_runs(value: Any) -> Any:
    """A document with its lists of digests in order: groups order them."""
    if isinstance(value, dict):
        return {
            key: sorted(part, key=repr) if key == "runs" and isinstance(part, list) else sorted_runs(part)
            for key, part in value.items()
        }
    return [sorted_runs(part) for part in value] if isinstance(value, list) else value


def reported(folder: Path, out: Path) -> tuple[Any, Any]:
    """The numbers of the report and of the ledger, without the folder's name and the clock's."""
    write_report(folder, out)
    claims = json.dumps(sorted_runs(claims_document(ledger([folder]))))
    report = json.loads((out / "report.json").read_text().replace(str(folder), "FOLDER"))
    del report["sha256"]  # of a file that names the folder
    return sorted_runs(report), json.loads(claims.replace(str(folder), "FOLDER"))


@pytest.mark.parametrize(
    "parts",
    [((0, 1), (2, 3)), ((2, 3), (0, 1)), ((0, 1, 2), (1, 2, 3)), ((0, 1), (2, 3), (0, 1, 2))],
    ids=["disjoint", "other order", "overlapping", "contained"],
)
def test_merged_folders_are_one_study(trained: Train, tmp_path: Path, parts: tuple[tuple[int, ...], ...]) -> None:
    folders = [trained(*seeds) for seeds in parts]
    before = [files_of(folder) for folder in folders]
    out = tmp_path / "merged"
    found = losscope.merge(folders, out)
    assert [files_of(folder) for folder in folders] == before
    assert (found.runs, found.added, found.damaged, found.unfinished) == (16, 16, (), ())
    assert found.doubled == 4 * sum(map(len, parts)) - 16
    assert tables_of(out) == tables_of(trained(*WHOLE))
    assert damage_in(out) == []
    assert read_json(out / "study.json") == read_json(trained(*WHOLE) / "study.json")
    whole = losscope.run(small(WHOLE), out, jobs=1)
    assert (whole.records, whole.finished_before) == ((), 16)  # nothing is missing
    assert losscope.verify(out, runs=1).outcome == "passed"


def test_report_and_claims_of_merged_folders_are_those_of_one_study(trained: Train, tmp_path: Path) -> None:
    """Also where groups overlap, and some are new in part."""
    out = tmp_path / "merged" / "folder"
    losscope.merge([trained(0, 1, 2), trained(1, 2, 3)], out)
    whole = shutil.copytree(trained(*WHOLE), tmp_path / "whole" / "folder")
    assert reported(out, tmp_path / "a") == reported(whole, tmp_path / "b")


def test_folders_on_another_path_and_clocks_that_disagree_change_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: Train
) -> None:
    ticks = iter(range(10**9, 0, -1000))
    monkeypatch.setattr(time, "time", lambda: float(next(ticks)))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(ticks)))
    monkeypatch.setattr(time, "perf_counter", lambda: float(next(ticks)))
    monkeypatch.setattr(time, "process_time", lambda: float(next(ticks)))
    for name, seeds in (("late", (0, 1)), ("early", (2, 3))):
        losscope.run(small(seeds), tmp_path / name, jobs=1)
    moved = tmp_path / "somewhere" / "else"
    moved.parent.mkdir()
    shutil.move(tmp_path / "late", moved)
    losscope.merge([moved, tmp_path / "early"], tmp_path / "out")
    there = shutil.move(tmp_path / "out", tmp_path / "there")
    assert tables_of(there) == tables_of(trained(*WHOLE))
    assert losscope.verify(there, runs=1).outcome == "passed"


def test_a_merge_can_be_repeated_and_grown(trained: Train, tmp_path: Path, cli: Cli) -> None:
    out = tmp_path / "merged"
    first = cli("merge", trained(0, 1), trained(2, 3), "--out", out)
    assert (first.code, first.out) == (0, f"{out}: 16 runs added, 0 there already; 16 in all.\n")
    before = files_of(out)
    again = cli("merge", trained(0, 1), trained(2, 3), "--out", out, "--json").json()
    assert (again["added"], again["doubled"], again["runs"]) == (0, 16, 16)
    assert files_of(out) == before
    grown = losscope.merge([trained(3, 4), out], out)  # itself among the sources: no matter
    assert (grown.added, grown.runs) == (4, 20)
    assert read_json(out / "study.json")["seeds"] == [0, 1, 2, 3, 4]
    manifest = read_json(out / "manifest.json")
    assert len(manifest["invocations"]) == 3
    assert set(manifest["data"]["synthetic"]["fingerprints"]) == {"0", "1", "2", "3", "4"}
    assert [one["runs"] for one in manifest["merged"]] == [16, 4]
    assert manifest["study"]["seeds"] == [0, 1, 2, 3, 4]


class Interrupted(BaseException):
    """As Ctrl-C, or the end of the machine."""


def test_a_merge_interrupted_at_a_write_is_repeatable(
    copied: Train, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [without_triplet(copied(*seeds, name=name)) for name, seeds in (("a", (0, 1)), ("b", (1, 2)))]
    renames = 0
    rename = disk.rename

    def counted(temporary: Path, path: Path) -> None:
        nonlocal renames
        renames += 1
        rename(temporary, path)

    monkeypatch.setattr(disk, "rename", counted)
    losscope.merge(folders, tmp_path / "whole")
    expected, writes = tables_of(tmp_path / "whole"), renames
    assert writes > 20
    for end in sorted({0, 1, 2, 3, writes - 1, *range(6, writes, 6)}):
        out, renames = tmp_path / f"out{end}", 0

        def dying(temporary: Path, path: Path, end: int = end) -> None:
            nonlocal renames
            renames += 1
            if renames > end:
                raise Interrupted
            rename(temporary, path)

        monkeypatch.setattr(disk, "rename", dying)
        with pytest.raises(Interrupted):
            losscope.merge(folders, out)
        monkeypatch.setattr(disk, "rename", rename)
        losscope.merge(folders, out)
        assert tables_of(out) == expected
        assert damage_in(out) == []


KILLED = """
import os, sys
from losscope.files import disk
from losscope.receipts.merging import merge

rename, end, begun = disk.rename, int(sys.argv[1]), 0

def dying(path, target):
    global begun
    begun += 1
    if begun > end:
        os._exit(9)
    rename(path, target)

disk.rename = dying
merge(sys.argv[3:], sys.argv[2])
"""


@pytest.mark.parametrize("end", [0, 7])
def test_a_merge_that_was_killed_is_repeatable(copied: Train, tmp_path: Path, end: int) -> None:
    """Nothing cleans up after it: also what it was about to write lies there."""
    folder, out = without_triplet(copied(0, 1)), tmp_path / "out"
    killed = subprocess.run([sys.executable, "-c", KILLED, str(end), str(out), str(folder)], check=False)
    assert killed.returncode == 9
    assert list(out.rglob(".*.partial"))
    losscope.merge([folder], out)
    assert tables_of(out) == tables_of(folder)
    assert damage_in(out) == []
    assert not list(out.rglob(".*"))


def without_triplet(folder: Path) -> Path:
    """Half of the groups, for what writes them often."""
    for group in groups(folder):
        if read_group(group)["loss"] == "triplet":
            shutil.rmtree(group)
    return folder


def test_a_group_that_another_process_trains_is_left_to_it(
    copied: Train, trained: Train, tmp_path: Path, cli: Cli
) -> None:
    """As a worker whose driver was killed does: it writes on, and ends the group when it is done."""
    out = copied(0, 1, name="out")
    group = group_of(out, "contrastive")
    ending = (group / "runs.json").read_bytes()
    (group / "runs.json").unlink()
    before = files_of(group)
    with locked(group / "group.json"):
        called = cli("merge", trained(0, 1), trained(2, 3), "--out", out)
    assert called.code == 1
    assert called.err == f"Left out, since another process trains it: {group}; repeat this when it has ended\n"
    assert called.out == f"{out}: 8 runs added, 6 there already; 14 in all.\n"
    assert files_of(group) == before
    (group / "runs.json").write_bytes(ending)
    again = losscope.merge([trained(0, 1), trained(2, 3)], out)
    assert (again.added, again.runs, again.busy) == (0, 16, ())
    assert tables_of(out) == tables_of(trained(*WHOLE))


def test_a_group_that_ends_while_others_are_merged_is_kept(
    copied: Train, trained: Train, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = copied(0, 1, name="out")
    group = group_of(out, "contrastive")
    ending = (group / "runs.json").read_bytes()
    (group / "runs.json").unlink()
    before = files_of(group)
    found = merging.contradictions

    def ended(runs: Any) -> list[str]:
        (group / "runs.json").write_bytes(ending)
        return found(runs)

    monkeypatch.setattr(merging, "contradictions", ended)
    assert losscope.merge([trained(0, 1)], out).busy == (str(group),)
    assert files_of(group) == {**before, "runs.json": ending}


def test_what_is_wrong_is_refused_from_either_side(copied: Train, trained: Train, tmp_path: Path) -> None:
    """Also where another machine may have made it, whichever folder comes first."""
    wrong, right = copied(*WHOLE), trained(0, 1)
    run, *_ = times_a_thousand(wrong, 1)
    for folders in ((wrong, right), (right, wrong)):
        with pytest.raises(IncomparableRuns, match=rf"3 runs contradict each other: run {run} "):
            losscope.merge(folders, tmp_path / "out")


def without_effective_rank(rows: Rows) -> Rows:
    return [row for row in rows if row["diagnostic"] != "effective_rank"]


@pytest.mark.parametrize("edit", [doubled, without_effective_rank])
def test_rows_that_are_lost_or_stand_twice_are_refused_from_either_side(
    copied: Train, trained: Train, tmp_path: Path, edit: Callable[[Rows], Rows]
) -> None:
    folder = copied(0, 1)
    change_rows(group_of(folder, "contrastive"), edit)
    for folders in ((folder, trained(0, 1)), (trained(0, 1), folder)):
        with pytest.raises(IncomparableRuns, match=r"2 runs contradict each other: .* rows stand in one of them only"):
            losscope.merge(folders, tmp_path / "out")


def test_a_folder_begun_elsewhere_keeps_what_it_trains(copied: Train, trained: Train) -> None:
    """A group of the target that has not ended is finished by the copy of the same runs, and left alone by others."""
    out = copied(0, 1, 2, name="out")
    same = group_of(out, "contrastive")
    (same / "runs.json").unlink()
    found = losscope.merge([trained(0, 1, 2), trained(1, 2, 3)], out)
    assert found.added == 3 + 4
    assert tables_of(out) == tables_of(trained(*WHOLE))
    other = copied(0, 1, 2, name="other")
    (group_of(other, "contrastive") / "runs.json").unlink()
    assert losscope.merge([trained(1, 2, 3)], other).added == 4  # seeds 1 and 2 are for that group to train
    losscope.run(small((0, 1, 2)), other, jobs=1)
    assert tables_of(other) == tables_of(trained(*WHOLE))


def test_damaged_groups_are_named_and_the_rest_is_merged(
    copied: Train, trained: Train, tmp_path: Path, cli: Cli
) -> None:
    torn = copied(0, 1)
    path = group_of(torn, "contrastive") / "measurements.parquet"
    path.write_bytes(path.read_bytes()[:-7])
    called = cli("merge", torn, trained(1, 2), "--out", tmp_path / "out")
    assert called.code == 1
    assert f"Left out: {path} has" in called.err
    assert f"{tmp_path / 'out'}: 11 runs added" in called.out  # seed 1 of contrastive comes from the other folder
    assert damage_in(tmp_path / "out") == []
    ended = {(record.loss, record.seed) for record in read_runs(tmp_path / "out")}
    assert ("contrastive", 0) not in ended
    assert ("contrastive", 1) in ended
    (tmp_path / "out" / "groups" / group_of(tmp_path / "out", "contrastive").name / "runs.json").write_text("{")
    with pytest.raises(InvalidInput, match="is damaged: "):
        losscope.merge([trained(1, 2)], tmp_path / "out")


def test_groups_that_have_not_ended_are_left_out_and_named(copied: Train, tmp_path: Path, cli: Cli) -> None:
    folder = copied(0, 1)
    group = group_of(folder, "contrastive")
    (group / "runs.json").unlink()
    called = cli("merge", folder, "--out", tmp_path / "out")
    assert called.code == 0
    assert called.err == f"Left out, since it has not ended: {group}\n"
    assert len(read_runs(tmp_path / "out")) == 6


def test_contradictions_are_named_and_nothing_is_written(
    copied: Train, trained: Train, tmp_path: Path, cli: Cli
) -> None:
    folder = copied(1, 2)
    group = group_of(folder, "triplet", "squared=true")
    run = read_group(group)["runs"][0]
    change_value(group, lambda value: value + 1, run=run, diagnostic="recall_at_k", item=5, epoch=2)
    out = tmp_path / "out"
    called = cli("merge", trained(0, 1), folder, "--out", out)
    assert called.code == 2
    assert f"1 runs contradict each other: run {run} (synthetic short triplet squared=true, seed 1)" in called.err
    assert "differ in heldout recall_at_k" in called.err
    assert not out.exists()


def test_counts_contradict_each_other_too(copied: Train, trained: Train, tmp_path: Path) -> None:
    folder = copied(0, 1)
    group = group_of(folder, "contrastive")
    records = read_ending(group / "runs.json").records
    reseal(group, [replace(one, terms=2 * one.terms) for one in records])
    with pytest.raises(IncomparableRuns, match=r"2 runs contradict each other: .* differ in terms \("):
        losscope.merge([trained(0, 1), folder], tmp_path / "out")


def test_what_differs_by_less_than_the_tolerance_of_verify_is_one_run(
    copied: Train, trained: Train, tmp_path: Path
) -> None:
    folder = copied(1, 2)
    change_value(group_of(folder, "contrastive"), lambda value: value * (1 + 1e-7), diagnostic="loss", epoch=2)
    losscope.merge([trained(0, 1), folder], tmp_path / "out")
    losses = [
        (row["seed"], row["value"])
        for row in read_measurements(tmp_path / "out").to_pylist()
        if (row["loss"], row["diagnostic"], row["epoch"]) == ("contrastive", "loss", 2)
    ]
    first = {row["seed"]: row["value"] for row in read_measurements(trained(0, 1)).to_pylist()
             if (row["loss"], row["diagnostic"], row["epoch"]) == ("contrastive", "loss", 2)}  # fmt: skip
    assert sorted(seed for seed, _ in losses) == [0, 1, 2]
    assert dict(losses)[1] == first[1]  # the first that was given


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"protocol": [{"name": "short", "model": {"widths": [8, 4]}, "epochs": 3, "batch": {"terms": 16}}]},
         "protocol.short.epochs: 2 against 3"),
        ({"loss": [{"name": "contrastive", "margin": 0.5}, {"name": "triplet", "squared": [False, True]}]},
         "loss.contrastive.margin: nothing against 0.5"),
        ({"name": "other"}, "name: 'small' against 'other'"),
    ],
)  # fmt: skip
def test_other_studies_are_refused_by_the_keys_that_differ(
    copied: Train, trained: Train, tmp_path: Path, changes: dict[str, Any], told: str
) -> None:
    folder = copied(2, 3)
    other = small((2, 3), **changes)
    write_json(folder / "study.json", {"schema": 3, "seeds": [2, 3], **other.comparable()})
    with pytest.raises(InvalidStudy, match=f"hold different studies: {told}[.;]"):
        losscope.merge([trained(0, 1), folder], tmp_path / "out")
    assert not (tmp_path / "out").exists()
    before = files_of(folder)
    with pytest.raises(InvalidStudy, match="hold different studies"):
        losscope.merge([trained(0, 1)], folder)
    assert files_of(folder) == before


def test_other_data_are_refused(copied: Train, trained: Train, tmp_path: Path) -> None:
    folder = copied(1, 2)
    manifest = read_json(folder / "manifest.json")
    manifest["data"]["synthetic"]["fingerprints"]["1"] = "f" * 64
    write_json(folder / "manifest.json", manifest)
    with pytest.raises(IncomparableRuns, match="the fingerprint of 'synthetic' differs for seed 1;"):
        losscope.merge([trained(0, 1), folder], tmp_path / "out")
    shared = {"data": {"mnist": {"fingerprints": {"0": "a", "1": "a"}}}}
    others = {"data": {"mnist": {"fingerprints": {"2": "b"}}}}
    with pytest.raises(IncomparableRuns, match="the fingerprint of 'mnist' differs for seed 2;"):
        merging.check_same_data({Path("a"): shared, Path("b"): others})
    merging.check_same_data({Path("a"): shared, Path("b"): {"data": {"mnist": {"fingerprints": {"2": "a"}}}}})


def test_one_seed_under_two_digests_is_refused(copied: Train, trained: Train, tmp_path: Path) -> None:
    """As of two numerics versions, or of a loss of the user's own that was changed in between."""
    folder = copied(1, 2)
    group = group_of(folder, "contrastive")
    digests = ["0123456789abcdef", "fedcba9876543210"]
    records = read_ending(group / "runs.json").records
    change_document(group / "group.json", runs=digests)
    reseal(group, [replace(record, run=run) for record, run in zip(records, digests, strict=True)])
    with pytest.raises(
        IncomparableRuns, match=r"seed 1 of synthetic short contrastive: .* has run 0123456789abcdef: other data"
    ):
        losscope.merge([trained(0, 1), folder], tmp_path / "out")


def test_inputs_that_all_seeds_share_are_kept_once(tmp_path: Path) -> None:
    short = {"name": "short", "model": {"widths": [8, 4]}, "epochs": 1, "batch": {"terms": 512}}
    digits = {"data": [{"name": "digits"}], "protocol": [short], "loss": [{"name": "contrastive"}]}
    for name, seeds in (("a", (1,)), ("b", (0,))):
        losscope.run(small(seeds, **digits), tmp_path / name, jobs=1)
    losscope.merge([tmp_path / "a", tmp_path / "b"], tmp_path / "out")
    assert sorted((record.loss, record.seed) for record in read_runs(tmp_path / "out")) == [
        ("contrastive", 0), ("contrastive", 1), ("none", 0),
    ]  # fmt: skip
    assert losscope.run(small((0, 1), **digits), tmp_path / "out", jobs=1).records == ()


def test_what_is_no_folder_of_a_study_is_refused(trained: Train, tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="no study in"):
        losscope.merge([tmp_path], tmp_path / "out")
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InvalidStudy, match=r"is not empty \(thesis.tex\) and holds no study"):
        losscope.merge([trained(0, 1)], tmp_path)
    with pytest.raises(InvalidInput, match="nothing to merge"):
        losscope.merge([trained(0, 1)], trained(0, 1))


def test_planes_are_those_of_first_runs(trained: Train, tmp_path: Path) -> None:
    losscope.merge([trained(0, 1, 2), trained(1, 2, 3)], tmp_path / "out")
    shown = set(read_map(tmp_path / "out")["run"].to_pylist())
    assert shown == set(read_map(trained(0, 1, 2))["run"].to_pylist())
    for group in groups(tmp_path / "out"):
        assert len(read_group(group)["runs"]) in (1, 3)
