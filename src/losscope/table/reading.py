"""Rows and records of a study's folder, checked against their seals as they are read."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pyarrow as pa

from losscope.files import read_lines, read_parquet
from losscope.table.folder import groups, has_ended, is_sealed, read_group
from losscope.table.rows import measurement_table, step_table
from losscope.table.schema import MAP, MEASUREMENT, QUERY, RunRecord
from losscope.table.sealing import read_ending


def read_measurements(folder: Path, *, steps: bool = False, without: Collection[Path] = ()) -> pa.Table:
    """All epoch rows (or, with `steps`, all step rows) of a study, finished or still running, `without` some groups.

    Raises MissingData if there is no study, DamagedRecord for a file that is not what was written.
    """
    tables = [group_measurements(group, steps=steps) for group in groups(folder, without)]
    return pa.concat_tables(tables) if tables else MEASUREMENT.empty_table()


def group_measurements(group: Path, *, steps: bool = False) -> pa.Table:
    """The epoch rows (or, with `steps`, the step rows) of one group, finished or still running."""
    if not has_ended(group):
        rows = running_steps(group) if steps else running_epochs(group)
        if not has_ended(group):  # it may have ended, and cleaned up, while it was read
            return rows
    name = "steps.parquet" if steps else "measurements.parquet"
    return read_parquet(group / name, read_ending(group / "runs.json").seal(name))


def read_runs(folder: Path, without: Collection[Path] = ()) -> list[RunRecord]:
    """The records of all runs of a study that are done, diverged or failed, `without` some groups."""
    ended = [path for group in groups(folder, without) if (path := _how_it_ended(group))]
    return [record for path in ended for record in read_ending(path).records]


def _how_it_ended(group: Path) -> Path | None:
    """The file with a group's run records; None while it trains."""
    return next((path for path in (group / "runs.json", group / "failed.json") if path.is_file()), None)


def read_queries(folder: Path) -> pa.Table:
    """Per-query retrieval results of all finished runs."""
    return _concatenated(folder, "queries.parquet", QUERY)


def read_map(folder: Path, without: Collection[Path] = ()) -> pa.Table:
    """Planes of principal components of all finished groups, `without` some: the first run of each."""
    return _concatenated(folder, "map.parquet", MAP, without)


def _concatenated(folder: Path, name: str, schema: pa.Schema, without: Collection[Path] = ()) -> pa.Table:
    tables = []
    for group in filter(has_ended, groups(folder, without)):
        ending = read_ending(group / "runs.json")
        if ending.holds(group / name):
            tables.append(read_parquet(group / name, ending.seal(name)))
    return pa.concat_tables(tables) if tables else schema.empty_table()


def running_epochs(group: Path) -> pa.Table:
    """Epoch rows of a group that is still training."""
    about = read_group(group)
    lines = read_lines(group / "epochs.jsonl", sealed=is_sealed(about))
    return measurement_table(about, [row for line in lines for row in line["rows"]])


def running_steps(group: Path) -> pa.Table:
    """Step rows of a group that is still training."""
    about = read_group(group)
    return step_table(about, read_lines(group / "steps.jsonl", sealed=is_sealed(about)))
