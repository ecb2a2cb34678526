"""One driver at a time for a folder: a second is refused or waits, and a dead one's lock is free."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sweeping import LONG, begin, name_of, rows, small, study_file, trainers, until

import losscope
from losscope.cli import main
from losscope.errors import InvalidInput, UnknownName
from losscope.files import lock as locks
from losscope.sweep.lock import LOCK, driving

HOLDS = """
import sys, time
from pathlib import Path
from losscope.sweep.lock import driving
with driving(Path(sys.argv[1])):
    print("drives", flush=True)
    time.sleep(100)
"""

pytestmark = pytest.mark.skipif(locks.fcntl is None, reason="this system has no such locks")


def other(folder: Path) -> subprocess.Popen[str]:
    """Another process that drives a folder."""
    process = subprocess.Popen([sys.executable, "-c", HOLDS, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "drives\n"
    return process


def end(process: subprocess.Popen[str], how: int = signal.SIGKILL) -> None:
    process.send_signal(how)
    process.communicate()


def test_a_second_driver_is_refused_and_told_who_is_there(tmp_path: Path) -> None:
    process = other(tmp_path / "out")
    with pytest.raises(InvalidInput, match=rf"process {process.pid} on .* since .*--wait"):
        losscope.run(small(), tmp_path / "out", jobs=1)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [LOCK]
    end(process)


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_driver_locks_nothing(tmp_path: Path, how: int) -> None:
    end(other(tmp_path / "out"), how)
    assert (tmp_path / "out" / LOCK).exists()
    with driving(tmp_path / "out"):
        assert f"process {os.getpid()} on" in (tmp_path / "out" / LOCK).read_text()
    assert not (tmp_path / "out" / LOCK).exists()


def test_a_driver_that_waits_begins_when_the_first_has_ended(tmp_path: Path) -> None:
    process, told, begun = other(tmp_path / "out"), [], threading.Event()

    def wait() -> None:
        with driving(tmp_path / "out", wait=True, waiting=told.append):
            begun.set()

    waiter = threading.Thread(target=wait)
    waiter.start()
    until(lambda: told, "waiting")
    assert told[0].startswith(f"process {process.pid} on ")
    assert not begun.wait(0.2)
    end(process)
    waiter.join(20)
    assert begun.is_set()


def test_many_that_wait_drive_one_after_the_other(tmp_path: Path) -> None:
    """The lock's file is removed each time, so who waits for it holds one that is gone, and must look again."""
    at_work, most = [0], [0]

    def drive() -> None:
        for _ in range(20):
            with driving(tmp_path / "out", wait=True):
                at_work[0] += 1
                most[0] = max(most[0], at_work[0])
                at_work[0] -= 1

    threads = [threading.Thread(target=drive) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert most == [1]
    assert at_work == [0]


def test_bad_input_leaves_no_folder(tmp_path: Path) -> None:
    wrong = small().model_copy(update={"loss": (small().loss[0].model_copy(update={"name": "triplett"}),)})
    with pytest.raises(UnknownName):
        losscope.run(wrong, tmp_path / "some" / "out", jobs=1)
    assert list(tmp_path.iterdir()) == []


def test_a_parameter_of_slurm_without_a_name_is_told_as_such(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    given = ["study", "quick", "--out", str(tmp_path / "out"), "--on", "slurm", "--slurm", "=3", "--dry-run"]
    monkeypatch.setattr("sys.argv", ["losscope", *given])
    with pytest.raises(SystemExit) as end:
        main()
    assert end.value.code == 2
    assert "--slurm '=3': expected KEY=VALUE" in capsys.readouterr().err


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("taken")
    with pytest.raises(InvalidInput, match="can't write to"):
        losscope.run(small(), tmp_path / "out", jobs=1)
    assert (tmp_path / "out").read_text() == "taken"


def test_a_file_system_without_locks_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unable(*arguments: object) -> None:
        raise OSError(38, "Function not implemented")

    monkeypatch.setattr(locks.fcntl, "flock", unable)
    with pytest.warns(UserWarning, match="has no locks"), driving(tmp_path / "out"):
        pass


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="finds out who trains from /proc")
def test_two_command_lines_on_one_folder(tmp_path: Path) -> None:
    """The second waits and finds everything there; a third is refused."""
    given = ("study", study_file(tmp_path, 20), "--out", tmp_path / "out", "--jobs", 1, "--json")
    first = begin(*given)
    until(lambda: trainers(tmp_path / "out"), "training")
    first.send_signal(signal.SIGSTOP)  # a slow one
    second, third = begin(*given, "--wait"), begin(*given)
    _, refused = third.communicate(timeout=LONG)
    first.send_signal(signal.SIGCONT)
    assert third.returncode == 2
    assert f"process {first.pid} on" in refused
    assert "Traceback" not in refused
    assert first.communicate(timeout=LONG)
    told, said = second.communicate(timeout=LONG)
    assert (first.returncode, second.returncode) == (0, 0), said
    assert f"waiting for process {first.pid} on" in said
    assert '"runs": 0' in told
    assert '"finished_before": 6' in told
    losscope.run(small(20), tmp_path / "alone", jobs=1)
    assert rows(tmp_path / "out") == rows(tmp_path / "alone")


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="finds out who trains from /proc")
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
def test_an_interrupted_and_a_lost_driver_leave_all_resumable(tmp_path: Path, how: int) -> None:
    """A killed one leaves its processes behind: they end when they next have something to tell, and whoever repeats the
    command before that waits for them group by group."""
    given = ("study", study_file(tmp_path, 100), "--out", tmp_path / "out", "--jobs", 2, "--json")
    driver = begin(*given)
    left = until(lambda: trainers(tmp_path / "out"), "training")
    driver.send_signal(how)
    _, said = driver.communicate(timeout=LONG)
    assert driver.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    assert ("repeat the command to go on" in said) == (how == signal.SIGINT)
    assert (tmp_path / "out" / LOCK).exists() == (how == signal.SIGKILL)
    if how == signal.SIGINT:
        assert not any(name_of(process) for process in left.values())
    result = losscope.run(small(100), tmp_path / "out", jobs=1)
    assert result.failed == ()
    assert not list(tmp_path.glob("out/groups/*/failed.json"))
    losscope.run(small(100), tmp_path / "alone", jobs=1)
    assert rows(tmp_path / "out") == rows(tmp_path / "alone")
