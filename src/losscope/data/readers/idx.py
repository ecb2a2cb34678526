"""The idx format of MNIST: a magic number, the sizes in big-endian, then the values as bytes; .gz or not."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from losscope.errors import InvalidInput

UNSIGNED_BYTE = 8


def read_idx(path: Path) -> np.ndarray:
    """The uint8 array of an idx file, unpacked if it is gzipped. Raises InvalidInput naming the file."""
    content = unpacked(path)
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UNSIGNED_BYTE:
        raise InvalidInput(
            f"{path} begins with {content[:4].hex() or 'nothing'}; expected an idx file of unsigned bytes "
            "(0000 08 and the number of axes); fetch it again"
        )
    header = 4 + 4 * content[3]
    shape = tuple(int.from_bytes(content[at : at + 4], "big") for at in range(4, header, 4))
    expected = header + math.prod(shape)
    if len(content) != expected:
        raise InvalidInput(
            f"{path} holds {len(content):,} bytes unpacked; expected {expected:,} for the shape {shape}; "
            "the file is truncated or damaged, fetch it again"
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def unpacked(path: Path) -> bytes:
    """The bytes of a file, gunzipped if they are gzipped. Raises InvalidInput naming the file."""
    content = path.read_bytes()
    if content[:2] != b"\x1f\x8b":
        return content
    try:
        return gzip.decompress(content)
    except (EOFError, OSError, zlib.error) as error:
        raise InvalidInput(f"{path} can't be unpacked ({error}); expected a whole gzip file; fetch it again") from None
