"""Files that are whole or not there: written beside their place and moved into it; torn ones are named when read."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.errors import DamagedRecord

if TYPE_CHECKING:
    import pyarrow as pa


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path beside `path` that takes its place when the block succeeds, and vanishes when it fails."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_json(path: Path, document: object) -> None:
    """Write one JSON document atomically."""
    with atomic(path) as temporary:
        temporary.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """Read one JSON document; DamagedRecord if it is torn or not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DamagedRecord(
            f"{path} is not a JSON document ({error}); restore the file or remove it and train again"
        ) from error


def read_lines(path: Path) -> list[Any]:
    """The lines of a JSONL file that is being written. A torn last line is dropped; an earlier one is damage."""
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    documents = []
    for number, line in enumerate(lines[:-1], start=1):  # what follows the last newline is empty or torn
        try:
            documents.append(json.loads(line))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise DamagedRecord(
                f"{path}, line {number} is not JSON; remove the folder {path.parent} and run "
                "the study again: only these runs are trained anew"
            ) from error
    return documents


def write_table(path: Path, table: pa.Table) -> None:
    """Write a parquet file atomically."""
    import pyarrow.parquet as pq

    with atomic(path) as temporary:
        pq.write_table(table, temporary, compression="zstd")


def read_parquet(path: Path) -> pa.Table:
    """Read a parquet file; DamagedRecord if it is torn."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.read_table(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise DamagedRecord(
            f"{path} can't be read ({error}); remove its folder and run the study again: "
            "only these runs are trained anew"
        ) from error
