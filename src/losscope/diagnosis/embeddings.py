"""Embeddings from an array or a file, as a matrix of a float type whose rows are finite.

Which array or column of a file is the matrix is found by name and shape where it is not said.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from losscope.diagnosis.reading import Columns
from losscope.diagnosis.reading.matrices import is_list, is_number
from losscope.diagnosis.reading.stored import Stored
from losscope.errors import InvalidInput

EMBEDDING_KEYS = (
    "embeddings",
    "embedding",
    "features",
    "feature",
    "vectors",
    "vector",
    "emb",
    "inputs",
    "x",
    "X",
    "array",
)
ROW_KEYS = ("id", "index", "row", "__index_level_0__", "unnamed: 0", "")
"""Names of columns that number rows, as tables are often saved with; never dimensions."""
LABEL_KEYS = ("labels", "label", "targets", "target", "classes", "class", "y")
SEPARATOR = "::"
"""Between a file and the name of an array or column in it."""
CHUNK = 16_384
"""Rows that are looked at together."""
MOST_DIM = 8_192
"""Dimensions at most: matrices (dim, dim) are made, of half a gigabyte each at this size."""


def located(given: str | Path) -> tuple[Path, str | None]:
    """File and the name within it, from FILE or FILE::NAME."""
    text = str(given)
    if SEPARATOR in text and not Path(text).expanduser().exists():
        file, _, name = text.rpartition(SEPARATOR)
        return Path(file).expanduser(), name
    return Path(text).expanduser(), None


def column_of(columns: Columns, name: str) -> str:
    """`name` if the file has it. Raises InvalidInput with the names that there are."""
    if name not in columns.names:
        raise InvalidInput(f"{columns.path} has no '{name}'; it holds {columns.listed}")
    return name


def typed(given: Any, what: str) -> Any:
    """The matrix (rows, dim), an array or Stored, of a float type as the processor has it. Raises InvalidInput."""
    array = given if isinstance(given, Stored) else _array(given)
    if array.ndim != 2 or not array.size:
        raise InvalidInput(f"{what} have the shape {array.shape}; expected (rows, dim) with at least one of each")
    if array.dtype.kind not in "fiu":
        raise InvalidInput(f"{what} have the type {array.dtype}; expected real numbers")
    if array.shape[1] > MOST_DIM:
        raise InvalidInput(
            f"{what} have {array.shape[1]:,} dimensions; expected at most {MOST_DIM:,}: project them first, for example "
            "on principal components"
        )
    if array.dtype.kind in "iu":
        array = array.astype(np.float32)
    elif array.dtype.itemsize > 8:  # long double
        with np.errstate(over="ignore"):  # what becomes infinite is told by row
            array = array.astype(np.float64)
    if array.dtype != array.dtype.newbyteorder("="):
        array = array.astype(array.dtype.newbyteorder("="))
    if isinstance(array, np.ndarray) and any(stride < 0 or stride % array.itemsize for stride in array.strides):
        array = np.ascontiguousarray(array)  # as a tensor can't have such strides
    return array


def _array(given: Any) -> np.ndarray:
    if not hasattr(given, "detach"):
        return np.asarray(given)
    tensor = given.detach().cpu()
    found: np.ndarray = (tensor.float() if tensor.dtype.itemsize == 2 else tensor).numpy()
    return found


def matrix_of(columns: Columns, name: str | None, labels: Collection[str | None]) -> tuple[Any, tuple[str, ...]]:
    """The matrix of a file and notes on how it was found; `labels` are names of columns that hold no dimension."""
    if name is not None:
        return columns.matrix(column_of(columns, name)), ()
    usual = [key for key in EMBEDDING_KEYS if key in columns.names]
    if not columns.table:
        for key in usual or columns.names:
            array = columns.matrix(key)
            if (array.ndim == 2 and array.dtype.kind == "f") or key in usual:
                return array, ()
        raise InvalidInput(f"{columns.path} holds {columns.listed} and none of it is a matrix of "
                           f"real numbers; name it: {columns.path.name}{SEPARATOR}NAME")  # fmt: skip
    if usual:
        return columns.matrix(usual[0]), ()
    return _spread(columns, labels)


def _spread(columns: Columns, labels: Collection[str | None]) -> tuple[Any, tuple[str, ...]]:
    """A matrix that a table spreads over its numeric columns, with a note of which; labels and row numbers left out.

    Among columns of fractions, one of whole numbers is a number or code of the row, not a dimension.
    """
    numeric: dict[str, Any] = {}
    for name in columns.names:
        column: Any = columns.take(name)
        if is_list(column.type) and is_number(column.type.value_type) and name not in labels:
            return columns.matrix(name), ()
        if is_number(column.type):
            numeric[name] = column
    left_out = {*labels, *LABEL_KEYS} | {name for name in numeric if name.lower() in ROW_KEYS}
    fractions = {name for name, column in numeric.items() if pa.types.is_floating(column.type)} - left_out
    kept = {name: column for name, column in numeric.items() if name not in left_out and name in (fractions or numeric)}
    for name, column in kept.items():
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy())[0])
            raise InvalidInput(f"{columns.path} has no number in row {row} of '{name}'; expected one in each row")
    if not kept:
        raise InvalidInput(f"{columns.path} holds {columns.listed} and no numbers; expected "
                           f"a column of lists, or numeric columns; name it: {columns.path.name}{SEPARATOR}NAME")  # fmt: skip
    without = [name for name in numeric if name not in kept]
    note = f"{columns.path.name}: {len(kept):,} numeric columns are the dimensions, {_span([*kept])}"
    return np.stack([column.to_numpy() for column in kept.values()], axis=1), (
        note + (f"; {_span(without)} left out, as labels or whole numbers." if without else "."),
    )


def _span(names: Sequence[str]) -> str:
    """Names for a note: all of a few, else the first and the last."""
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} to {names[-1]}"


def check_rows(embeddings: Any, what: str) -> int:
    """Number of zero rows. Raises InvalidInput naming rows that are not finite in float32."""
    bad: list[int] = []
    zero = 0
    for start in range(0, len(embeddings), CHUNK):
        with np.errstate(over="ignore"):
            chunk = embeddings[start : start + CHUNK].astype(np.float32, copy=False)
        if not np.isfinite(chunk.sum(dtype=np.float64)):
            bad.extend((start + np.flatnonzero(~np.isfinite(chunk).all(1))).tolist())
        zero += int((~chunk.any(1)).sum())
    if bad:
        shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(f"{what} are NaN or infinite in {len(bad):,} of {len(embeddings):,} rows (row {shown}, counted "
                           "from 0); expected finite numbers: remove or repair these rows")  # fmt: skip
    return zero
