"""Runs as a record has them: which there are, which are meant by a digest or drawn by a seed, and their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from losscope.errors import InvalidInput, UnknownName
from losscope.files import read_json, read_parquet
from losscope.study import Study, parse
from losscope.table import RunRecord, groups, has_ended, read_ending, read_group

TABLES = {
    "epochs": "measurements.parquet",
    "steps": "steps.parquet",
    "queries": "queries.parquet",
    "plane": "map.parquet",
}
"""Kind of rows -> file of a finished group."""

KEYS = ("split", "epoch", "step", "diagnostic", "item")
ROW = pa.schema(
    [
        ("split", pa.string()),
        ("epoch", pa.int64()),
        ("step", pa.int64()),
        ("diagnostic", pa.string()),
        ("item", pa.int64()),
        ("value", pa.float64()),
    ]
)
_SAMPLE = {"queries": "query", "plane": "row"}
"""Wide tables -> the column that says which sample a row is of."""

_COUNTS = ("epochs", "updates", "samples", "terms", "diverged_at")


@dataclass(frozen=True)
class RecordedRun:
    """One run that ended, and where its rows lie."""

    group: Path
    record: RunRecord
    hyperparameters: Mapping[str, Any]

    @property
    def cell(self) -> tuple[str, str, str, str]:
        """Data set, protocol, loss and variant: runs that differ by nothing but the seed share it."""
        return self.record.dataset, self.record.protocol, self.record.loss, self.record.variant

    @property
    def place(self) -> tuple[str, ...]:
        """The digest, and where the run stands in tables: the same inputs may stand under two protocols."""
        return self.record.run, *self.cell

    def __str__(self) -> str:
        return f"{self.record.run} ({' '.join(filter(None, self.cell))}, seed {self.record.seed})"


def read_study(folder: Path) -> Study:
    """The study that a folder holds, by its study.json. Raises MissingData, DamagedRecord or InvalidStudy."""
    groups(folder)  # says in words if there is no study
    path = folder / "study.json"
    return parse({key: value for key, value in read_json(path).items() if key != "schema"}, str(path))


def ended_runs(folder: Path, without: Collection[Path] = ()) -> list[RecordedRun]:
    """All runs of a study's folder that are done or diverged, `without` those of some groups. MissingData if there is
    no study."""
    return [run for group in groups(folder, without) if has_ended(group) for run in runs_of(group)]


def runs_of(group: Path) -> list[RecordedRun]:
    """The runs of a group that has ended."""
    about = read_group(group)
    hyperparameters = dict(zip(about["runs"], about["hyperparameters"], strict=True))
    records = read_ending(group / "runs.json").records
    return [RecordedRun(group, record, hyperparameters[record.run]) for record in records if record.status != "failed"]


def find(runs: Sequence[RecordedRun], prefix: str) -> RecordedRun:
    """The one run whose digest begins with `prefix`. Raises UnknownName or, where several do, InvalidInput."""
    found = {run.record.run: run for run in reversed(runs) if run.record.run.startswith(prefix)}
    if not prefix or not found:
        raise UnknownName.of("run", prefix, {run.record.run for run in runs})
    if len(found) > 1:
        listed = "; ".join(map(str, list(found.values())[:5]))
        raise InvalidInput(
            f"'{prefix}' begins the digests of {len(found)} runs: {listed}{'; ...' if len(found) > 5 else ''}; "
            "give more of the digest"
        )
    return next(iter(found.values()))


def sample(runs: Sequence[RecordedRun], count: int, seed: int) -> list[RecordedRun]:
    """`count` runs (or all) from as many cells as there are, drawn by `seed` and the digests alone: the same on every
    machine, whatever the order of folders."""

    def drawn(*what: str) -> str:
        return hashlib.sha256("\0".join((str(seed), *what)).encode()).hexdigest()

    by_cell: dict[tuple[str, ...], list[RecordedRun]] = {}
    for run in sorted(runs, key=lambda run: drawn(*run.place)):
        by_cell.setdefault(run.cell, []).append(run)
    ranked = [
        (rank, drawn(*cell), run) for cell, members in by_cell.items() for rank, run in enumerate(members)
    ]  # the first of every cell, then the second of every cell
    return [run for *_, run in sorted(ranked, key=lambda one: one[:2])[:count]]


def rows(runs: Iterable[RecordedRun], kind: str) -> pa.Table:
    """Rows of some runs in the schema ROW; queries and planes become a row for each sample and column."""
    return every(_of_group(group, digests, kind) for group, digests in _by_group(runs).items())


def every(tables: Iterable[pa.Table]) -> pa.Table:
    """The rows of several tables, or of none, in the schema ROW."""
    return pa.concat_tables([ROW.empty_table(), *tables])


def counts(run: RecordedRun) -> pa.Table:
    """What a run's record counts, in the schema ROW."""
    told = {name: getattr(run.record, name) for name in _COUNTS}
    empty = [None] * len(told)
    values = [None if value is None else float(value) for value in told.values()]
    columns = {"split": empty, "epoch": [0] * len(told), "step": empty, "diagnostic": list(told), "item": empty}
    return pa.table({**columns, "value": values}, schema=ROW)


def _by_group(runs: Iterable[RecordedRun]) -> dict[Path, list[str]]:
    found: dict[Path, list[str]] = {}
    for run in runs:
        found.setdefault(run.group, []).append(run.record.run)
    return found


def _of_group(group: Path, digests: Sequence[str], kind: str) -> pa.Table:
    path, ending = group / TABLES[kind], read_ending(group / "runs.json")
    if not ending.holds(path):
        return ROW.empty_table()
    table = read_parquet(path, ending.seal(path.name))
    table = table.filter(pc.is_in(table["run"], pa.array(digests, pa.string())))
    if kind not in _SAMPLE:
        return table.select(ROW.names).cast(ROW)
    named = ("run", "split", "epoch", _SAMPLE[kind])
    parts = [
        pa.table(
            {
                "split": table["split"],
                "epoch": table["epoch"],
                "step": pa.nulls(table.num_rows, pa.int64()),
                "diagnostic": pa.array([name] * table.num_rows, pa.string()),
                "item": table[_SAMPLE[kind]],
                "value": table[name].cast(pa.float64()),
            },
            schema=ROW,
        )
        for name in table.column_names
        if name not in named
    ]
    return pa.concat_tables(parts)
