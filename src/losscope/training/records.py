"""The record of one group while it trains: lines flushed after each epoch, checkpoints, and the long tables at the end.

Killed at any moment, a group resumes from its last checkpoint: lines after it are cut, and what is trained again is
bit-identical on the same machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from losscope.errors import DamagedRecord
from losscope.evaluation import Evaluation
from losscope.files import (
    NO_DIGEST,
    Seal,
    append,
    check_tensors,
    line_of,
    read_lines,
    read_parquet,
    remove,
    remove_unfinished,
    seal_of,
    truncate,
    write_bytes,
    write_table,
    write_tensors,
)
from losscope.files.checksums import ADVICE
from losscope.table import (
    ENVIRONMENT,
    MAP,
    QUERY,
    RunRecord,
    is_sealed,
    measurement_table,
    read_group,
    step_table,
    write_ending,
    write_failure,
    write_group,
)

Row = tuple[int, str | None, int, str, int | None, float | None]
"""Compact epoch row: run index in the group, split, epoch, diagnostic, item, value."""

STEPS, EPOCHS, CHECKPOINT, PLANE = "steps.jsonl", "epochs.jsonl", "checkpoint.safetensors", "map.parquet"


class GroupRecord:
    """Files of one group's folder; `group` says what is in it (see `losscope.table`)."""

    def __init__(self, folder: Path, group: Mapping[str, Any]) -> None:
        self.folder = folder
        write_group(folder, group)
        self.group = read_group(folder)
        remove_unfinished(folder)
        remove(folder / "failed.json")  # of an earlier try
        self._queries: list[pa.Table] = []
        self._written: dict[str, Seal] = {}  # tables of the epoch that is being measured

    def append(self, epoch: int, rows: Iterable[Row], steps: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add one finished epoch: its measurements, its step lines, and the tables that were kept since the last one."""
        if self._queries:
            name = f"queries-{epoch}.parquet"
            self._written[name] = write_table(self.folder / name, pa.concat_tables(self._queries))
        if steps:
            append(self.folder / STEPS, b"".join(map(_line, steps)))
        if (rows := list(rows)) or self._written:
            append(self.folder / EPOCHS, _line({"epoch": epoch, "rows": rows, "files": self._written}))
        self._queries, self._written = [], {}

    def append_queries(self, run: int, split: str, epoch: int, labels: Tensor, found: Evaluation) -> None:
        """Keep the per-query results of one run, split and evaluated epoch."""
        count = len(found.queries)
        columns = {
            "run": [self.group["runs"][run]] * count,
            "split": [split] * count,
            "epoch": [epoch] * count,
            "query": found.queries.cpu().numpy(),
            "label": labels[found.queries].cpu().numpy(),
            **{f"recall_at_{k}": hits.float().cpu().numpy() for k, hits in found.each["recall_at_k"].items()},
            "r_precision": found.each["r_precision"].float().cpu().numpy(),
            "average_precision_at_r": found.each["map_at_r"].float().cpu().numpy(),
        }
        self._queries.append(pa.table(columns, schema=QUERY))

    def append_map(self, columns: Mapping[str, Any]) -> None:
        """Keep the plane of principal components of the group's first run."""
        self._written[PLANE] = write_table(self.folder / PLANE, pa.table(dict(columns), schema=MAP))

    def checkpoint(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Save what resuming needs, atomically: also how long the files of lines are now."""
        sizes = {path.name: path.stat().st_size if path.is_file() else 0 for path in self._lines}
        data = save(
            {name: part.detach().cpu().contiguous() for name, part in tensors.items()},
            {"state": json.dumps(state), "sizes": json.dumps(sizes), "sha256": NO_DIGEST},
        )
        write_tensors(self.folder / CHECKPOINT, data)

    def resume(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last checkpoint, with the lines after it cut; None (and a clean slate) if there is none."""
        path = self.folder / CHECKPOINT
        if not path.is_file():
            for lines in self._lines:
                remove(lines)
            return None
        metadata, data = check_tensors(path, sealed=self._sealed)
        try:
            tensors, state = load(data), json.loads(metadata["state"])
        except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
            raise DamagedRecord(f"{path} can't be read ({error}); {ADVICE}") from error
        if "sizes" not in metadata:  # before schema 3
            for lines in self._lines:
                self._cut(lines, state["epoch"])
            return tensors, state
        for name, size in json.loads(metadata["sizes"]).items():
            read_lines(self.folder / name, sealed=self._sealed, size=size)
            truncate(self.folder / name, size)
        return tensors, state

    @property
    def _lines(self) -> tuple[Path, Path]:
        return self.folder / STEPS, self.folder / EPOCHS

    @property
    def _sealed(self) -> bool:
        return is_sealed(self.group)

    def _cut(self, path: Path, epoch: int) -> None:
        kept = [line for line in read_lines(path) if line["epoch"] <= epoch]
        write_bytes(path, b"".join(map(_line, kept)))

    def history(self, diagnostic: str, split: str | None, runs: int) -> list[list[float]]:
        """Values over epochs of one scalar diagnostic, for each run."""
        curves: list[list[float]] = [[] for _ in range(runs)]
        for line in read_lines(self.folder / EPOCHS, sealed=self._sealed):
            for index, where, _, name, item, value in line["rows"]:
                if name == diagnostic and where == split and item is None:
                    curves[index].append(math.nan if value is None else value)
        return curves

    def finish(self, records: Sequence[RunRecord], trained: Iterable[int] = ()) -> None:
        """Turn the lines into long tables, then drop what only a running group needs. `runs.json` comes last but for
        the cleaning, so a group without it is unfinished whatever else is there.

        Raises DamagedRecord if a line of an epoch that was `trained` is gone: somebody else has been at work here.
        """
        epochs, steps = (read_lines(self.folder / name, sealed=self._sealed) for name in (EPOCHS, STEPS))
        if gone := sorted({*trained} - {line["epoch"] for line in epochs}):
            raise DamagedRecord(
                f"{self.folder / EPOCHS} has lost the lines of {len(gone)} epochs (the first is {gone[0]}) while its group "
                f"was trained; {ADVICE}"
            )
        kept: dict[str, Seal] = {name: seal for line in epochs for name, seal in line.get("files", {}).items()}
        tables = {
            "measurements.parquet": measurement_table(self.group, [row for line in epochs for row in line["rows"]]),
            "steps.parquet": step_table(self.group, steps),
        }
        parts = [read_parquet(path, kept.pop(path.name, None)) for path in self._parts(kept)]
        if parts:
            tables["queries.parquet"] = pa.concat_tables(parts)
        seals = {name: write_table(self.folder / name, table) for name, table in tables.items()}
        if (self.folder / ENVIRONMENT).is_file():
            seals[ENVIRONMENT] = seal_of(self.folder / ENVIRONMENT)
        write_ending(self.folder, records, kept | seals)
        clean(self.folder)

    def _parts(self, kept: Mapping[str, Seal]) -> list[Path]:
        """Files with the results of queries, by epoch."""
        if not self._sealed:
            return sorted(self.folder.glob("queries-*.parquet"))
        return [self.folder / name for name in kept if name.startswith("queries-")]

    def fail(self, records: Sequence[RunRecord]) -> None:
        """Say how the runs failed; what was recorded so far stays, and the next invocation resumes.

        A disk that is full, or can't be written, may be why they failed: the caller has the records.
        """
        with suppress(OSError):
            write_failure(self.folder, records)


def clean(group: Path) -> None:
    """Remove what only a running group needs from the folder of one that has ended."""
    with suppress(OSError):  # a file too many is no failure
        running = (STEPS, EPOCHS, CHECKPOINT, "failed.json")
        for path in (*group.glob("queries-*.parquet"), *(group / name for name in running)):
            remove(path)


def _line(document: Mapping[str, Any]) -> bytes:
    """The line of `finite`, without its copy where all numbers are finite, as nearly always."""
    try:
        return line_of(document)
    except ValueError:
        return line_of(finite(document))


def finite(value: Any) -> Any:
    """The same document with null for numbers that are not finite (JSON has none)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value
