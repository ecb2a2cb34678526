"""Tasks over workers of Ray: retried, quiet, bound to this machine, and nothing left afterwards.

In a process of its own: Ray is started with an empty home folder, and what it says is read.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from losscope.errors import InvalidInput, MissingDependency
from losscope.files import lock as locks
from losscope.integrations import ray as door

SCRIPT = """
import json, os, socket, sys
from contextlib import suppress
from pathlib import Path
import ray  # before the session, as a user's script may
from losscope.integrations.ray import session, tasks

box = Path(sys.argv[1])

def work(index, deaths):
    tried = len(list(box.glob(f"{index}-*")))
    (box / f"{index}-{tried}").touch()
    if tried < deaths:
        os._exit(9)
    return index * index, os.environ["OMP_NUM_THREADS"]

def children(parent):
    found = []
    with suppress(OSError):  # ended meanwhile
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            found += [int(one) for one in path.read_text().split()]
    return [*found, *(one for child in found for one in children(child))]

def listening():
    sockets = set()
    for child in children(os.getpid()):
        with suppress(OSError):  # ended meanwhile
            for path in Path(f"/proc/{child}/fd").iterdir():
                with suppress(OSError):  # closed meanwhile
                    sockets.add(os.readlink(path))
    lines = [line.split() for name in ("tcp", "tcp6") for line in Path(f"/proc/net/{name}").read_text().splitlines()]
    return {words[1] for words in lines if words[3] == "0A" and f"socket:[{words[9]}]" in sockets}

environment = dict(os.environ)
with session(cpus=2):
    waited = []
    found = dict(tasks(work, [(0, 0), (1, 1), (2, 9)], retries=1, lost=lambda index, reason: reason,
                       meanwhile=lambda: waited.append(1)))
    servers = listening()
    raised = []
    for given in ({}, {"cpus": 4}, {"gpus": 99}):
        try:
            list(tasks(json.loads, [("no document",)], **given))
        except ValueError as error:
            raised.append(str(error))
changed = {name for name in {*os.environ, *environment} if os.environ.get(name) != environment.get(name)}
print(json.dumps({"found": found, "waited": len(waited), "servers": sorted(servers), "raised": raised,
                  "changed": sorted(changed - {"RAY_CLIENT_MODE", "PYTHONBREAKPOINT"}), "left": children(os.getpid())}))
"""

LONG = 600
"""Seconds that nothing takes, on a machine as busy as it may be."""

LOOPBACK = ("0100007F:", "0000000000000000FFFF00000100007F:")
"""127.0.0.1 as the kernel writes it, among addresses of both families."""


@pytest.mark.ray
@pytest.mark.skipif(not Path("/proc/net/tcp").exists(), reason="reads what listens from /proc")
def test_a_session_runs_tasks_and_leaves_nothing(tmp_path: Path) -> None:
    pytest.importorskip("ray")
    home, box = tmp_path / "home", tmp_path / "box"
    for folder in (home, box):
        folder.mkdir()
    environment = os.environ | {"HOME": str(home), "RAY_AUTH_MODE": "disabled"}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, str(box)], env=environment, capture_output=True, text=True, timeout=LONG
    )
    assert ended.returncode == 0, ended.stderr
    told = json.loads(ended.stdout)  # Ray said nothing there of the workers that died
    assert told["found"]["0"] == [0, "1"]
    assert told["found"]["1"] == [1, "1"]
    assert told["found"]["2"].startswith("the worker of Ray was lost")
    assert [len(list(box.glob(f"{index}-*"))) for index in range(3)] == [1, 2, 2]  # placed once, but for the lost
    assert told["waited"] > 0
    document, cpus, gpus = told["raised"]
    assert "Expecting value" in document
    assert "takes 4 CPUs and 0 GPUs, and no machine of this session of Ray has them (there: 2 CPUs and" in cpus
    assert "takes 1 CPUs and 99 GPUs, and no machine" in gpus
    assert told["servers"]
    assert all(server.startswith(LOOPBACK) for server in told["servers"])
    assert told["left"] == []
    assert told["changed"] == []
    assert list(home.iterdir()) == []
    assert "Traceback" not in ended.stderr


def test_tasks_that_find_no_room_are_told_and_a_cluster_may_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    machines = [
        {"Alive": True, "Resources": {"CPU": 8.0}},
        {"Alive": True, "Resources": {"CPU": 2.0, "GPU": 1.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    monkeypatch.setattr(door, "_ray", lambda: SimpleNamespace(nodes=lambda: machines))
    for cpus, gpus in ((8, 0), (2, 1), (0.5, 0.25)):
        door._check_room(cpus, gpus)
    with pytest.warns(UserWarning, match="4 CPUs and 1 GPUs, .*there: 8 CPUs and 0 GPUs; 2 CPUs and 1 GPUs.*waiting"):
        door._check_room(4, 1)
    monkeypatch.setattr(door, "_fixed", True)
    with pytest.raises(InvalidInput, match="ask for less"):
        door._check_room(4, 1)


def test_without_locks_a_folder_that_may_be_in_use_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(door, "LONGEST_FOLDER", 1000)
    live = tmp_path / f"{door.FOLDER}live"
    live.mkdir()
    (live / door.LOCK).touch()
    with monkeypatch.context() as patch:
        patch.setattr(locks, "fcntl", None)
        with door._own_folder():
            assert live.exists()
    with door._own_folder():
        assert live.exists() == (locks.fcntl is None)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependency, match=r"pip install 'losscope\[ray\]'"), door.session():
        pass
