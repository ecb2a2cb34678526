"""Damage is named, set aside, and only what was lost is trained again; whatever reads the rest says what is missing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from dying import STUDY, study_file

import losscope
from losscope.claims import ledger
from losscope.cli import main
from losscope.errors import DamagedRecord, InvalidInput, MissingData
from losscope.files import read_json, write_json
from losscope.receipts import repairing
from losscope.report import write_report
from losscope.study import parse
from losscope.sweep.lock import driving
from losscope.table import Damage, damage_in, read_measurements, read_runs

LOSSES = [{"name": "contrastive"}, {"name": "triplet"}]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained") / "study"
    losscope.run(parse(STUDY | {"loss": LOSSES}), folder, jobs=1)
    return folder


@pytest.fixture
def folder(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "study"))


def group_of(folder: Path, loss: str) -> Path:
    (found,) = folder.glob(f"groups/*--{loss}--*")
    return found


def break_(path: Path) -> Path:
    """Flip one bit in the middle of a file."""
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    return path


def same(folder: Path, trained: Path) -> bool:
    """All rows and records, bit for bit, but for the seconds."""
    timeless = [[replace(one, seconds=0, cpu_seconds=0) for one in read_runs(of)] for of in (folder, trained)]
    epochs, steps = ([read_measurements(of, steps=steps) for of in (folder, trained)] for steps in (False, True))
    return timeless[0] == timeless[1] and pa.Table.equals(*epochs) and pa.Table.equals(*steps)


FILES = ["group.json", "runs.json", "measurements.parquet", "steps.parquet", "queries.parquet", "map.parquet", "environment.json"]  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_only_the_damaged_group_is_trained_again(folder: Path, trained: Path, name: str) -> None:
    broken = break_(group_of(folder, "triplet") / name)
    kept = (group_of(folder, "contrastive") / "runs.json").stat().st_ino
    found = losscope.repair(folder, jobs=1)
    assert [one.file for one in found.damaged] == [broken]
    assert str(broken) in found.damaged[0].problem
    assert list(found.aside) == [broken.parent]
    assert (found.aside[broken.parent] / name).is_file()
    assert {record.loss for record in found.records} == {"triplet"}
    assert found.lost == tuple(record.run for record in read_runs(trained) if record.loss == "triplet")
    assert found.whole
    assert damage_in(folder) == []
    assert same(folder, trained)
    assert (group_of(folder, "contrastive") / "runs.json").stat().st_ino == kept


def test_a_lost_file_and_a_lost_group_file_are_damage(folder: Path, trained: Path) -> None:
    (group_of(folder, "triplet") / "measurements.parquet").unlink()
    (group_of(folder, "contrastive") / "group.json").unlink()
    found = losscope.repair(folder, jobs=1)
    assert all("is missing" in one.problem for one in found.damaged)
    assert found.whole
    assert same(folder, trained)


def test_runs_that_nobody_knows_any_more_are_those_that_the_study_misses(folder: Path, trained: Path) -> None:
    for name in ("group.json", "runs.json"):
        break_(group_of(folder, "triplet") / name)
    found = losscope.repair(folder, jobs=1)
    assert found.lost is None
    assert {record.loss for record in found.records} == {"triplet"}
    assert same(folder, trained)


def test_twice_the_same_damage_is_set_aside_twice(folder: Path) -> None:
    for _ in range(2):
        break_(group_of(folder, "none") / "map.parquet")
        assert losscope.repair(folder, jobs=1).whole
    assert len(list((folder / "damaged").iterdir())) == 2


def test_runs_that_never_were_are_left_to_the_study(folder: Path, trained: Path) -> None:
    """What was lost is trained again, and nothing else."""
    shutil.rmtree(group_of(folder, "contrastive"))
    break_(group_of(folder, "triplet") / "runs.json")
    assert {record.loss for record in losscope.repair(folder, jobs=1).records} == {"triplet"}
    assert {record.loss for record in read_runs(folder)} == {"none", "triplet"}
    losscope.run(parse(STUDY | {"loss": LOSSES}), folder, jobs=1)
    assert same(folder, trained)


@pytest.mark.parametrize("harm", [break_, Path.unlink])
def test_the_study_and_the_manifest_are_rebuilt_from_one_another(
    folder: Path, trained: Path, harm: Callable[[Path], Any]
) -> None:
    for name in ("study.json", "manifest.json"):
        harm(folder / name)
        found = losscope.repair(folder, jobs=1)
        assert found.rebuilt == (folder / name,)
        assert found.whole
        assert found.records == ()
    assert read_json(folder / "study.json") == read_json(trained / "study.json")
    there, was = read_json(folder / "manifest.json"), read_json(trained / "manifest.json")
    assert (there["study"], there["data"]) == (was["study"], was["data"])
    assert same(folder, trained)


def test_without_study_and_manifest_nothing_is_changed(folder: Path) -> None:
    for name in ("study.json", "manifest.json"):
        break_(folder / name)
    break_(group_of(folder, "none") / "runs.json")
    before = sorted(path for path in folder.rglob("*"))
    with pytest.raises(
        DamagedRecord, match=r"neither study\.json nor manifest\.json .* restore one of them from a copy"
    ):
        losscope.repair(folder)
    assert sorted(path for path in folder.rglob("*")) == before


def test_what_is_whole_stays_as_it_is(folder: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    found = losscope.repair(folder)
    assert (found.damaged, found.records, found.whole) == ((), (), True)
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()} == before


def test_a_folder_without_a_study_and_one_that_is_driven_are_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(MissingData, match="no study in"):
        losscope.repair(tmp_path / "nothing")
    assert not (tmp_path / "nothing").exists()
    with driving(folder), pytest.raises(InvalidInput, match="is being worked on by"):
        losscope.repair(folder)


def test_a_group_that_ended_meanwhile_is_not_set_aside(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was looked at while a process that a lost driver had left wrote to it."""
    group = group_of(folder, "triplet")
    was = Damage(group / "epochs.jsonl", "epochs.jsonl has 0 bytes where 16,613 were written", group)
    told = iter([[was], []])
    monkeypatch.setattr(repairing, "damage_in", lambda folder: next(told))
    found = losscope.repair(folder)
    assert (found.damaged, found.aside, found.lost, found.whole) == ((), {}, (), True)
    assert group.is_dir()


def test_what_is_only_set_aside_is_trained_by_the_study(
    folder: Path, trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    break_(group_of(folder, "triplet") / "runs.json")
    code, printed, _ = command(capsys, monkeypatch, "repair", str(folder), "--aside-only")
    assert code == 1
    assert f"repeat the command that made {folder}" in printed
    assert damage_in(folder) == []
    assert not list(folder.glob("groups/*--triplet--*"))
    assert {record.loss for record in losscope.run(parse(STUDY | {"loss": LOSSES}), folder, jobs=1).records} == {
        "triplet"
    }
    assert same(folder, trained)
    assert losscope.repair(folder, aside_only=True).whole


def test_monitored_runs_are_set_aside_and_can_not_be_trained_again(folder: Path) -> None:
    manifest = read_json(folder / "manifest.json")
    write_json(folder / "manifest.json", manifest | {"monitored": True})
    break_(group_of(folder, "triplet") / "map.parquet")
    found = losscope.repair(folder)
    assert not found.whole
    assert "only that can train them again" in found.left[0]
    assert damage_in(folder) == []


def test_a_group_of_an_older_schema_that_is_torn_is_mended(folder: Path, trained: Path) -> None:
    """As folders were before schema 3: lists, and no checksum anywhere."""
    for path in folder.rglob("*.json"):
        document = {key: value for key, value in read_json(path).items() if key not in ("schema", "files")}
        path.write_text(json.dumps(document["records"] if path.name == "runs.json" else {**document, "schema": 2}))
    assert damage_in(folder) == []
    assert same(folder, trained)
    torn = group_of(folder, "triplet") / "measurements.parquet"
    torn.write_bytes(torn.read_bytes()[:-9])
    assert [one.file for one in damage_in(folder)] == [torn]
    assert losscope.repair(folder, jobs=1).whole
    assert same(folder, trained)


# what reads the rest ----------------------------------------------------------------------------------------------


def command(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, *words: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of a command."""
    monkeypatch.setattr("sys.argv", ["losscope", *words])
    code = 0
    try:
        main()
    except SystemExit as end:
        code = int(end.code or 0)
    return code, *capsys.readouterr()


def test_the_table_prints_the_rest_and_names_what_is_missing(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = break_(group_of(folder, "triplet") / "measurements.parquet")
    code, printed, told = command(capsys, monkeypatch, "table", str(folder), "--format", "json")
    assert code == 1
    assert {row["loss"] for row in json.loads(printed)} == {"none", "contrastive"}
    assert f"Left out: {broken} is damaged" in told
    assert "losscope repair" in told
    code, printed, told = command(capsys, monkeypatch, "table", str(folder), "--format", "json", "--steps")
    assert {row["loss"] for row in json.loads(printed)} == {"contrastive", "triplet"}
    assert (code, told) == (0, "")


def test_report_and_claims_use_the_rest_and_name_what_is_missing(folder: Path) -> None:
    broken = break_(group_of(folder, "triplet") / "measurements.parquet")
    html, markdown = write_report(folder)
    assert str(broken) in markdown.read_text()
    assert "losscope repair" in markdown.read_text()
    assert html.is_file()
    assert str(broken) in ledger(folder).damaged[0]


def test_a_study_uses_the_rest_and_does_not_call_itself_done(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = break_(group_of(folder, "triplet") / "measurements.parquet")
    given = study_file(tmp_path, LOSSES), "--out", folder, "--jobs", "1"
    code, printed, told = command(capsys, monkeypatch, "study", *map(str, given))
    assert code == 1
    assert "contrastive" in printed
    assert "triplet" not in printed
    assert f"Left out: {broken} is damaged" in told
    assert "losscope repair" in told
    code, printed, _ = command(capsys, monkeypatch, "study", *map(str, given), "--json")
    assert code == 1
    assert str(broken) in json.loads(printed)["damaged"][0]


@pytest.mark.parametrize("name", ["steps.parquet", "queries.parquet", "environment.json"])
def test_a_study_names_also_what_its_report_does_not_read(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    broken = break_(group_of(folder, "triplet") / name)
    given = study_file(tmp_path, LOSSES), "--out", folder, "--jobs", "1", "--json"
    code, printed, told = command(capsys, monkeypatch, "study", *map(str, given))
    assert code == 1
    assert [str(broken) in problem for problem in json.loads(printed)["damaged"]] == [True]
    assert f"Damaged, though in no number here: {broken} is damaged" in told


def test_a_study_says_what_to_do_and_the_repair_does_it(
    folder: Path, trained: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = break_(group_of(folder, "triplet") / "group.json")
    with pytest.raises(DamagedRecord, match="losscope repair"):
        losscope.run(parse(STUDY | {"loss": LOSSES}), folder, jobs=1)
    code, printed, _ = command(capsys, monkeypatch, "repair", str(folder), "--jobs", "1", "--json")
    assert code == 0
    document = json.loads(printed)
    assert document["whole"] is True
    assert [one["file"] for one in document["damaged"]] == [str(broken)]
    assert len(document["trained"]) == len(document["lost"]) == 2
    assert same(folder, trained)
    code, printed, _ = command(capsys, monkeypatch, "repair", str(folder))
    assert (code, printed) == (0, f"Nothing is damaged in {folder}.\n")
