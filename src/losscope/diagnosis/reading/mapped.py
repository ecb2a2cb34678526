"""Numbers that lie in a file as they are: read whole where they are small, mapped where they are large.

Up to WHOLE bytes are copied while they are read, and a file that shrinks meanwhile is an error. A larger one is mapped:
it costs no memory of its own, but must not be cut while it is in use, for then the operating system ends the process.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Literal

import numpy as np

from losscope.errors import InvalidInput

WHOLE = 1 << 28
"""Bytes that are copied rather than mapped."""
PIECE = 1 << 24
"""Bytes that are read at a time."""


def numbers_at(
    path: Path, offset: int, shape: tuple[int, ...], dtype: np.dtype, *, fortran: bool = False
) -> np.ndarray:
    """The array of `shape` and `dtype` that begins at byte `offset`. Raises InvalidInput if the file is too short."""
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
    order: Literal["C", "F"] = "F" if fortran else "C"
    if size > WHOLE:
        return np.memmap(path, dtype, "c", offset, shape, order)  # "c": what is written never reaches the file
    array: np.ndarray = _copied(path, offset, size).view(dtype).reshape(shape, order=order)
    return array


def _copied(path: Path, offset: int, size: int) -> np.ndarray:
    content: np.ndarray = np.empty(size, np.uint8)
    with path.open("rb") as file:
        file.seek(offset)
        for start in range(0, size, PIECE):
            piece = content[start : start + PIECE]
            if file.readinto(piece.data) != len(piece):
                raise InvalidInput(f"{path} became shorter while it was read; wait until it is written, and try again")
    return content
