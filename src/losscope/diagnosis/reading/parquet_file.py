"""Parquet files, read by a process of their own whose memory and time are limited.

A flipped bit in a parquet file can make a reader allocate without limit, or never end. The process that reads (see
`parquet_process`) may take what the file's size allows and no more; when it dies, the file is called damaged. A matrix
comes back as a file of its numbers in a temporary folder that lives as long as the matrix is in use, everything else as
Arrow at once.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from losscope.diagnosis.reading import Columns
from losscope.diagnosis.reading.stored import numbers_at
from losscope.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

SECONDS, BYTES_PER_SECOND = 60.0, 5_000_000
"""Time that a file may take: a minute, and a second more for each 5 MB of it."""
ALLOCATION = {"ARROW_DEFAULT_MEMORY_POOL": "system", "MALLOC_ARENA_MAX": "1"}
"""Other allocators reserve a gigabyte of addresses before they use a byte: a limit would mean nothing."""


class Scratch:
    """A temporary folder that goes when nothing needs it any more, and at the end of the program."""

    def __init__(self) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="losscope-"))
        weakref.finalize(self, shutil.rmtree, self.path, ignore_errors=True)


def open_parquet(path: Path) -> Columns:
    """The columns of a parquet file; each is read when it is asked for."""
    names = tuple(_ask(path, "names", "", Path())["names"])

    def take(name: str) -> pa.ChunkedArray:
        with tempfile.TemporaryDirectory(prefix="losscope-") as folder:
            _ask(path, "column", name, Path(folder) / "column.arrow")
            return written(Path(folder) / "column.arrow")

    def matrix(name: str) -> Any:
        folder = Scratch()
        to = folder.path / "matrix"
        said = _ask(path, "matrix", name, to)
        return numbers_at(to, 0, (said["rows"], said["dim"]), np.dtype(said["dtype"]), keep=folder)

    return Columns(path, names, take, matrix, table=True)


def _ask(path: Path, wanted: str, name: str, to: Path) -> dict[str, Any]:
    """What the reading process says. Raises InvalidInput if it refuses, dies or takes too long."""
    command = [sys.executable, "-m", "losscope.diagnosis.reading.parquet_process", str(path), wanted, name, str(to)]
    environment = {**os.environ, **ALLOCATION}
    allowed = SECONDS + path.stat().st_size / BYTES_PER_SECOND
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=allowed, check=False, env=environment)
    except subprocess.TimeoutExpired:
        raise InvalidInput(f"{path} could not be read within {allowed:.0f} s; expected a whole parquet file") from None
    return answer(path, ended.returncode, ended.stdout)


def written(path: Path) -> pa.ChunkedArray:
    """The column that the reading process wrote."""
    import pyarrow as pa

    with pa.OSFile(str(path)) as file:
        return pa.ipc.open_file(file).read_all().column(0)


def answer(path: Path, code: int, said: str) -> dict[str, Any]:
    """The answer of the reading process, whose exit code is `code`. Raises InvalidInput if there is none."""
    try:
        document: dict[str, Any] = json.loads(said)
    except ValueError:
        raise InvalidInput(
            f"{path} can't be read (its reader ended with {code}); expected a whole parquet file: write or fetch it again"
        ) from None
    if "error" in document:
        raise InvalidInput(document["error"])
    return document
