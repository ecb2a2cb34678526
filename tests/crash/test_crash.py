"""A study that dies at any call that reaches the disk, by kill -9 at any moment, or that can't write: it loses nothing
that was finished, and goes on to the same rows, bit for bit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")


def run(folder: Path, name: str, *numbers: int) -> dict[str, Any]:
    """What a fresh process found (see `dying`)."""
    found = subprocess.run(
        [sys.executable, str(Path(__file__).with_name("dying.py")), name, str(folder), *map(str, numbers)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        timeout=3600,  # a busy machine
        check=True,
    )
    document: dict[str, Any] = json.loads(found.stdout)
    return document


def test_dying_at_a_write_sync_or_rename_changes_nothing(tmp_path: Path) -> None:
    """Every seventh call; the slow test has all."""
    found = run(tmp_path, "dying", 1, 7)
    assert found["wrong"] == []
    assert found["trials"] >= 20


@pytest.mark.slow
@pytest.mark.parametrize("first", range(2))
def test_dying_at_every_write_sync_and_rename_changes_nothing(tmp_path: Path, first: int) -> None:
    """Before each call, and halfway through each that writes."""
    found = run(tmp_path, "dying", first, 2)
    assert found["wrong"] == []
    assert found["trials"] >= 70


def test_a_full_disk_and_a_read_only_folder_lose_nothing(tmp_path: Path) -> None:
    """Every thirteenth call; the slow test has all."""
    found = run(tmp_path, "failing", 3, 13)
    assert found["wrong"] == []
    assert found["trials"] >= 16


@pytest.mark.slow
@pytest.mark.parametrize("first", range(2))
def test_a_full_disk_and_a_read_only_folder_at_every_call_lose_nothing(tmp_path: Path, first: int) -> None:
    found = run(tmp_path, "failing", first, 2)
    assert found["wrong"] == []
    assert found["trials"] >= 120


def test_random_kills_change_nothing(tmp_path: Path) -> None:
    """Some; the slow test has two hundred."""
    assert run(tmp_path, "killed", 10, 2)["wrong"] == []


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2))
def test_two_hundred_random_kills_change_nothing(tmp_path: Path, seed: int) -> None:
    """A hundred of each seed."""
    found = run(tmp_path, "killed", 100, seed)
    assert found["wrong"] == []
    assert found["kills"] >= 100
