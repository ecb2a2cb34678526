"""safetensors files: a length, a JSON header with type, shape and place of each tensor, then the bytes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from losscope.data.readers.arrays import SAFETENSORS_TYPES
from losscope.diagnosis.reading import Columns, brief
from losscope.diagnosis.reading.stored import Stored, numbers_at
from losscope.errors import InvalidInput

LONGEST_HEADER = 100_000_000


def open_safetensors(path: Path) -> Columns:
    """The tensors of a file; each is read when it is asked for. bfloat16 becomes float32."""
    size = os.stat(path).st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > min(size - 8, LONGEST_HEADER):
            raise _damaged(path, f"its header would be {length:,} bytes long")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as error:
            raise _damaged(path, f"its header is not JSON: {brief(error)}") from None
    if not isinstance(header, dict):
        raise _damaged(path, "its header is not a JSON object")
    tensors = {name: about for name, about in header.items() if name != "__metadata__"}

    def take(name: str) -> Any:
        kind, shape, (begin, end) = _described(path, name, tensors[name])
        dtype = np.dtype("<u2" if kind == "BF16" else SAFETENSORS_TYPES[kind])
        array = numbers_at(path, 8 + length + begin, shape, dtype)
        if array.nbytes != end - begin:
            raise _damaged(path, f"'{brief(name)}' {brief(shape)} of {kind} would take {end - begin:,} bytes")
        if kind != "BF16":
            return array
        return array.brain() if isinstance(array, Stored) else (array.astype("<u4") << 16).view("<f4")

    return Columns(path, tuple(tensors), take, take)


def _described(path: Path, name: str, about: Any) -> tuple[str, tuple[int, ...], tuple[int, int]]:
    try:
        kind, shape, (begin, end) = about["dtype"], tuple(about["shape"]), about["data_offsets"]
        whole = all(type(number) is int and number >= 0 for number in (*shape, begin, end))
    except (TypeError, KeyError, ValueError):
        whole = False
    if not whole:
        raise _damaged(path, f"'{brief(name)}' is not described by type, shape and place")
    if kind != "BF16" and kind not in SAFETENSORS_TYPES:
        raise InvalidInput(f"'{brief(name)}' of {path} has the type {brief(kind)}; expected float, integer or bool")
    return kind, shape, (begin, end)


def _damaged(path: Path, why: str) -> InvalidInput:
    return InvalidInput(f"{path} can't be read ({why}); expected a whole safetensors file: write or fetch it again")
