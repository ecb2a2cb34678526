"""Single bits that flip, and files that lose their end: what reads them names the file, or reads what was written."""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from dying import STUDY

import losscope
from losscope.errors import DamagedRecord
from losscope.files import read_json
from losscope.study import parse
from losscope.sweep import drive
from losscope.table import (
    Damage,
    damage_in,
    group_damage,
    inspecting,
    read_group,
    read_map,
    read_measurements,
    read_queries,
    read_runs,
)
from losscope.training.records import GroupRecord

POSITIONS = 100, pytest.param(600, marks=pytest.mark.slow)
"""Places of flips in each of two records."""

STRIDES = (7, 49), pytest.param((1, 7), marks=pytest.mark.slow)
"""From one length to the next, of files under a thousand bytes and of the others."""


class Killed(BaseException):
    """Ends a run the way a signal does."""


@dataclass(frozen=True)
class Record:
    """A study's folder with what is read of it."""

    folder: Path
    files: tuple[Path, ...]


def train(folder: Path, *, kill_after: int | None = None) -> Record:
    """The tiny study, whole or killed after some epochs with a checkpoint of the last."""

    def progress(name: str, done: int, total: int) -> None:
        if done == kill_after:
            raise Killed

    make_place = drive.make_place
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drive, "make_place", lambda *a, **k: replace(make_place(*a, **k), checkpoint_seconds=0))
        try:
            losscope.run(parse(STUDY), folder, jobs=1, progress=lambda plan: progress)
        except Killed:
            assert kill_after is not None
    return Record(folder, tuple(sorted(path for path in folder.rglob("*") if path.is_file())))


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return train(tmp_path_factory.mktemp("finished") / "study")


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Record:
    record = train(tmp_path_factory.mktemp("running") / "study", kill_after=1)
    assert {"checkpoint.safetensors", "epochs.jsonl", "steps.jsonl", "queries-1.parquet"} <= {
        p.name for p in record.files
    }
    return record


def resumed(group: Path) -> Any:
    """What a group goes on from: tensors, state, and lines; the folder is copied, for resuming cuts lines."""
    copy = group.parent.parent / "copy"
    shutil.copytree(group, copy)
    try:
        record = GroupRecord(copy, read_group(copy))
        checkpoint = record.resume()
        assert checkpoint is not None
        tensors = {name: part.numpy().tobytes() for name, part in checkpoint[0].items()}
        return tensors, checkpoint[1], [path.read_bytes() for path in (copy / "epochs.jsonl", copy / "steps.jsonl")]
    finally:
        shutil.rmtree(copy)


def read(folder: Path, file: Path) -> Iterator[Callable[[], Any]]:
    """Everything that reads a file of a record, or depends on it."""
    yield lambda: read_json(folder / "study.json")
    yield lambda: read_json(folder / "manifest.json")
    yield lambda: read_runs(folder)
    yield lambda: read_queries(folder)
    yield lambda: read_map(folder)
    yield lambda: read_measurements(folder)
    yield lambda: read_measurements(folder, steps=True)
    if file.parent.parent.name == "groups":
        yield lambda: read_group(file.parent)
        yield lambda: read_json(file.parent / "environment.json") if file.name == "environment.json" else None
        if (file.parent / "checkpoint.safetensors").is_file():
            yield lambda: resumed(file.parent)


def test_a_group_that_ends_while_it_is_looked_at_is_whole(
    finished: Record, running: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each of the steps in which its files are looked at."""
    (ended,) = finished.folder.glob("groups/*--contrastive--*")
    (begun,) = running.folder.glob("groups/*--contrastive--*")
    checks, steps = inspecting._checks, [0]

    def ending(at: int) -> Callable[..., Any]:
        def found(group: Path, *names: Any) -> Iterator[Any]:
            for number, check in enumerate(checks(group, *names)):
                if number == at and not (group / "runs.json").exists():
                    shutil.rmtree(group)
                    shutil.copytree(ended, group)
                steps[0] = max(steps[0], number)
                yield check

        return found

    for at in range(9):
        group = tmp_path / str(at) / begun.name
        shutil.copytree(begun, group)
        monkeypatch.setattr(inspecting, "_checks", ending(at))
        assert group_damage(group) == [], at
        assert (group / "runs.json").exists()
    assert steps[0] >= 8


def answers(folder: Path, file: Path) -> list[Any]:
    return [reading() for reading in read(folder, file)]


def judge(record: Record, file: Path, expected: list[Any], what: str, *, torn: bool = False) -> bool:
    """Whether damage of a file was noticed. It is named by whoever notices it, and who doesn't reads what was written; of
    lines that are `torn` off a group that has not ended, what is left."""
    named = [damage for damage in damage_in(record.folder) if damage.file == file]
    for reading, known in zip(read(record.folder, file), expected, strict=True):
        found = outcome(reading)
        if isinstance(found, DamagedRecord):
            assert file.name in str(found), what
            assert named, f"{what} is noticed by a reader only: {found}"
        else:
            assert found == known or (named and torn), what
    return bool(named)


def outcome(reading: Callable[[], Any]) -> Any:
    try:
        return reading()
    except DamagedRecord as error:
        return error


def found_around(file: Path) -> list[Damage]:
    """What is damaged in the file's folder."""
    return group_damage(file.parent) if file.parent.parent.name == "groups" else damage_in(file.parent)


def flips(record: Record, positions: int) -> Iterator[tuple[Path, int]]:
    """Positions over all files, as many in each as its share, and at least a few."""
    chance = random.Random(0)
    for file in record.files:
        size = file.stat().st_size
        yield from ((file, at) for at in chance.sample(range(size), min(size, positions // len(record.files))))


@pytest.mark.parametrize("positions", POSITIONS)
@pytest.mark.parametrize("which", ["finished", "running"])
def test_every_bit_that_flips_is_noticed(which: str, positions: int, request: pytest.FixtureRequest) -> None:
    """All eight bits of many places, over all files of a record; one of them is read by all readers as well."""
    record: Record = request.getfixturevalue(which)
    chance, count = random.Random(1), 0
    known = {file: answers(record.folder, file) for file in record.files}
    for file, at in flips(record, positions):
        data = file.read_bytes()
        read_by_all = chance.randrange(8)
        for bit in range(8):
            file.write_bytes(data[:at] + bytes([data[at] ^ (1 << bit)]) + data[at + 1 :])
            what = f"bit {bit} of byte {at} of {file.relative_to(record.folder)}"
            if bit == read_by_all:
                assert judge(record, file, known[file], what), what
            else:
                assert [damage.file for damage in found_around(file)] == [file], what
        file.write_bytes(data)
        count += 1
    assert count >= 0.9 * positions
    assert damage_in(record.folder) == []


@pytest.mark.parametrize("strides", STRIDES)
@pytest.mark.parametrize("which", ["finished", "running"])
def test_a_record_that_lost_its_end_is_noticed(
    which: str, strides: tuple[int, int], request: pytest.FixtureRequest
) -> None:
    """The slow test has every length of the small files. The lines of the running group end with the epoch of its
    checkpoint."""
    record: Record = request.getfixturevalue(which)
    for file in (file for file in record.files if file.suffix in (".json", ".jsonl")):
        data, known = file.read_bytes(), answers(record.folder, file)
        for number, length in enumerate(range(0, len(data), strides[len(data) >= 1000])):
            file.write_bytes(data[:length])
            what = f"{file.relative_to(record.folder)} of {length} bytes"
            named = [damage.file for damage in found_around(file)]
            if number % 20 == 0:
                assert judge(record, file, known, what, torn=file.suffix == ".jsonl"), what
            assert named == [file], what
        file.write_bytes(data)
    assert damage_in(record.folder) == []
