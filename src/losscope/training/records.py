"""The record of one group while it trains: lines flushed after each epoch, checkpoints, and the long tables at the end.

Killed at any moment, a group resumes from its last checkpoint: lines after it are cut, and what is trained again is
bit-identical on the same machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from losscope.errors import DamagedRecord
from losscope.evaluation import Retrieval
from losscope.files import atomic, read_lines, read_parquet, write_json, write_table
from losscope.table import MAP, QUERY, RunRecord, measurement_table, record_rows, step_table

Row = tuple[int, str | None, int, str, int | None, float | None]
"""Compact epoch row: run index in the group, split, epoch, diagnostic, item, value."""


class GroupRecord:
    """Files of one group's folder; `group` says what is in it (see `losscope.table`)."""

    def __init__(self, folder: Path, group: Mapping[str, Any]) -> None:
        self.folder, self.group = folder, dict(group)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "failed.json").unlink(missing_ok=True)  # of an earlier try
        if not (folder / "group.json").is_file():
            write_json(folder / "group.json", self.group)

    def append(self, epoch: int, rows: Iterable[Row], steps: Sequence[Mapping[str, Any]] = ()) -> None:
        """Add one finished epoch: its measurements and its step lines."""
        with (self.folder / "steps.jsonl").open("a", encoding="utf-8") as file:
            file.writelines(_line(line) + "\n" for line in steps)
        with (self.folder / "epochs.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps({"epoch": epoch, "rows": finite(list(rows))}) + "\n")

    def append_queries(self, run: int, split: str, epoch: int, labels: Tensor, found: Retrieval) -> None:
        """Keep the per-query results of one run, split and evaluated epoch."""
        count = len(found.queries)
        columns = {
            "run": [self.group["runs"][run]] * count,
            "split": [split] * count,
            "epoch": [epoch] * count,
            "query": found.queries.cpu().numpy(),
            "label": labels[found.queries].cpu().numpy(),
            **{f"recall_at_{k}": hits.float().cpu().numpy() for k, hits in found.hits.items()},
            "r_precision": found.query_r_precision.float().cpu().numpy(),
            "average_precision_at_r": found.query_average_precision.float().cpu().numpy(),
        }
        write_table(self.folder / f"queries-{epoch}-{split}-{run}.parquet", pa.table(columns, schema=QUERY))

    def append_map(self, columns: Mapping[str, Any]) -> None:
        """Keep the plane of principal components of the group's first run."""
        write_table(self.folder / "map.parquet", pa.table(dict(columns), schema=MAP))

    def checkpoint(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Save what resuming needs, atomically."""
        with atomic(self.folder / "checkpoint.safetensors") as temporary:
            save_file(
                {name: part.detach().cpu().contiguous() for name, part in tensors.items()},
                temporary,
                metadata={"state": json.dumps(state)},
            )

    def resume(self) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
        """The last checkpoint, with the lines after it cut; None (and a clean slate) if there is none."""
        path = self.folder / "checkpoint.safetensors"
        if not path.is_file():
            for name in ("steps.jsonl", "epochs.jsonl"):
                (self.folder / name).unlink(missing_ok=True)
            return None
        try:
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
                state = json.loads(file.metadata()["state"])
        except (SafetensorError, OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise DamagedRecord(
                f"{path} can't be read ({error}); remove the folder {self.folder} and run the "
                "study again: only these runs are trained anew"
            ) from error
        for name in ("steps.jsonl", "epochs.jsonl"):
            self._cut(self.folder / name, state["epoch"])
        return tensors, state

    def _cut(self, path: Path, epoch: int) -> None:
        kept = [line for line in read_lines(path) if line["epoch"] <= epoch]
        with atomic(path) as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in kept), encoding="utf-8")

    def history(self, diagnostic: str, split: str | None, runs: int) -> list[list[float]]:
        """Values over epochs of one scalar diagnostic, for each run."""
        curves: list[list[float]] = [[] for _ in range(runs)]
        for line in read_lines(self.folder / "epochs.jsonl"):
            for index, where, _, name, item, value in line["rows"]:
                if name == diagnostic and where == split and item is None:
                    curves[index].append(math.nan if value is None else value)
        return curves

    def finish(self, records: Sequence[RunRecord]) -> None:
        """Turn the lines into long tables, then drop what only a running group needs. `runs.json` comes last but for
        the cleaning, so a group without it is unfinished whatever else is there."""
        rows = [row for line in read_lines(self.folder / "epochs.jsonl") for row in line["rows"]]
        write_table(self.folder / "measurements.parquet", measurement_table(self.group, rows))
        write_table(self.folder / "steps.parquet", step_table(self.group, read_lines(self.folder / "steps.jsonl")))
        parts = sorted(self.folder.glob("queries-*.parquet"))
        if parts:
            write_table(self.folder / "queries.parquet", pa.concat_tables(map(read_parquet, parts)))
        write_json(self.folder / "runs.json", record_rows(records))
        running = ("steps.jsonl", "epochs.jsonl", "checkpoint.safetensors", "failed.json")
        for path in (*parts, *(self.folder / name for name in running)):
            path.unlink(missing_ok=True)

    def fail(self, records: Sequence[RunRecord]) -> None:
        """Say how the runs failed; what was recorded so far stays, and the next invocation resumes."""
        write_json(self.folder / "failed.json", record_rows(records))


def _line(document: Mapping[str, Any]) -> str:
    """JSON of `finite`, without its copy where all numbers are finite, as nearly always."""
    try:
        return json.dumps(document, allow_nan=False)
    except ValueError:
        return json.dumps(finite(document))


def finite(value: Any) -> Any:
    """The same document with null for numbers that are not finite (JSON has none)."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: finite(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [finite(part) for part in value]
    return value
