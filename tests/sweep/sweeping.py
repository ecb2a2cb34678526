"""Small studies for the tests of sweeps, their command line in a process of its own, and who trains what."""

from __future__ import annotations

import atexit
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from losscope.study import Study, parse
from losscope.table import read_map, read_measurements, read_queries

LONG = 600
"""Seconds that nothing takes, on a machine as busy as it may be."""

TOML = """
name = "small"
seeds = 2
[[data]]
name = "synthetic"
classes = 4
samples_per_class = 8
dim = 8
outliers = 3
[[protocol]]
name = "short"
model = { widths = [8, 4] }
epochs = EPOCHS
batch = { terms = 4 }
[[loss]]
name = "contrastive"
[[loss]]
name = "triplet"
"""


def small(epochs: int = 2) -> Study:
    """Two losses, two seeds."""
    import tomllib

    return parse(tomllib.loads(TOML.replace("EPOCHS", str(epochs))))


def study_file(folder: Path, epochs: int) -> Path:
    """The same study as a file."""
    path = folder / f"small-{epochs}.toml"
    path.write_text(TOML.replace("EPOCHS", str(epochs)))
    return path


def rows(folder: Path) -> dict[str, list[Any]]:
    """All that a study's tables say, in a fixed order."""
    tables = {
        "epochs": read_measurements(folder),
        "steps": read_measurements(folder, steps=True),
        "queries": read_queries(folder),
        "plane": read_map(folder),
    }
    return {name: sorted(map(repr, table.to_pylist())) for name, table in tables.items()}


def begin(*arguments: object, **environment: str) -> subprocess.Popen[str]:
    """The command line at work; Ctrl-C reaches it as from a terminal."""
    command = [sys.executable, "-m", "losscope", *map(str, arguments)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a shell's background jobs ignore it
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )
    atexit.register(end, process)
    return process


def end(process: subprocess.Popen[str]) -> None:
    """End a command that a failed test has left at work."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)


def until(condition: Callable[[], Any], what: str, seconds: float = LONG, every: float = 0.02) -> Any:
    """What the condition is, once it is true."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(every)
    return pytest.fail(f"{what} did not happen within {seconds} seconds")


def holder(path: Path) -> int | None:
    """The process that holds the lock of a file, as the kernel tells it."""
    number = path.stat().st_ino
    for line in Path("/proc/locks").read_text().splitlines():
        words = line.split()
        if words[1] == "FLOCK" and int(words[5].split(":")[-1]) == number:
            return int(words[4])
    return None


def trainers(folder: Path, lines: int = 1) -> dict[Path, int]:
    """Groups that train and have so many epochs on record, with the process of each."""
    found = {}
    for group in folder.glob("groups/*/epochs.jsonl"):
        try:
            far = group.read_bytes().count(b"\n") >= lines
            process = holder(group.parent / "group.json")
        except FileNotFoundError:
            continue
        if far and process is not None:
            found[group.parent] = process
    return found


def descendants(process: int) -> list[int]:
    """Its children, theirs, and so on."""
    found = []
    for path in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [int(word) for word in path.read_text().split()]
        except OSError:  # ended meanwhile
            continue
    return [*found, *(one for child in found for one in descendants(child))]


def name_of(process: int) -> str:
    """A process's name; empty if it has ended."""
    try:
        return Path(f"/proc/{process}/comm").read_text().strip()
    except OSError:
        return ""
