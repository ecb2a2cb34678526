"""Studies on Ray are those of this machine alone, bit for bit, whatever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from sweeping import LONG, begin, descendants, name_of, rows, trainers, until

import losscope


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="finds out who trains from /proc")
def test_the_quick_study_is_that_of_local_processes_whatever_is_killed(tmp_path: Path) -> None:
    """Ray itself dies under the first command; a worker under the second, which goes on, and has all that was finished."""
    pytest.importorskip("ray")
    home, out = tmp_path / "home", tmp_path / "ray"
    home.mkdir()
    given = ("study", "quick", "--seeds", 1, "--epochs", 2, "--out", out, "--on", "ray", "--json")
    first = begin(*given, "--jobs", 1, HOME=str(home))
    until(lambda: trainers(out), "training on Ray")
    for process in descendants(first.pid):
        if name_of(process) == "raylet":
            os.kill(process, signal.SIGKILL)
    told, said = first.communicate(timeout=LONG)
    assert first.returncode == 1
    assert json.loads(told)["failed"] > 0
    assert "the worker of Ray was lost" in said
    assert "Traceback" not in said
    until(lambda: not trainers(out), "the end of what Ray left behind")

    second = begin(*given, "--jobs", 2, HOME=str(home))
    group, worker = next(iter(until(lambda: trainers(out), "training on Ray again").items()))
    os.kill(worker, signal.SIGKILL)
    told, said = second.communicate(timeout=LONG)
    assert second.returncode == 0, said
    assert json.loads(told)["failed"] == 0
    assert (group / "runs.json").exists()
    assert list(home.iterdir()) == []
    losscope.run(losscope.load_study("quick", ["seeds=1", "protocol.epochs=2"]), tmp_path / "local", jobs=1)
    assert rows(out) == rows(tmp_path / "local")
