"""The command line as a person calls it, in this process."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from losscope.cli import main


@dataclass(frozen=True)
class Called:
    """How a command ended: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Cli = Callable[..., Called]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Cli:
    """Call `losscope ARGUMENTS...`. Wide terminal, so that no message is broken over lines."""
    monkeypatch.setenv("COLUMNS", "400")

    def call(*arguments: object) -> Called:
        monkeypatch.setattr("sys.argv", ["losscope", *map(str, arguments)])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        out, err = capfd.readouterr()
        return Called(code, out, err)

    return call


TINY = ("--jobs", "1", "--epochs", "1", "--seeds", "1")
"""A study that takes a second."""
