"""Labels of any kind as numbers: integers, strings, sets; -1 (also as text), "" and missing values are "no class".

Two items are relevant to each other if they share a label: the same class, or, for sets, at least one in common.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from losscope.diagnosis.reading.matrices import is_list
from losscope.errors import InvalidInput
from losscope.types import OUTLIER


@dataclass(frozen=True)
class Classes:
    """What the labels of all rows are made of, in order: integers or strings; `names` is how they are shown."""

    values: tuple[int | str, ...]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True)
class Labels:
    """The classes of each row: those at `places` from offsets[i] to offsets[i + 1], places in `Classes.values`."""

    offsets: np.ndarray  # (rows + 1,) int64
    places: np.ndarray  # (memberships,) int64
    several: bool  # whether rows may be in several classes

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def counts(self) -> np.ndarray:
        """Number of classes of each row."""
        return np.diff(self.offsets)

    @property
    def single(self) -> np.ndarray:
        """The class of each row (rows,) int64, -1 for none; only where no row is in several."""
        assert not self.several
        found = np.full(len(self), OUTLIER, np.int64)
        found[self.counts > 0] = self.places
        return found

    @property
    def rows(self) -> np.ndarray:
        """The row of each membership (memberships,)."""
        return np.repeat(np.arange(len(self)), self.counts)


def encode(
    *given: tuple[Any, str], names: Sequence[str] | dict[str, str] | None = None
) -> tuple[Classes, list[Labels]]:
    """Classes in common, and the labels of each of the `given`: (labels, what to call them in a message).

    Labels are integers, strings, sets of these (lists, a parquet column of lists), or a matrix of 0 and 1. `names`
    shows classes otherwise: a list by number, or a mapping by label. Raises InvalidInput.

    >>> classes, [labels] = encode(([7, -1, 2**40, 7], "labels"))
    >>> classes.values, labels.single.tolist()
    ((7, 1099511627776), [0, -1, 1, 0])
    """
    parts = [_flat(labels, what) for labels, what in given]
    kinds = {part.values.type for part in parts if len(part.values)}
    if len(kinds) > 1:
        raise InvalidInput("some labels are whole numbers and others strings; expected one kind for all")
    if len({part.several for part in parts}) > 1:
        raise InvalidInput("some labels are sets and others single; expected one kind for queries and gallery")
    pooled = (
        pa.concat_arrays([part.values for part in parts if len(part.values)]) if kinds else pa.array([], pa.int64())
    )
    values = pc.unique(pooled)
    values = values.take(pc.sort_indices(values)).to_pylist()
    table = pa.array(values, pooled.type)
    encoded = []
    for part in parts:
        places = pc.index_in(part.values, table).to_numpy(zero_copy_only=False).astype(np.int64)
        labels = Labels(part.offsets, places, part.several)
        encoded.append(_once(labels) if part.several else labels)
    return Classes(tuple(values), tuple(_shown(value, names) for value in values)), encoded


def joined(parts: Sequence[Any], what: str) -> Any:
    """The labels of many files, one after the other; of one file as they are. Raises InvalidInput for different kinds."""
    if len(parts) == 1:
        return parts[0]
    columns = [_arrow(part, what) for part in parts]
    if any(is_list(column.type) for column in columns):
        kinds = {column.type.value_type for column in columns if is_list(column.type)}
        if len(kinds) > 1 or not all(is_list(column.type) for column in columns):
            raise InvalidInput(f"{what}: the files hold labels of different kinds; expected one kind in all of them")
        return pa.concat_arrays([column.cast(pa.large_list(next(iter(kinds)))) for column in columns])
    columns = [_plain(column, what) for column in columns]
    kinds = {column.type for column in columns if column.null_count < len(column)}
    if len(kinds) > 1:
        raise InvalidInput(
            f"{what}: some files hold whole numbers and others strings; expected one kind in all of them"
        )
    kind = next(iter(kinds), pa.int64())
    return pa.concat_arrays([column if column.type == kind else pa.nulls(len(column), kind) for column in columns])


def _once(labels: Labels) -> Labels:
    """Each class of a row once, also where its list repeats it."""
    count = int(labels.places.max(initial=0)) + 1
    row, place = np.divmod(np.unique(labels.rows * count + labels.places), count)
    return Labels(_offsets(np.bincount(row, minlength=len(labels))), place, several=True)


def _shown(value: int | str, names: Sequence[str] | dict[str, str] | None) -> str:
    if isinstance(names, dict):
        return str(names.get(str(value), value))
    if names is not None and isinstance(value, int) and 0 <= value < len(names):
        return str(names[value])
    return str(value)


@dataclass(frozen=True)
class _Part:
    offsets: np.ndarray
    values: pa.Array  # int64 or string, without "no class"
    several: bool


def _flat(labels: Any, what: str) -> _Part:
    column = _arrow(labels, what)
    if not is_list(column.type):
        values = _plain(column, what)
        kept = _classed(values)
        return _Part(_offsets(kept.astype(np.int64)), values.filter(pa.array(kept)), False)
    column = pc.fill_null(
        column.cast(pa.large_list(column.type.value_type)), pa.scalar([], pa.large_list(column.type.value_type))
    )
    row = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    values = _plain(column.flatten(), what)
    kept = _classed(values)
    counts = np.bincount(row[kept], minlength=len(column)).astype(np.int64)
    return _Part(_offsets(counts), values.filter(pa.array(kept)), True)


def _offsets(counts: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _classed(values: pa.Array) -> np.ndarray:
    """Which of the values are a class."""
    none = pa.array(["", str(OUTLIER)] if pa.types.is_string(values.type) else [OUTLIER], values.type)
    found: np.ndarray = pc.and_(values.is_valid(), pc.invert(pc.is_in(values, none))).to_numpy(zero_copy_only=False)
    return found


def _plain(column: pa.Array, what: str) -> pa.Array:
    """Whole numbers as int64, text as string; missing values stay null."""
    kind = column.type
    if pa.types.is_dictionary(kind):
        return _plain(column.cast(kind.value_type), what)
    if pa.types.is_null(kind) or pa.types.is_boolean(kind):
        return column.cast(pa.int64())
    if pa.types.is_string(kind) or pa.types.is_large_string(kind):
        return column.cast(pa.string())
    if pa.types.is_floating(kind):  # whole numbers with missing values among them, as pandas writes them
        column = pc.if_else(pc.is_nan(column), None, column)
    if pa.types.is_floating(kind) or pa.types.is_integer(kind):
        try:
            return column.cast(pa.int64())
        except pa.ArrowInvalid as error:
            raise InvalidInput(f"{what}: {error}; expected whole numbers of at most 64 bits, strings, or sets of "
                               "these") from None  # fmt: skip
    raise InvalidInput(f"{what} have the type {kind}; expected whole numbers, strings, or sets of these")


def _arrow(labels: Any, what: str) -> pa.Array:
    """Labels as one Arrow array."""
    if isinstance(labels, pa.ChunkedArray):
        combined = labels.combine_chunks()
        return combined if isinstance(combined, pa.Array) else pa.chunked_array([combined]).chunk(0)
    if isinstance(labels, pa.Array):
        return labels
    if hasattr(labels, "detach"):
        labels = labels.detach().cpu().numpy()
    if isinstance(labels, Iterable) and not isinstance(labels, np.ndarray) and not hasattr(labels, "__array__"):
        labels = [sorted(one, key=str) if isinstance(one, set | frozenset) else one for one in labels]
        return _tried(labels, what)
    array = np.asarray(labels)
    if array.ndim == 2:
        return _indicated(array, what)
    if array.ndim != 1:
        raise InvalidInput(f"{what} have the shape {array.shape}; expected one label, or a set, for each row")
    if array.dtype.kind == "S":
        array = np.char.decode(array, "utf-8", "replace")
    return _tried(array.tolist() if array.dtype.kind in "OU" else array, what)


def _tried(labels: Any, what: str) -> pa.Array:
    try:
        return pa.array(labels, from_pandas=True)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{what} are mixed or of an unknown kind ({error}); expected whole numbers of at most 64 "
                           "bits, strings, or sets of these") from None  # fmt: skip


def _indicated(array: np.ndarray, what: str) -> pa.Array:
    """Sets from a matrix (rows, classes) of 0 and 1."""
    if array.dtype.kind not in "biu" or (array.size and (array.min() < 0 or array.max() > 1)):
        raise InvalidInput(f"{what} have the shape {array.shape} and the type {array.dtype}; expected one label for "
                           "each row, or a matrix of 0 and 1 with a column for each class")  # fmt: skip
    row, place = np.nonzero(array)
    offsets = _offsets(np.bincount(row, minlength=len(array)))
    return pa.LargeListArray.from_arrays(pa.array(offsets), pa.array(place.astype(np.int64)))
