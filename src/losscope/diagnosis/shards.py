"""Many files as one matrix, in order of their names: nothing is joined, each is read when its rows are asked for.

Rows of npy and safetensors files are read where they lie. Of others (parquet, npz, csv) a shard is decoded whole, and
kept while there is room: each pass over a large space decodes them again.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from glob import glob, has_magic
from pathlib import Path
from typing import Any

import numpy as np

from losscope.diagnosis.embeddings import LABEL_KEYS, check_rows, column_of, matrix_of, typed
from losscope.diagnosis.reading import Columns, open_columns
from losscope.diagnosis.reading.stored import WHOLE, Stored
from losscope.errors import InvalidInput, MissingData

PIECE = 2**18
"""Rows of a piece that a task works on, about: small shards are joined, and what is no shard is cut."""


@dataclass(frozen=True)
class Shard:
    """A file, or some of its rows: `low` to `high`. `stored` is where they lie, if they lie there as they are."""

    path: Path
    name: str | None
    labels: tuple[str, ...]  # names of columns that hold no dimension
    low: int
    high: int
    stored: Stored | None

    def __len__(self) -> int:
        return self.high - self.low


class Shards:
    """The rows of all shards, one after the other, read like an array's: by slices and arrays of row numbers."""

    ndim = 2

    def __init__(self, shards: Sequence[Shard], dim: int, dtype: np.dtype) -> None:
        self.shards, self.dtype = tuple(shards), dtype
        self.starts = np.concatenate([[0], np.cumsum([len(shard) for shard in shards])]).astype(np.int64)
        self.shape = (int(self.starts[-1]), dim)

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "_decoded"}

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step != 1:
                return self[np.arange(start, stop, step)]
            parts = [self._rows(shard, slice(low, high)) for shard, low, high in self._within(start, stop)]
            return (
                parts[0]
                if len(parts) == 1
                else np.concatenate(parts)
                if parts
                else np.empty((0, self.shape[1]), self.dtype)
            )
        wanted = np.asarray(rows)
        found: np.ndarray = np.empty((len(wanted), self.shape[1]), self.dtype)
        of = np.searchsorted(self.starts, wanted, side="right") - 1
        for number in np.unique(of).tolist():
            here = np.flatnonzero(of == number)
            shard = self.shards[number]
            found[here] = self._rows(shard, wanted[here] - self.starts[number] + shard.low)
        return found

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)

    def part(self, start: int, stop: int) -> Shards:
        """Rows from `start` to `stop`, unread."""
        some = [
            Shard(one.path, one.name, one.labels, low, high, one.stored) for one, low, high in self._within(start, stop)
        ]
        return Shards(some, self.shape[1], self.dtype)

    def _within(self, start: int, stop: int) -> list[tuple[Shard, int, int]]:
        """Shards with rows from `start` to `stop`, and first and last row in the file of each."""
        first = int(np.searchsorted(self.starts, start, side="right")) - 1
        found = []
        for shard, at in zip(self.shards[first:], self.starts[first:].tolist(), strict=False):
            if at >= stop:
                break
            low, high = max(start - at, 0), min(stop - at, len(shard))
            if high > low:
                found.append((shard, shard.low + low, shard.low + high))
        return found

    def _rows(self, shard: Shard, rows: Any) -> np.ndarray:
        found = (shard.stored if shard.stored is not None else self._matrix(shard))[rows]
        return found.astype(self.dtype, copy=False)

    @cached_property
    def _decoded(self) -> dict[Path, Any]:
        """Decoded shards, the one used last at the end."""
        return {}

    def _matrix(self, shard: Shard) -> Any:
        matrix = self._decoded.pop(shard.path, None)
        if matrix is None:
            matrix = decoded(shard.path, shard.name, shard.labels, str(shard.path))[0]
            if matrix.shape[1] != self.shape[1] or len(matrix) < shard.high:
                raise InvalidInput(f"{shard.path} has the shape {matrix.shape} and had another when it was first read; leave "
                                   "files as they are until they are done with")  # fmt: skip
            while self._decoded and sum(map(_bytes, self._decoded.values())) + _bytes(matrix) > WHOLE:
                self._decoded.pop(next(iter(self._decoded)))
        self._decoded[shard.path] = matrix
        return matrix


def _bytes(matrix: Any) -> int:
    return int(matrix.size) * int(matrix.dtype.itemsize)


def files_of(given: Any) -> list[Path] | None:
    """The files that a pattern or a list of paths names, those of a pattern in order of their names; None for others.

    Raises MissingData where nothing has such a name.
    """
    if isinstance(given, list | tuple) and given and all(isinstance(one, str | Path) for one in given):
        return [Path(one).expanduser() for one in given]
    if not isinstance(given, str | Path) or not has_magic(str(given)) or Path(given).expanduser().exists():
        return None
    found = sorted(map(Path, glob(str(Path(given).expanduser()))), key=str)
    if not found:
        raise MissingData(f"no file is named like {given}; expected one or more, as in 'shards/*.npy'")
    return found


def decoded(
    path: Path, name: str | None, labels: Collection[str | None], what: str
) -> tuple[Any, Columns, tuple[str, ...]]:
    """The matrix of one file, the file's columns, and notes on how it was found."""
    columns = open_columns(path)
    matrix, notes = matrix_of(columns, name, labels)
    return typed(matrix, what), columns, notes


def open_shards(
    paths: Sequence[Path], name: str | None, labels: Collection[str | None], what: str
) -> tuple[Shards, list[Columns], tuple[str, ...], int]:
    """The matrix of many files, their columns, notes, and how many rows are all zero. Every row is looked at.

    Of tables in memory no more is kept than the columns `labels` and those that are called like labels.

    Raises InvalidInput, naming the file, for what `typed` and `check_rows` refuse and for rows of another length.
    """
    shards, every, zero_rows = [], [], 0
    said: list[str] = []
    dims: dict[int, Path] = {}
    kinds = []
    left_out = tuple(str(one) for one in labels if one is not None)
    for path in paths:
        if name is not None:
            column_of(open_columns(path), name)
        matrix, columns, notes = decoded(path, name, left_out, f"{what} of {path}")
        dims.setdefault(matrix.shape[1], path)
        if len(dims) > 1:
            (one, first), (other, second) = dims.items()
            raise InvalidInput(
                f"{first} has rows of {one} numbers and {second} of {other}; expected one length in all files"
            )
        zero_rows += check_rows(matrix, f"{what} of {path}")
        stored = matrix if isinstance(matrix, Stored) and matrix.keep is None else None
        shards.append(Shard(path, name, left_out, 0, len(matrix), stored))
        kinds.append(matrix.dtype)
        every.append(columns.only({*left_out, *LABEL_KEYS}))
        said += [note for note in notes if not said]
    return Shards(shards, next(iter(dims)), np.result_type(*kinds)), every, tuple(said), zero_rows


def pieces(embeddings: Any) -> list[tuple[int, int]]:
    """First and last rows of the pieces of a space: one or more whole shards, or rows of one array."""
    count = len(embeddings)
    if not isinstance(embeddings, Shards):
        return [(start, min(start + PIECE, count)) for start in range(0, count, PIECE)]
    found, start = [], 0
    for end, following in zip(embeddings.starts[1:].tolist(), [*embeddings.starts[2:].tolist(), None], strict=True):
        if following is None or following - start > PIECE:
            found.append((start, end))
            start = end
    return found
