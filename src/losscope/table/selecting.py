"""Rows of a table by diagnostic, split and epoch."""

from __future__ import annotations

from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from losscope.errors import InvalidInput, UnknownName


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
