"""The rows of two records of a run, brought together by their keys: what each says, how far apart, and the spread.

The spread of a row is its standard deviation over other runs of the cell. The run that is judged is not among them: a wrong
value would widen what it is judged by. For the same reason the spread over samples is that of the record in which it is less.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from losscope.receipts.recorded import KEYS

ABSENT = np.iinfo(np.int64).min
"""For a step or an item that a row does not have."""

Rows = Mapping[str, np.ndarray]

_NUMBER = "number"
"""Which of several rows with the same keys it is: 0 in a record that is whole."""


def matched(
    ours: pa.Table, theirs: pa.Table, others: Callable[[], pa.Table] | None
) -> Iterator[tuple[str, str, Rows, Rows]]:
    """Split, diagnostic, its rows, and what is judged of them: the rows against the spread over `others`, or without
    these means over an epoch's samples.

    Keys that one table has twice stand in it a second time, which the other one does not have.
    """
    if not ours.num_rows + theirs.num_rows:
        return
    joined = _keyed(ours, "a").join(_keyed(theirs, "b"), [*KEYS, _NUMBER], join_type="full outer")
    facts = _facts(joined)
    if others is not None and not facts["same"].all():
        joined = joined.join(_spreads(others()), list(KEYS), join_type="left outer")
        facts = _facts(joined)
    rows_of: dict[tuple[str, str], list[int]] = {}
    for row, label in enumerate(zip(joined["split"].to_pylist(), joined["diagnostic"].to_pylist(), strict=True)):
        rows_of.setdefault(label, []).append(row)
    for (split, diagnostic), chosen in sorted(rows_of.items()):
        part = {name: values[chosen] for name, values in facts.items()}
        yield split, diagnostic, part, part if others is not None else _by_epoch(part)


def _facts(joined: pa.Table) -> dict[str, np.ndarray]:
    """Columns of a join as arrays; `delta` is infinite where only one side has a value, and 0 for rows of one side
    alone, which are counted apart."""
    in_a, in_b = (joined[name].is_valid().to_numpy() for name in ("in_a", "in_b"))
    a, b = _values(joined["a"]), _values(joined["b"])
    same_bits = (a.view(np.int64) == b.view(np.int64)) | (np.isnan(a) & np.isnan(b))
    delta = np.where(same_bits | ~(in_a & in_b), 0.0, np.abs(a - b))
    return {
        "a": a,
        "b": b,
        "in_a": in_a,
        "in_b": in_b,
        "same": in_a & in_b & same_bits,
        "delta": np.where(np.isnan(delta), np.inf, delta),
        "spread": _values(joined["spread"]) if "spread" in joined.column_names else np.full(len(a), np.nan),
        "others": pc.fill_null(joined["others"], 0).to_numpy() if "others" in joined.column_names else np.zeros(len(a)),
        **{name: joined[name].to_numpy() for name in ("epoch", "step", "item")},
    }


def _by_epoch(part: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Samples taken together: a row for each epoch, with means and the spread over samples."""
    found: dict[str, list[Any]] = {name: [] for name in ("a", "b", "delta", "spread", "epoch", "step", "item")}
    for epoch in np.unique(part["epoch"]):
        rows = part["epoch"] == epoch
        a, b = part["a"][rows], part["b"][rows]
        for name, value in {
            "a": _mean(a),
            "b": _mean(b),
            "delta": part["delta"][rows].mean(),
            "spread": np.fmin(_deviation(a), _deviation(b)),
            "epoch": epoch,
            "step": ABSENT,
            "item": ABSENT,
        }.items():
            found[name].append(value)
    return {name: np.array(values) for name, values in found.items()}


def _mean(values: np.ndarray) -> float:
    """Mean of what is there; NaN where nothing is."""
    there = values[~np.isnan(values)]
    return float(there.mean()) if len(there) else np.nan


def _deviation(values: np.ndarray) -> float:
    return float(_mean((values - _mean(values)) ** 2) ** 0.5)


def _spreads(others: pa.Table) -> pa.Table:
    """Standard deviation over other seeds of every row, null where only one of them has a value, and how many have."""
    deviation = ("value", "stddev", pc.VarianceOptions(ddof=1))
    values = _keyed(others, "value").group_by(list(KEYS)).aggregate([deviation, ("value", "count")])
    return values.select([*KEYS, "value_stddev", "value_count"]).rename_columns([*KEYS, "spread", "others"])


def _values(column: pa.ChunkedArray) -> np.ndarray:
    """Values as float64; null becomes NaN."""
    return np.asarray(pc.fill_null(column, np.nan), np.float64)


def _keyed(table: pa.Table, side: str) -> pa.Table:
    """A table whose keys have no nulls, which a join takes for different, with its values named after its side."""
    filled = [pc.fill_null(table[name], "" if pa.types.is_string(table[name].type) else ABSENT) for name in KEYS]
    columns = [*filled, _numbers(pa.table(filled, list(KEYS))), table["value"], pa.array(np.ones(table.num_rows, bool))]
    return pa.table(columns, [*KEYS, _NUMBER, side, f"in_{side}"])


def _numbers(keys: pa.Table) -> pa.Array:
    """For each row how many rows before it have the same keys."""
    found = np.zeros(keys.num_rows, np.int64)
    if keys.group_by(keys.column_names).aggregate([]).num_rows < keys.num_rows:
        seen: Counter[tuple[Any, ...]] = Counter()
        for row, key in enumerate(zip(*(column.to_pylist() for column in keys.columns), strict=True)):
            found[row] = seen[key]
            seen[key] += 1
    return pa.array(found)
