"""On several processes the first one writes, and says that it is one of several."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

import losscope
from losscope.monitor import Monitor

CRITERION = losscope.Criterion("contrastive", margin=2.0)


@pytest.mark.parametrize("rank", [0, 1])
def test_the_first_process_writes(rank: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.distributed, "get_rank", lambda: rank)
    monkeypatch.setattr(torch.distributed, "get_world_size", lambda: 2)
    with Monitor(CRITERION, out=tmp_path / "run", strict=True) as monitor:
        CRITERION(torch.randn(8, 3, requires_grad=True), torch.arange(8) % 2).backward()
    assert (tmp_path / "run").exists() is (rank == 0)
    assert (len(monitor.lines), monitor.count) == (1 - rank, 1)
    if rank == 0:
        assert json.loads((tmp_path / "run" / "manifest.json").read_text())["process"] == "rank 0 of 2"


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({}, (0, 1)),
        ({"WORLD_SIZE": "1", "RANK": "0"}, (0, 1)),
        ({"WORLD_SIZE": "4", "RANK": "3", "LOCAL_RANK": "1"}, (3, 4)),
        ({"WORLD_SIZE": "2", "LOCAL_RANK": "1", "NODE_RANK": "0"}, (1, 2)),
    ],
)
def test_launchers_say_which_process_it_is_before_there_is_a_group(
    told: dict[str, str], expected: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK"):
        monkeypatch.delenv(name, raising=False)
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monitor = Monitor(out=tmp_path / "run")
    assert monitor.process == expected
    assert (tmp_path / "run").exists() is (expected[0] == 0)
