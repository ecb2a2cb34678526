"""The waist: measurements and run records on disk. Left of it torch makes rows, right of it nothing imports torch.

A study's folder:

    study.json                      the resolved study, with the schema version
    manifest.json                   environment, data fingerprints, commands
    groups/<name>/group.json        the runs that train together: variant, hyper-parameters, seed and digest of each
    groups/<name>/steps.jsonl       while running: one wide line per step for the whole group
    groups/<name>/epochs.jsonl      while running: the measurements of each finished epoch
    groups/<name>/checkpoint.safetensors    while running: what resuming needs
    groups/<name>/failed.json       if it failed: the records with the traceback
    groups/<name>/runs.json         when done: one RunRecord for each seed
    groups/<name>/measurements.parquet, steps.parquet, queries.parquet, map.parquet    when done: long tables
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc

from losscope.errors import InvalidInput, MissingData, UnknownName
from losscope.files import read_json, read_lines, read_parquet

SCHEMA_VERSION = 2

MEASUREMENT = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("dataset", pa.string(), nullable=False),
        pa.field("protocol", pa.string(), nullable=False),
        pa.field("loss", pa.string(), nullable=False),
        pa.field("variant", pa.string(), nullable=False),
        pa.field("seed", pa.int64(), nullable=False),
        pa.field("split", pa.string()),  # null where the measurement belongs to training, not to a split
        pa.field("epoch", pa.int64(), nullable=False),  # 0 = before training
        pa.field("step", pa.int64()),  # null in epoch rows
        pa.field("diagnostic", pa.string(), nullable=False),
        pa.field("item", pa.int64()),  # a class, a k; null for a scalar
        pa.field("value", pa.float64()),  # null where the measurement is undefined
    ],
    metadata={"losscope_schema": str(SCHEMA_VERSION)},
)

QUERY = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("query", pa.int64(), nullable=False),  # row of the split
        pa.field("label", pa.int64(), nullable=False),
        pa.field("recall_at_1", pa.float32()),  # expectation over random order of ties
        pa.field("recall_at_5", pa.float32()),
        pa.field("recall_at_10", pa.float32()),
        pa.field("r_precision", pa.float32()),
        pa.field("average_precision_at_r", pa.float32()),
    ],
    metadata={"losscope_schema": str(SCHEMA_VERSION)},
)

MAP = pa.schema(
    [
        pa.field("run", pa.string(), nullable=False),
        pa.field("split", pa.string(), nullable=False),
        pa.field("epoch", pa.int64(), nullable=False),
        pa.field("row", pa.int64(), nullable=False),  # row of the split
        pa.field("label", pa.int64(), nullable=False),
        pa.field("x", pa.float32(), nullable=False),  # first principal component of this space
        pa.field("y", pa.float32(), nullable=False),  # second
        pa.field("explained", pa.float32(), nullable=False),  # share of variance that the two hold
    ],
    metadata={"losscope_schema": str(SCHEMA_VERSION)},
)

Status = Literal["done", "diverged", "failed"]


@dataclass(frozen=True)
class RunRecord:
    """One run: what it was, how it ended, what it saw."""

    run: str  # digest of what decides the result
    dataset: str
    protocol: str
    loss: str
    variant: str
    seed: int
    status: Status
    epochs: int
    updates: int
    samples: int  # samples embedded in training steps, counted with repetition
    terms: int  # valid terms seen in training
    seconds: float  # wall time of the group, shared by its runs
    cpu_seconds: float
    data_fingerprint: str
    diverged_at: int | None = None  # first step with a loss or gradient that is not finite
    error: str | None = None  # traceback of a failed run
    schema: int = SCHEMA_VERSION


def groups(folder: Path, without: Collection[Path] = ()) -> list[Path]:
    """The group folders of a study's folder, by name, `without` some of them. MissingData if there is no study."""
    if not (folder / "study.json").is_file():
        raise MissingData(
            f"no study in {folder}: looked for {folder / 'study.json'}; "
            f"make one with: losscope study quick --out {folder}"
        )
    found = sorted(path.parent for path in folder.glob("groups/*/group.json"))
    return [group for group in found if group not in without]


def read_group(group: Path) -> dict[str, Any]:
    """What `group.json` says: one data set, protocol and loss; variants, seeds and the like with one entry for each run.

    Schema 1 knew one variant for all runs of a group.
    """
    document: dict[str, Any] = read_json(group / "group.json")
    if "variant" in document:
        runs = len(document["runs"])
        document["variants"] = [document.pop("variant")] * runs
        document["hyperparameters"] = [document["hyperparameters"]] * runs
    return document


def read_measurements(folder: Path, *, steps: bool = False, without: Collection[Path] = ()) -> pa.Table:
    """All epoch rows (or, with `steps`, all step rows) of a study, finished or still running, `without` some groups."""
    tables = []
    for group in groups(folder, without):
        finished = group / ("steps.parquet" if steps else "measurements.parquet")
        if finished.is_file():
            tables.append(read_parquet(finished))
        else:
            tables.append(running_steps(group) if steps else running_epochs(group))
    return pa.concat_tables(tables) if tables else MEASUREMENT.empty_table()


def read_runs(folder: Path, without: Collection[Path] = ()) -> list[RunRecord]:
    """The records of all runs of a study that are done, diverged or failed, `without` some groups."""
    names = {field.name for field in fields(RunRecord)}
    ended = [path for group in groups(folder, without) if (path := _how_it_ended(group))]
    return [
        RunRecord(**{key: value for key, value in record.items() if key in names})
        for path in ended
        for record in read_json(path)
    ]


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
    tables = [read_parquet(path) for group in groups(folder, without) if (path := group / name).is_file()]
    return pa.concat_tables(tables) if tables else schema.empty_table()


def running_epochs(group: Path) -> pa.Table:
    """Epoch rows of a group that is still training."""
    rows = [row for line in read_lines(group / "epochs.jsonl") for row in line["rows"]]
    return measurement_table(read_group(group), rows)


def running_steps(group: Path) -> pa.Table:
    """Step rows of a group that is still training."""
    return step_table(read_group(group), read_lines(group / "steps.jsonl"))


def measurement_table(group: Mapping[str, Any], rows: Iterable[Sequence[Any]]) -> pa.Table:
    """Long table from compact epoch rows `(run index, split, epoch, diagnostic, item, value)` of a group."""
    columns: dict[str, list[Any]] = {name: [] for name in MEASUREMENT.names}
    for index, split, epoch, diagnostic, item, value in rows:
        for name, cell in (
            ("split", split),
            ("epoch", epoch),
            ("step", None),
            ("diagnostic", diagnostic),
            ("item", item),
            ("value", value),
            ("run", group["runs"][index]),
            ("variant", group["variants"][index]),
            ("seed", group["seeds"][index]),
        ):
            columns[name].append(cell)
    for name in ("dataset", "protocol", "loss"):
        columns[name] = [group[name]] * len(columns["run"])
    return pa.table(columns, schema=MEASUREMENT)


def step_table(group: Mapping[str, Any], lines: Iterable[Mapping[str, Any]]) -> pa.Table:
    """Long table from wide step lines: `{"epoch": e, "step": s, "<diagnostic>": [one value for each run]}`."""
    rows: list[tuple[Any, ...]] = []
    for line in lines:
        for diagnostic, values in line.items():
            if diagnostic in ("epoch", "step"):
                continue
            rows.extend((index, line["epoch"], line["step"], diagnostic, value) for index, value in enumerate(values))
    return pa.table(
        {
            "run": [group["runs"][row[0]] for row in rows],
            **{name: [group[name]] * len(rows) for name in ("dataset", "protocol", "loss")},
            "variant": [group["variants"][row[0]] for row in rows],
            "seed": [group["seeds"][row[0]] for row in rows],
            "split": pa.nulls(len(rows), pa.string()),
            "epoch": [row[1] for row in rows],
            "step": [row[2] for row in rows],
            "diagnostic": [row[3] for row in rows],
            "item": pa.nulls(len(rows), pa.int64()),
            "value": [row[4] for row in rows],
        },
        schema=MEASUREMENT,
    )


def select(
    table: pa.Table,
    *,
    diagnostic: str | None = None,
    split: str | None = None,
    epoch: int | Literal["last"] | None = None,
) -> pa.Table:
    """The rows of `table` with this diagnostic, split and epoch; "last" is each run's own last epoch.

    Raises UnknownName for a diagnostic or split that no row has.
    """
    for column, wanted in (("diagnostic", diagnostic), ("split", split)):
        if wanted is None:
            continue
        present = [name for name in pc.unique(table[column]).to_pylist() if name is not None]
        if wanted not in present:
            raise UnknownName.of(column, wanted, present)
        table = table.filter(pc.equal(table[column], wanted))
    if epoch == "last":
        last = table.group_by(["run", "diagnostic"]).aggregate([("epoch", "max")])
        joined = table.append_column("order", pa.array(range(table.num_rows), pa.int64())).join(
            last, ["run", "diagnostic"]
        )
        table = table.take(joined.filter(pc.equal(joined["epoch"], joined["epoch_max"])).sort_by("order")["order"])
    elif isinstance(epoch, int):
        table = table.filter(pc.equal(table["epoch"], epoch))
    elif epoch is not None:
        raise InvalidInput(f"epoch is {epoch!r}; expected a number or 'last'")
    return table


def record_rows(records: Iterable[RunRecord]) -> list[dict[str, Any]]:
    """Run records as plain dictionaries, for JSON."""
    return [asdict(record) for record in records]
