"""One line for each row: label, place in the plane, measures, neighbors; a parquet file that Embedding Atlas opens too."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pyarrow as pa

from losscope.diagnosis.labels import Classes, Labels
from losscope.diagnosis.names import Names
from losscope.diagnosis.retrieving import Retrieved


def rows_table(
    labels: Labels,
    classes: Classes,
    names: Names,
    found: Retrieved,
    neighbors: tuple[np.ndarray, np.ndarray],
    plane: tuple[np.ndarray, np.ndarray],
    suspects: Mapping[int, tuple[float, str]],
    shown: Collection[int],
) -> pa.Table:
    """The table. `neighbors` are rows and distances (asked, k); `suspects` row -> score and suggested label; `shown` the
    rows whose picture is wanted."""
    count = len(labels)
    columns: dict[str, Any] = {"row": np.arange(count), "label": label_column(labels, classes)}
    if names.texts is not None:
        columns["name"] = names.texts
    columns["x"], columns["y"] = (part.astype(np.float32) for part in plane)
    place = np.full(count, -1)
    place[found.rows] = np.arange(len(found.rows))
    absent = place < 0
    columns["asked"] = ~absent
    for name, values in found.each.items():
        columns[name] = pa.array(values[place].astype(np.float32), mask=absent)
    columns["neighbors"] = _neighbors(neighbors, place, absent)
    columns["suspect"] = _sparse(count, {row: score for row, (score, _) in suspects.items()}, pa.float32())
    columns["suggested_label"] = _sparse(count, {row: label for row, (_, label) in suspects.items()}, pa.string())
    pictures = {row: {"bytes": picture} for row in shown if (picture := names.picture(row)) is not None}
    if pictures:
        columns["image"] = _sparse(count, pictures, pa.struct([("bytes", pa.binary())]))
    return pa.table(columns)


def label_column(labels: Labels, classes: Classes) -> pa.Array:
    """The names of the classes: strings, or lists of strings where rows are in several."""
    texts = pa.array(classes.names, pa.string())
    if labels.several:
        return pa.LargeListArray.from_arrays(pa.array(labels.offsets), texts.take(pa.array(labels.places)))
    codes = labels.single
    return texts.take(pa.array(codes, mask=codes < 0))


def _sparse(count: int, values: Mapping[int, Any], kind: pa.DataType) -> pa.Array:
    found: list[Any] = [None] * count
    for row, value in values.items():
        found[row] = value
    return pa.array(found, kind)


def _neighbors(neighbors: tuple[np.ndarray, np.ndarray], place: np.ndarray, absent: np.ndarray) -> pa.Array:
    """Structs of ids and distances, as Embedding Atlas reads them; null where the row did not query."""
    ids, distances = neighbors
    k = ids.shape[1]
    offsets = np.concatenate([[0], np.cumsum(np.where(absent, 0, k))])
    kept = place[~absent]
    with np.errstate(over="ignore"):  # an inner product may be beyond float32
        distances = distances.astype(np.float32)
    parts = [
        pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(np.ascontiguousarray(part[kept]).ravel()))
        for part in (ids, distances)
    ]
    return pa.StructArray.from_arrays(parts, ["ids", "distances"], mask=pa.array(absent))
