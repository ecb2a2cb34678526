"""Studies on Ray are those of this machine alone, bit for bit, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from sweeping import begin, descendants, name_of, rows, small, study_file, trainers, until

import losscope

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(not Path("/proc/locks").exists(), reason="finds out who trains from /proc"),
]

EPOCHS = 20


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("ray")
    return tmp_path_factory.mktemp("home")


def test_the_quick_study_with_a_worker_killed_is_that_of_local_processes(tmp_path: Path, home: Path) -> None:
    short = ("--seeds", 1, "--epochs", 2)
    losscope.run(losscope.load_study("quick", ["seeds=1", "protocol.epochs=2"]), tmp_path / "local", jobs=1)
    driver = begin(
        "study", "quick", *short, "--out", tmp_path / "ray", "--on", "ray", "--jobs", 2, "--json", HOME=str(home)
    )
    trained = until(lambda: trainers(tmp_path / "ray"), "training on Ray")
    group, worker = next(iter(trained.items()))
    os.kill(worker, signal.SIGKILL)
    told, said = driver.communicate(timeout=110)
    assert driver.returncode == 0, said
    assert json.loads(told)["failed"] == 0
    assert (group / "runs.json").exists()
    assert rows(tmp_path / "ray") == rows(tmp_path / "local")
    assert list(home.iterdir()) == []


def test_ray_itself_killed_and_started_again_changes_nothing(tmp_path: Path, home: Path) -> None:
    given = ("study", study_file(tmp_path, EPOCHS), "--out", tmp_path / "ray", "--on", "ray", "--jobs", 1, "--json")
    driver = begin(*given, HOME=str(home))
    until(lambda: trainers(tmp_path / "ray"), "training on Ray")
    for process in descendants(driver.pid):
        if name_of(process) == "raylet":
            os.kill(process, signal.SIGKILL)
    told, said = driver.communicate(timeout=110)
    assert driver.returncode == 1
    assert json.loads(told)["failed"] > 0
    assert "the worker of Ray was lost" in said
    assert "Traceback" not in said
    until(lambda: not trainers(tmp_path / "ray"), "the end of what Ray left behind")
    again = begin(*given, HOME=str(home))
    told, said = again.communicate(timeout=110)
    assert again.returncode == 0, said
    losscope.run(small(EPOCHS), tmp_path / "local", jobs=1)
    assert rows(tmp_path / "ray") == rows(tmp_path / "local")
