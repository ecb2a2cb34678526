"""Studies from disk, merged: which runs ended how, and the series of every measurement of the runs that are done.

Several folders make one record. A run that two studies share (the same digest) counts once. Where studies give one
name to different things (protocols of one name with other settings), the later protocol is renamed after its study.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from losscope import table
from losscope.errors import InvalidInput
from losscope.files import read_json
from losscope.study import Protocol, Study, parse
from losscope.table import INPUTS, RunRecord

PER_CLASS = "intra_class_variance"


class Key(NamedTuple):
    """What one series measures. `split` is None for training, `item` None for a scalar."""

    dataset: str
    protocol: str
    loss: str
    variant: str
    split: str | None
    diagnostic: str
    item: int | None


@dataclass(frozen=True)
class Series:
    """One measurement over epochs and seeds, in no order; NaN where it is undefined."""

    epochs: np.ndarray  # (rows,) int64
    seeds: np.ndarray  # (rows,) int64
    values: np.ndarray  # (rows,) float64

    def at(self, epoch: int) -> dict[int, float]:
        """Seed -> value at one epoch, NaN included."""
        rows = self.epochs == epoch
        return dict(zip(self.seeds[rows].tolist(), self.values[rows].tolist(), strict=True))


@dataclass(frozen=True)
class StudyRecord:
    """One study's folder."""

    folder: Path
    study: Study
    manifest: Mapping[str, Any]
    runs: tuple[RunRecord, ...]
    hyperparameters: Mapping[tuple[str, str, str, str], Mapping[str, Any]]  # (data, protocol, loss, variant) -> values
    renamed: Mapping[str, str]  # protocol -> its name here

    @property
    def trained(self) -> tuple[RunRecord, ...]:
        """Runs of losses that have ended, well or not."""
        return tuple(run for run in self.runs if run.loss != INPUTS)

    @property
    def planned(self) -> int:
        """Runs of losses that the study asks for."""
        return sum(len(cell.seeds) for cell in self.study.cells())


@dataclass(frozen=True)
class Record:
    """Everything that a report reads."""

    studies: tuple[StudyRecord, ...]
    runs: tuple[RunRecord, ...]  # of all studies, each once
    series: Mapping[Key, Series]
    planes: pa.Table  # principal components, schema of `table.MAP`
    doubled: int  # runs that stand in a folder twice, under digests that differ
    damaged: tuple[str, ...] = ()  # what could not be read and was left out

    @property
    def done(self) -> tuple[RunRecord, ...]:
        """The runs that are done."""
        return tuple(run for run in self.runs if run.status == "done")


def read(folders: Sequence[Path], *, tolerant: bool = False) -> Record:
    """Read the studies in `folders`. Raises MissingData, DamagedRecord, or InvalidInput without folders.

    A `tolerant` reader leaves out groups that are damaged and says which; a study whose own file is damaged stays an error.
    """
    if not folders:
        raise InvalidInput("no folder was given; expected at least one folder that `losscope study` wrote")
    studies: list[StudyRecord] = []
    runs: dict[tuple[str, str], RunRecord] = {}  # (digest, protocol as shown): an input may stand under two protocols
    tables, planes = [], []
    doubled, damaged = 0, dict[Path, str]()
    for folder in dict.fromkeys(Path(folder).resolve() for folder in folders):
        lost = table.damaged_groups(folder) if tolerant else {}
        damaged |= lost
        record, measurements, superseded = _read_one(folder, list(runs.values()), lost)
        doubled += superseded
        studies.append(record)
        known = {run.run for run in runs.values()}
        fresh = [run for run in record.runs if (run.run, run.protocol) not in runs]
        runs.update({(run.run, run.protocol): run for run in fresh})
        tables.append(measurements.filter(pc.is_in(measurements["run"], _digests(fresh))))
        plane = table.read_map(folder, lost)
        planes.append(plane.filter(pc.is_in(plane["run"], _digests(run for run in fresh if run.run not in known))))
    done = {run.run: run.epochs for run in runs.values() if run.status == "done"}
    return Record(
        studies=tuple(studies),
        runs=tuple(runs.values()),
        series=_series(pa.concat_tables(tables), done),
        planes=pa.concat_tables(planes),
        doubled=doubled,
        damaged=tuple(damaged.values()),
    )


def _digests(runs: Iterable[RunRecord]) -> pa.Array:
    return pa.array([run.run for run in runs], pa.string())


def protocols(studies: Iterable[StudyRecord]) -> dict[str, Protocol]:
    """Every protocol under the name that it has here."""
    return {study.renamed.get(part.name, part.name): part for study in studies for part in study.study.protocol}


def _read_one(
    folder: Path, before: Sequence[RunRecord], without: Collection[Path]
) -> tuple[StudyRecord, pa.Table, int]:
    """One folder `without` some groups, with protocols renamed where the runs `before` use their names for something
    else."""
    measurements = table.read_measurements(folder, without=without)  # first: it says in words if there is no study
    document = {key: value for key, value in read_json(folder / "study.json").items() if key != "schema"}
    study = parse(document, str(folder / "study.json"))
    manifest = read_json(folder / "manifest.json") if (folder / "manifest.json").is_file() else {}
    groups = [table.read_group(group) for group in table.groups(folder, without)]
    prints = {name: about["fingerprints"] for name, about in manifest.get("data", {}).items()}
    found = sorted(
        table.read_runs(folder, without),  # where data changed under a study, the runs on the present data hold
        key=lambda run: prints.get(run.dataset, {}).get(str(run.seed)) == run.data_fingerprint,
    )
    runs = {_place(run): run for run in found}
    taken = {_place(run): run.run for run in before}
    names = sorted({run.protocol for run in runs.values() if taken.get(_place(run), run.run) != run.run})
    renamed = {name: f"{name} ({study.name})" for name in names}
    kept = [replace(run, protocol=renamed.get(run.protocol, run.protocol)) for run in runs.values()]
    hyperparameters = {
        (of["dataset"], renamed.get(of["protocol"], of["protocol"]), of["loss"], variant): values
        for of in groups
        for variant, values in zip(of["variants"], of["hyperparameters"], strict=True)
    }
    record = StudyRecord(folder, study, manifest, tuple(kept), hyperparameters, renamed)
    # An input stands under every protocol with one digest, so places are counted, not digests.
    superseded = len({(_place(run), run.run) for run in found}) - len(runs)
    return record, _rename(measurements, renamed), superseded


def _place(run: RunRecord) -> tuple[str, str, str, str, int]:
    return run.dataset, run.protocol, run.loss, run.variant, run.seed


def _rename(measurements: pa.Table, renamed: Mapping[str, str]) -> pa.Table:
    protocols = [renamed.get(name, name) for name in measurements["protocol"].to_pylist()] if renamed else None
    if protocols is None:
        return measurements
    at = measurements.schema.get_field_index("protocol")
    return measurements.set_column(at, measurements.schema.field(at), pa.array(protocols, pa.string()))


def _series(measurements: pa.Table, done: Mapping[str, int]) -> dict[Key, Series]:
    """The rows of runs that are `done` (digest -> last epoch), grouped; per-class rows of the last epoch only."""
    digests = pa.array(list(done), pa.string())
    rows = measurements.filter(pc.is_in(measurements["run"], digests))
    last = pc.take(pa.array(list(done.values()), pa.int64()), pc.index_in(rows["run"], digests))
    scalar = pc.not_equal(rows["diagnostic"], PER_CLASS)
    ends = pc.or_(pc.equal(rows["epoch"], last), pc.equal(rows["epoch"], 0))
    rows = rows.filter(pc.or_(scalar, ends))
    grouped = rows.group_by(list(Key._fields), use_threads=False).aggregate(
        [("epoch", "list"), ("seed", "list"), ("value", "list")]
    )
    keys = zip(*(grouped[name].to_pylist() for name in Key._fields), strict=True)
    columns = (_lists(grouped[name]) for name in ("epoch_list", "seed_list", "value_list"))
    return {Key(*key): Series(*parts) for key, *parts in zip(keys, *columns, strict=True)}


def _lists(column: pa.ChunkedArray) -> list[np.ndarray]:
    """The lists of a column as arrays; null becomes NaN."""
    lists = column.combine_chunks()
    flat, ends = lists.flatten().to_numpy(zero_copy_only=False), lists.offsets.to_numpy()
    return np.split(flat, ends[1:-1] - ends[0]) if len(lists) else []
