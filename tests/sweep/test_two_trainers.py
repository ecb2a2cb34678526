"""One trainer at a time for a group: a second waits, and nothing is trained twice or torn, whoever dies."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest
from sweeping import holder, rows, small, trainers, until

import losscope
from losscope.errors import InvalidInput
from losscope.files import disk, read_json
from losscope.files import lock as locks
from losscope.study import NUMERICS_VERSION
from losscope.sweep.drive import estimate, make_place
from losscope.sweep.elsewhere import Followed, run_elsewhere
from losscope.sweep.local import Processes
from losscope.sweep.lost import lost
from losscope.sweep.plan import Unit, plan
from losscope.table import RunRecord, read_ending, write_group
from losscope.training.run import Place, run_cell

EPOCHS = 4
pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="this system has no such locks")


def silent(name: str, done: int, total: int) -> None:
    pass


def planned(folder: Path, epochs: int = EPOCHS) -> Unit:
    """A group that trains, as its driver writes it."""
    unit = next(unit for unit in plan(small(epochs), folder, Place()).units if unit.cell.loss.name == "triplet")
    write_group(unit.folder, unit.group)
    return unit


def times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_second_trainer_waits_and_trains_nothing(tmp_path: Path) -> None:
    unit = planned(tmp_path)
    midway, go_on = threading.Event(), threading.Event()
    found: dict[str, list[RunRecord]] = {}

    def slow(name: str, done: int, total: int) -> None:
        if done == 2:
            midway.set()
            assert go_on.wait(60)

    waited: list[tuple[int, int]] = []

    def never(name: str, done: int, total: int) -> None:
        assert name.startswith("waiting for another process that trains synthetic"), "the second trains"
        waited.append((done, total))

    first = threading.Thread(target=lambda: found.update(first=run_cell(unit.cell, unit.folder, Place(), slow)))
    second = threading.Thread(target=lambda: found.update(second=run_cell(unit.cell, unit.folder, Place(), never)))
    first.start()
    assert midway.wait(60)
    second.start()
    second.join(0.3)
    assert second.is_alive()
    assert waited == [(0, 0)]
    go_on.set()
    first.join(60)
    second.join(60)
    assert [record.status for record in found["first"]] == ["done", "done"]
    assert found["second"] == found["first"] == list(read_ending(unit.folder / "runs.json").records)
    before = times(unit.folder)
    assert run_cell(unit.cell, unit.folder, Place(), never) == found["first"]
    assert times(unit.folder) == before
    assert waited == [(0, 0), (1, 1)]  # and the third did not wait


def test_a_lock_is_that_of_the_file_in_its_place(tmp_path: Path) -> None:
    """Of a file that was replaced while it was waited for, the new one is locked."""
    path, held, told = tmp_path / "group.json", threading.Event(), threading.Event()
    path.write_text("old")

    def wait() -> None:
        with locks.locked(path, lambda still: told.set()):
            held.set()

    waiter = threading.Thread(target=wait)
    with path.open() as old:
        assert locks.take(old)
        waiter.start()
        assert told.wait(20)
        (tmp_path / "new").write_text("new")
        (tmp_path / "new").rename(path)
        new = path.open()
        assert locks.take(new)
    assert not held.wait(0.3)
    new.close()
    waiter.join(20)
    assert held.is_set()


def test_a_group_whose_lines_somebody_took_away_does_not_end(tmp_path: Path) -> None:
    """As by a program that takes no lock."""
    unit = planned(tmp_path)

    def robbed(name: str, done: int, total: int) -> None:
        if done == 2:
            (unit.folder / "epochs.jsonl").unlink()

    records = run_cell(unit.cell, unit.folder, Place(), robbed)
    assert {record.status for record in records} == {"failed"}
    assert "has lost the lines of 3 epochs (the first is 0)" in (records[0].error or "")
    assert not (unit.folder / "runs.json").exists()
    assert {record.status for record in run_cell(unit.cell, unit.folder, Place(), silent)} == {"done"}


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int, data: memoryview) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk, "write", full)


def test_a_lost_worker_and_a_full_disk_end_one_group_only(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    unit = planned(tmp_path)
    request.getfixturevalue("full_disk")
    assert [(record.status, record.error) for record in lost(unit, "gone")] == [("failed", "gone")] * 2
    assert not (unit.folder / "failed.json").exists()


def test_what_a_process_could_not_begin_is_told_in_full(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Not as an exit code, and not as a traceback in the terminal."""
    unit = planned(tmp_path)
    (unit.folder / "group.json").write_text("{")
    processes = Processes(Place(), silent, jobs=2)
    processes.submit(unit)
    ((_, records),) = processes.finished()
    assert {record.status for record in records} == {"failed"}
    assert "group.json is not a JSON document" in (records[0].error or "")
    assert capfd.readouterr().err == ""


def test_what_a_driver_had_no_time_to_remove_goes_with_the_next(tmp_path: Path) -> None:
    losscope.run(small(), tmp_path, jobs=1)
    group = next(tmp_path.glob("groups/*--triplet--*"))
    before = times(group)
    for name in ("epochs.jsonl", "steps.jsonl", "checkpoint.safetensors", "queries-1.parquet"):
        (group / name).write_bytes(b"left")
    assert losscope.run(small(), tmp_path, jobs=1).records == ()
    assert times(group) == before


TRAINS = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[2:]
from test_two_trainers import Place, planned, run_cell
def stuck(name, done, total):
    if done == 2:
        time.sleep(100)
unit = planned(Path(sys.argv[1]))
run_cell(unit.cell, unit.folder, Place(checkpoint_seconds=0), stuck)
"""


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="finds out who trains from /proc")
def test_a_trainer_that_is_killed_leaves_its_group_to_the_one_that_waits(tmp_path: Path) -> None:
    """As a worker that a lost driver has left behind, and the worker of its successor."""
    losscope.run(small(EPOCHS), tmp_path / "out", jobs=1, only=[])
    unit, here = planned(tmp_path / "out"), Path(__file__).parent
    process = subprocess.Popen([sys.executable, "-c", TRAINS, str(tmp_path / "out"), str(here), str(here.parent)])
    until(lambda: trainers(tmp_path / "out", lines=3), "training")
    found: list[RunRecord] = []
    waiter = threading.Thread(target=lambda: found.extend(run_cell(unit.cell, unit.folder, Place(), silent)))
    waiter.start()
    waiter.join(0.3)
    assert waiter.is_alive()
    assert holder(unit.folder / "group.json") == process.pid
    process.send_signal(signal.SIGKILL)
    process.wait()
    waiter.join(60)
    assert [record.status for record in found] == ["done", "done"]
    losscope.run(small(EPOCHS), tmp_path / "out", jobs=1)  # the rest
    losscope.run(small(EPOCHS), tmp_path / "alone", jobs=1)
    assert rows(tmp_path / "out") == rows(tmp_path / "alone")


def test_a_machine_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    unit = planned(tmp_path)
    with pytest.raises(InvalidInput, match=r"nowhere/group\.json was not found on .* must see the study's folder"):
        run_elsewhere(unit.cell, tmp_path / "nowhere", Place(), NUMERICS_VERSION)
    assert not (tmp_path / "nowhere").exists()


def test_a_worker_of_another_version_is_refused(tmp_path: Path) -> None:
    unit = planned(tmp_path)
    with pytest.raises(InvalidInput, match="another losscope than its driver"):
        run_elsewhere(unit.cell, unit.folder, Place(), NUMERICS_VERSION + 1)
    assert [path.name for path in unit.folder.iterdir()] == ["group.json"]


def test_other_data_than_planned_are_not_trained_on(tmp_path: Path) -> None:
    """As where two machines have different files under one path."""
    unit = planned(tmp_path)
    drawn = unit.cell.data.model_copy(update={"samples_per_class": 9})
    records = run_cell(replace(unit.cell, data=drawn), unit.folder, Place(), silent)
    assert [record.status for record in records] == ["failed", "failed"]
    assert "give every machine the same data" in (records[0].error or "")
    assert not {"epochs.jsonl", "runs.json"} & {path.name for path in unit.folder.iterdir()}


def test_what_is_wrong_with_one_group_stays_with_it(tmp_path: Path) -> None:
    unit = planned(tmp_path)
    (unit.folder / "group.json").write_text("{")
    told = run_elsewhere(unit.cell, unit.folder, Place(), NUMERICS_VERSION)
    assert isinstance(told, str)
    assert "DamagedRecord" in told.splitlines()[-1]


def test_a_worker_lost_after_its_group_has_ended_has_lost_nothing(tmp_path: Path) -> None:
    unit = planned(tmp_path)
    told = lost(unit, "gone")
    assert [(record.status, record.error) for record in told] == [("failed", "gone")] * 2
    assert (unit.folder / "failed.json").exists()
    records = run_cell(unit.cell, unit.folder, Place(), silent)
    assert lost(unit, "gone") == records
    assert not (unit.folder / "failed.json").exists()


def test_progress_is_read_from_the_records(tmp_path: Path) -> None:
    unit = planned(tmp_path)
    told: list[tuple[str, int, int]] = []
    follow = Followed([unit], lambda *given: told.append(given))

    def look() -> list[tuple[str, int, int]]:
        follow._next = 0.0
        follow()
        seen, told[:] = list(told), []
        return seen

    assert look() == []
    lines = unit.folder / "epochs.jsonl"
    lines.write_text("0\n1\n2")
    assert look() == [(unit.folder.name, 1, EPOCHS)]
    assert look() == []
    lines.write_text("0\n1\n2\n3\n4\n5\n")
    assert look() == [(unit.folder.name, EPOCHS, EPOCHS)]
    lines.write_text("0\n")  # resumed from the beginning
    assert look() == [(unit.folder.name, 0, EPOCHS)]
    lines.unlink()
    assert look() == []
    run_cell(unit.cell, unit.folder, Place(), silent)
    follow.ended(unit)
    assert told == [(unit.folder.name, EPOCHS, EPOCHS)]


def test_what_is_the_users_own_is_not_sent_away(tmp_path: Path) -> None:
    mine = {"mine": object()}
    for wrong in ({"losses": mine}, {"models": mine}):
        with pytest.raises(InvalidInput, match=r"your own \(mine\) run in this process only"):
            losscope.run(small(), tmp_path / "out", on="ray", **wrong)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({"on": "moon"}, "expected one of local, ray, slurm"),
        ({"ray_address": "a:1"}, "a Ray address goes with"),
        ({"slurm": {"partition": "p"}}, "parameters of Slurm goes with"),
        ({"gpus_per_cell": 1}, "for on = 'ray' and 'slurm'"),
        ({"on": "ray", "cpus_per_cell": 0}, "expected more than 0 CPUs"),
        ({"on": "ray", "ray_address": "auto", "jobs": 2}, "leave --jobs out"),
        ({"on": "ray", "ray_address": "127.0.0.1:9"}, "no cluster of Ray answers at 127.0.0.1:9"),
        ({"on": "ray", "device": "gpu"}, "device 'gpu' is unknown"),
        ({"on": "slurm", "slurm": {"cluster": "local", "colour": "red"}}, "Unknown argument 'colour'"),
        ({"on": "slurm", "gpus_per_cell": 0.5, "slurm": {"cluster": "local"}}, "whole GPUs"),
    ],
)
def test_engines_refuse_what_does_not_fit(tmp_path: Path, given: dict[str, object], told: str) -> None:
    if given.get("on") in ("ray", "slurm"):
        pytest.importorskip("ray" if given["on"] == "ray" else "submitit")
    for command in (losscope.run, estimate):  # a dry run too
        with pytest.raises(InvalidInput, match=told):
            command(small(), tmp_path / "out", **given)  # type: ignore[operator]
    assert not (tmp_path / "out").exists()


def test_a_gpu_that_only_other_machines_have_is_theirs(tmp_path: Path) -> None:
    place = make_place("data", "cuda", remote=True)
    assert place.device == "cuda"
    assert place.data_folder == Path("data").resolve()


@pytest.mark.slow
def test_jobs_of_slurm_give_the_rows_of_local_processes(tmp_path: Path) -> None:
    """By submitit's local executor, which runs the jobs as processes of this machine."""
    pytest.importorskip("submitit")
    told: list[str] = []
    result = losscope.run(
        small(),
        tmp_path / "jobs",
        on="slurm",
        slurm={"cluster": "local", "timeout_min": 5},
        progress=lambda plan: lambda name, done, total: told.append(name),
    )
    assert result.failed == ()
    assert len(result.records) == 6
    assert len({*told}) == 2  # groups that train
    assert not (tmp_path / "jobs" / "slurm").exists()
    losscope.run(small(), tmp_path / "alone", jobs=1)
    assert rows(tmp_path / "jobs") == rows(tmp_path / "alone")
    assert read_json(tmp_path / "jobs" / "study.json") == read_json(tmp_path / "alone" / "study.json")
    assert os.listdir(tmp_path / "jobs") == os.listdir(tmp_path / "alone")
