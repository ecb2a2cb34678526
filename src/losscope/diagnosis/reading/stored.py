"""Numbers that lie in a file as they are: rows are read when they are asked for, and nothing is mapped.

Mapped pages would count as memory of the process, and a file that is cut while it is mapped ends it; here a file that
becomes shorter is an error. Matrices written column by column (Fortran order) have no rows in one place: these alone
are mapped where they are large.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from losscope.errors import InvalidInput

WHOLE = 1 << 28
"""Bytes up to which an array is kept in memory by whoever needs it more than once."""
PIECE = 1 << 24
"""Bytes that are read at a time."""


class Stored:
    """A matrix (rows, dim) in a file; a slice or an array of rows reads them. `dtype` is what comes out of it.

    `keep` is anything that the file lives by, such as its temporary folder.
    """

    ndim = 2

    def __init__(
        self, path: Path, offset: int, shape: tuple[int, int], dtype: np.dtype, *, keep: object = None
    ) -> None:  # fmt: skip
        self.path, self.offset, self.shape, self.keep = path, offset, shape, keep
        self._stored = self.dtype = dtype
        self._brain = False

    def __len__(self) -> int:
        return self.shape[0]

    @property
    def size(self) -> int:
        return self.shape[0] * self.shape[1]

    @property
    def nbytes(self) -> int:
        """Bytes in the file."""
        return self.size * self._stored.itemsize

    def astype(self, dtype: Any) -> Stored:
        """The same rows as another type, when they are read."""
        return self._like(dtype=np.dtype(dtype))

    def brain(self) -> Stored:
        """16-bit integers taken for bfloat16, as float32."""
        found = self._like(dtype=np.dtype(np.float32))
        found._brain = True
        return found

    def part(self, start: int, stop: int) -> Stored:
        """Rows from `start` to `stop`, unread."""
        row = self.shape[1] * self._stored.itemsize
        return self._like(offset=self.offset + start * row, shape=(stop - start, self.shape[1]))

    def __getitem__(self, rows: Any) -> np.ndarray:
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            return self._read([(start, max(stop, start))]) if step == 1 else self[np.arange(start, stop, step)]
        if np.ndim(rows) == 0:
            one: np.ndarray = self[np.asarray([rows])][0]
            return one
        wanted, back = np.unique(np.asarray(rows), return_inverse=True)
        if len(wanted) and (wanted[0] < 0 or wanted[-1] >= len(self)):
            raise IndexError(f"rows {wanted[0]} to {wanted[-1]} of {len(self)}")
        breaks = np.flatnonzero(np.diff(wanted) != 1) + 1
        runs = [(int(run[0]), int(run[-1]) + 1) for run in np.split(wanted, breaks) if len(run)]
        return self._read(runs)[back]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        found = self[:]
        return found if dtype is None else found.astype(dtype, copy=False)

    def _like(self, **changed: Any) -> Stored:
        found = Stored(self.path, self.offset, self.shape, self._stored, keep=self.keep)
        found.dtype, found._brain = self.dtype, self._brain
        vars(found).update(changed)
        return found

    def _read(self, runs: list[tuple[int, int]]) -> np.ndarray:
        """Rows of the runs (first, beyond the last), one after the other."""
        row = self.shape[1] * self._stored.itemsize
        content: np.ndarray = np.empty(row * sum(stop - start for start, stop in runs), np.uint8)
        at = 0
        with _opened(self.path) as file:
            for start, stop in runs:
                fill(self.path, file, self.offset + start * row, content[at : at + (stop - start) * row])
                at += (stop - start) * row
        found: np.ndarray = content.view(self._stored).reshape(-1, self.shape[1])
        if self._brain:
            found = (found.astype("<u4") << 16).view("<f4")
        with np.errstate(over="ignore"):  # what becomes infinite is told by row
            return found.astype(self.dtype, copy=False)


def numbers_at(
    path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype, *, fortran: bool = False, keep: object = None
) -> Any:
    """The array of `shape` and `dtype` that begins at byte `offset`, Stored where it is a matrix of rows.

    Raises InvalidInput if the file is too short.
    """
    if any(not isinstance(size, int) or size < 0 for size in shape):
        raise InvalidInput(
            f"{path} says that an array has the shape {str(shape)[:200]}; expected whole numbers from 0 on"
        )
    count = 1
    for size in shape:
        count *= size  # of Python's integers: no overflow
    size, there = count * dtype.itemsize, os.stat(path).st_size - offset
    if size > there:
        raise InvalidInput(
            f"{path} holds {max(there, 0):,} bytes of an array {str(shape)[:200]} of {dtype} that needs {size:,}; it is "
            "truncated or damaged: write or fetch it again"
        )
    if len(shape) == 2 and not fortran and size and dtype.kind in "fiub":
        return Stored(path, offset, (shape[0], shape[1]), dtype, keep=keep)
    if size > WHOLE:
        return np.memmap(path, dtype, "c", offset, shape, "F" if fortran else "C")  # "c": the file is never written
    content: np.ndarray = np.empty(size, np.uint8)
    with _opened(path) as file:
        fill(path, file, offset, content)
    return content.view(dtype).reshape(shape, order="F" if fortran else "C")


def fill(path: Path, file: BinaryIO, offset: int, content: np.ndarray) -> None:
    """Fill `content`, bytes, with those of the file from `offset` on. Raises InvalidInput if it has become too short."""
    file.seek(offset)
    for start in range(0, len(content), PIECE):
        piece = content[start : start + PIECE]
        if file.readinto(piece.data) != len(piece):  # type: ignore[attr-defined]
            raise InvalidInput(f"{path} became shorter while it was read; wait until it is written, and try again")


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    try:
        file = path.open("rb", buffering=0)
    except OSError as error:
        raise InvalidInput(f"{path} can't be read any more ({error.strerror}); leave files in place until they are done "
                           "with") from None  # fmt: skip
    with file:
        yield file
