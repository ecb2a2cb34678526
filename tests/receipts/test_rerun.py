"""`losscope rerun`: one run, by the beginning of its digest, trained anew into a folder of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

import losscope
from cli.conftest import Cli
from losscope.errors import InvalidInput, UnknownName
from losscope.receipts import recomputing
from losscope.receipts.recorded import ended_runs, find
from losscope.table import read_group, read_measurements, read_runs
from receipts.conftest import Train, change_document, change_value, files_of, group_of, reseal


def test_a_run_is_trained_anew_into_a_folder_of_its_own(copied: Train, tmp_path: Path, cli: Cli) -> None:
    folder = copied(0, 1, 2)
    run = read_group(group_of(folder, "triplet", "squared=true"))["runs"][1]
    called = cli("rerun", folder, run[:9])
    assert called.code == 0, called.err
    assert f"identical  {run} (synthetic short triplet squared=true, seed 1)" in called.out
    own = folder / "reruns" / run
    assert called.out.splitlines()[-1] == f"Its record: {own}"
    (record,) = read_runs(own)
    assert (record.run, record.seed, record.variant) == (run, 1, "squared=true")
    recorded = [row for row in read_measurements(folder).to_pylist() if row["run"] == run]
    assert sorted(read_measurements(own).to_pylist(), key=repr) == sorted(recorded, key=repr)
    assert len(read_runs(folder)) == 12  # the new folder is no part of the study
    document = cli("rerun", folder, run, "--out", tmp_path / "own", "--json").json()
    assert (document["verdict"], document["folder"]) == ("identical", str(tmp_path / "own"))
    with pytest.raises(InvalidInput, match="holds this run already; remove that folder"):
        losscope.rerun(folder, run)


def test_a_different_run_is_told_and_its_record_kept(copied: Train, cli: Cli) -> None:
    folder = copied(0)
    group = group_of(folder, "contrastive")
    change_value(group, lambda value: value + 1, diagnostic="loss", epoch=2)
    called = cli("rerun", folder, read_group(group)["runs"][0])
    assert called.code == 3
    assert "epochs loss: 1 of 3 rows differ; 1 beyond tolerance; most at epoch 2: " in called.out
    assert len(list(folder.glob("reruns/*/groups/*/runs.json"))) == 1


def test_inputs_can_be_measured_anew(trained: Train, tmp_path: Path) -> None:
    (run,) = read_group(group_of(trained(0), "none", "input"))["runs"]
    checked, place = losscope.rerun(trained(0), run, tmp_path / "own")
    assert checked.verdict == "identical"
    assert [record.loss for record in read_runs(place)] == ["none"]


def test_digests_that_no_run_or_several_runs_have_are_refused(copied: Train, cli: Cli) -> None:
    folder = copied(0, 1, 2)
    before = files_of(folder)
    called = cli("rerun", folder, "xyz")
    assert called.code == 2
    assert "unknown run 'xyz'" in called.err
    for group, runs in (
        (group_of(folder, "contrastive"), ["abc0", "abc1", "b"]),
        (group_of(folder, "triplet", "squared=false"), ["abd0", "c", "d"]),
    ):
        records = [record for record in read_runs(folder) if record.run in read_group(group)["runs"]]
        change_document(group / "group.json", runs=runs)
        reseal(group, [type(one)(**{**vars(one), "run": run}) for one, run in zip(records, runs, strict=True)])
    ended = ended_runs(folder)
    with pytest.raises(InvalidInput, match=r"'ab' begins the digests of 3 runs: .*abc0.*; give more of the digest"):
        find(ended, "ab")
    with pytest.raises(InvalidInput, match="begins the digests of 2 runs"):
        find(ended, "abc")
    assert find(ended, "abd").record.run == "abd0"
    with pytest.raises(UnknownName):
        find(ended, "")
    assert set(files_of(folder)) == set(before)


def test_what_cannot_be_recomputed_is_refused_with_its_reason(
    trained: Train, tmp_path: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recomputing, "NUMERICS_VERSION", 7)
    (run,) = read_group(group_of(trained(0), "contrastive"))["runs"]
    called = cli("rerun", trained(0), run, "--out", tmp_path / "own")
    assert called.code == 2
    assert (
        f"run {run} (synthetic short contrastive, seed 0) can't be recomputed: it was trained under numerics"
        in called.err
    )
    assert not (tmp_path / "own").exists()
