"""Per-query results of the runs of one comparison: what each query found after the last epoch, in every seed.

The files may hold millions of rows. They are streamed: only the columns that are needed, and of these only the rows of
the wanted runs, are ever in memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from losscope import table
from losscope.errors import DamagedRecord
from losscope.files import Seal, open_parquet, unreadable
from losscope.summary.reading import StudyRecord
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

BATCH = 1 << 18
"""Rows that are read at once."""


@dataclass(frozen=True)
class QueryResults:
    """What the queries of one run found; those without a relevant item are not there."""

    queries: np.ndarray  # (queries,) rows of the split, ascending
    labels: np.ndarray  # (queries,)
    values: Mapping[str, np.ndarray]  # column of the schema -> (queries,) float64, NaN where undefined


@dataclass(frozen=True)
class Aligned:
    """The same queries in every seed of two losses."""

    seeds: tuple[int, ...]
    labels: np.ndarray  # (queries,)
    first: np.ndarray  # (seeds, queries)
    second: np.ndarray


def files_of(studies: Iterable[StudyRecord], runs: Iterable[str]) -> dict[Path, set[str]]:
    """The files with the per-query results of `runs`, each with those of the runs that it is read for."""
    missing, found = set(runs), dict[Path, set[str]]()
    for study in studies:
        for group in table.groups(study.folder):
            path = group / "queries.parquet"
            here = missing & _runs_in(group) if missing and path.is_file() and table.has_ended(group) else set()
            if here:
                found[path] = here
                missing -= here
    return found


def _runs_in(group: Path) -> set[str]:
    try:
        return set(table.read_group(group)["runs"])
    except DamagedRecord:  # named already by whoever read the record
        return set()


def rows_in(files: Iterable[Path]) -> int:
    """Rows of all files together, read from their ends; the files are checked. Raises DamagedRecord."""
    return sum(open_parquet(path, _seal(path)).metadata.num_rows for path in files)


def _seal(path: Path) -> Seal | None:
    return table.read_ending(path.parent / "runs.json").seal(path.name)


def results(
    files: Mapping[Path, set[str]], comparison: Comparison, subjects: Sequence[Subject], columns: Sequence[str]
) -> dict[Subject, dict[int, QueryResults]]:
    """Subject -> seed -> results after the last epoch, on the split that is not trained on. Raises DamagedRecord.

    The files are those that `rows_in` has checked.
    """
    whose = {run.run: (subject, run.seed) for subject in subjects for run in comparison.runs_of(subject)}
    found: dict[Subject, dict[int, QueryResults]] = {}
    for path, runs in files.items():
        rows = _rows(path, runs & whose.keys(), comparison, columns)
        for run, part in _by_run(rows, columns):
            subject, seed = whose[run]
            found.setdefault(subject, {})[seed] = part
    return found


def _rows(path: Path, runs: set[str], comparison: Comparison, columns: Sequence[str]) -> pa.Table:
    wanted, kept = pa.array(sorted(runs), pa.string()), []
    names = ["run", "split", "epoch", "query", "label", *columns]
    try:
        for batch in open_parquet(path).iter_batches(BATCH, columns=names):
            chosen = pc.and_(pc.is_in(batch["run"], wanted), pc.equal(batch["split"], comparison.evaluation))
            kept.append(batch.filter(pc.and_(chosen, pc.equal(batch["epoch"], comparison.epochs))))
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from error
    return pa.Table.from_batches(kept) if kept else pa.table({name: [] for name in names})


def _by_run(rows: pa.Table, columns: Sequence[str]) -> Iterator[tuple[str, QueryResults]]:
    if not rows.num_rows:
        return
    encoded = rows["run"].combine_chunks().dictionary_encode()
    runs, query = encoded.indices.to_numpy(), rows["query"].to_numpy()
    order = np.lexsort((query, runs))
    ends = np.flatnonzero(np.diff(runs[order])) + 1
    label = rows["label"].to_numpy()
    values = {name: rows[name].to_numpy().astype(np.float64) for name in columns}
    names = encoded.dictionary.to_pylist()
    for places in np.split(order, ends):
        own = {name: of[places] for name, of in values.items()}
        yield names[runs[places[0]]], QueryResults(query[places], label[places], own)


def aligned(first: Mapping[int, QueryResults], second: Mapping[int, QueryResults], column: str) -> Aligned | None:
    """The queries that have a value in every seed of both; None where there are none, or where labels differ."""
    seeds = tuple(sorted(first.keys() & second.keys()))
    sides = [[side[seed] for seed in seeds] for side in (first, second)]
    every = [one for side in sides for one in side]
    if not every:
        return None
    queries = reduce(np.intersect1d, (one.queries[np.isfinite(one.values[column])] for one in every))
    places = [np.searchsorted(one.queries, queries) for one in every]
    labels = [one.labels[at] for one, at in zip(every, places, strict=True)]
    if not len(queries) or any(not np.array_equal(labels[0], of) for of in labels[1:]):
        return None
    values = np.stack([one.values[column][at] for one, at in zip(every, places, strict=True)])
    return Aligned(seeds, labels[0], values[: len(seeds)], values[len(seeds) :])
