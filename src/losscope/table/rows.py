"""Long tables from the compact rows and the wide lines of a group that trains."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from losscope.table.schema import MEASUREMENT


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
