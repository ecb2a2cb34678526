"""A column of lists of one length is a matrix."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa

from losscope.errors import InvalidInput


def is_list(kind: pa.DataType) -> bool:
    """Whether each value is a list."""
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind))


def is_number(kind: pa.DataType) -> bool:
    """Whether each value is a real number."""
    return bool(pa.types.is_floating(kind) or pa.types.is_integer(kind))


def from_lists(path: Path, name: str, column: pa.ChunkedArray) -> np.ndarray:
    """The matrix (rows, dim) of a column of lists of numbers. Raises InvalidInput naming the row that differs."""
    pieces = [piece for chunk in column.chunks if len(piece := rows_of_lists(path, name, chunk))]
    widths = {piece.shape[1] for piece in pieces}
    if len(widths) > 1:
        raise InvalidInput(f"'{name}' of {path} has rows of {min(widths)} and of {max(widths)} numbers; expected one "
                           "length")  # fmt: skip
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces) if pieces else np.empty((0, 0), np.float32)


def rows_of_lists(path: Path, name: str, chunk: pa.Array, first: int = 0) -> np.ndarray:
    """The rows of one chunk, which begins at row `first` of its file."""
    if not is_list(chunk.type) or not is_number(chunk.type.value_type):
        raise InvalidInput(f"'{name}' of {path} has the type {chunk.type}; expected lists of numbers, one for each row")
    if chunk.null_count:
        row = first + int(np.flatnonzero(chunk.is_null().to_numpy(zero_copy_only=False))[0])
        raise InvalidInput(f"'{name}' of {path} has no value in row {row}; expected a list of numbers in each row")
    lengths = chunk.value_lengths().to_numpy(zero_copy_only=False)
    if len(lengths) and (lengths != lengths[0]).any():
        row = int(np.flatnonzero(lengths != lengths[0])[0])
        raise InvalidInput(f"'{name}' of {path} has {lengths[0]} numbers in row {first} and {lengths[row]} in row "
                           f"{first + row}; expected one length")  # fmt: skip
    values = chunk.flatten()
    if values.null_count:
        raise InvalidInput(f"'{name}' of {path} has missing numbers within its lists; expected a number at each place")
    matrix: np.ndarray = values.to_numpy(zero_copy_only=False).reshape(len(chunk), -1 if len(chunk) else 0)
    return matrix
