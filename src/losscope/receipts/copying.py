"""A finished group copied into another folder: file by file, or with some of its runs only, and then sealed anew."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from losscope.files import (
    Seal,
    make_folder,
    read_parquet,
    remove,
    remove_unfinished,
    seal_of,
    write_bytes,
    write_json,
    write_table,
)
from losscope.files.lock import in_place, take
from losscope.receipts.recorded import TABLES, RecordedRun
from losscope.study import digest
from losscope.table import ENVIRONMENT, SCHEMA_VERSION, has_ended, read_ending, read_group, write_ending

OF_RUNS = ("variants", "seeds", "runs", "data_fingerprints", "hyperparameters")
"""What `group.json` lists for each run."""

RUNNING = ("epochs.jsonl", "steps.jsonl", "checkpoint.safetensors", "failed.json")
"""What a group that has not ended leaves, and one that has does not need."""


def name_of(group: Path, runs: Sequence[RecordedRun]) -> str:
    """The folder's name of a group with these of its runs: its words, and what tells it from others of the cell."""
    every: list[str] = read_group(group)["runs"]
    if len(runs) == len(every):
        return group.name
    kept = {run.record.run for run in runs}
    words, dashes, _ = group.name.rpartition("--")
    return f"{words}{dashes}{digest({'runs': [run for run in every if run in kept]})[:8]}"


def copy_runs(group: Path, target: Path, runs: Sequence[RecordedRun], *, over: bool = False) -> bool:
    """Copy some or all runs of a finished group into the folder `target`, which nobody can train meanwhile. `group.json`
    comes first and `runs.json` last, so what is interrupted is a group that has not ended, and is written again.

    False, and nothing is copied, where another process trains the group that is there or has ended it since (it is to be
    ended already with `over`).
    """
    make_folder(target)
    with ExitStack() as held:
        if (target / "group.json").is_file() and not _taken(target / "group.json", held):
            return False
        if has_ended(target) and not over:
            return False
        remove_unfinished(target)
        remove(target / "runs.json")
        some = target.name != group.name
        if some:
            write_json(target / "group.json", _about(group, runs))
        else:
            write_bytes(target / "group.json", (group / "group.json").read_bytes())
        if not _taken(target / "group.json", held):  # the file is a new one, and so is its lock
            return False
        (_copy_some if some else _copy_all)(group, target, runs)
        for path in (*target.glob("queries-*.parquet"), *(target / name for name in RUNNING)):
            remove(path)
    return True


def _taken(path: Path, held: ExitStack) -> bool:
    """Whether nobody had the lock of a group's file, which is ours now, until `held` ends."""
    file = held.enter_context(path.open("r+b"))
    return take(file, wait=False) and in_place(file, path)


def _about(group: Path, runs: Sequence[RecordedRun]) -> dict[str, Any]:
    """What `group.json` says of some runs of a group."""
    about, kept = read_group(group), {run.record.run for run in runs}
    rows = [row for row, run in enumerate(about["runs"]) if run in kept]
    listed = {name: [about[name][row] for row in rows] for name in OF_RUNS if name in about}
    return {**about, "schema": SCHEMA_VERSION, **listed}


def _copy_all(group: Path, target: Path, runs: Sequence[RecordedRun]) -> None:
    ending = read_ending(group / "runs.json")
    for name in (*TABLES.values(), ENVIRONMENT, "runs.json"):
        if name == "runs.json" or ending.holds(group / name):
            write_bytes(target / name, (group / name).read_bytes())


def _copy_some(group: Path, target: Path, runs: Sequence[RecordedRun]) -> None:
    ending, kept = read_ending(group / "runs.json"), {run.record.run for run in runs}
    seals: dict[str, Seal] = {}
    if ending.holds(group / ENVIRONMENT):
        write_bytes(target / ENVIRONMENT, (group / ENVIRONMENT).read_bytes())
        seals[ENVIRONMENT] = seal_of(target / ENVIRONMENT)
    for name in TABLES.values():
        if ending.holds(group / name):
            table = read_parquet(group / name, ending.seal(name))
            table = table.filter(pc.is_in(table["run"], pa.array(sorted(kept), pa.string())))
            if table.num_rows or name != TABLES["plane"]:  # which is of the group's first run only
                seals[name] = write_table(target / name, table)
    write_ending(target, [record for record in ending.records if record.run in kept], seals)
