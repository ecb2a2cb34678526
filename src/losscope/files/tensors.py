"""Safetensors files with a checksum of all their bytes in the metadata. Reading and checking them needs no torch.

A file is 8 bytes with the length of its header (little-endian), the header (JSON), and the bytes of the tensors. As in
documents, the digest is taken with its own 64 characters set to zeros.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from losscope.errors import DamagedRecord
from losscope.files.checksums import ADVICE
from losscope.files.disk import write_bytes

NO_DIGEST = "0" * 64
"""What a writer puts into the metadata under "sha256", for `write_tensors` to replace."""

KEY = b'"sha256":"'  # no name of a tensor looks so: what follows a name is an object


def write_tensors(path: Path, data: bytes) -> None:
    """Write the bytes of a safetensors file whose metadata have `NO_DIGEST` under "sha256"."""
    start, at, rest = _parts(data)
    digest = _digest(start, at, rest)
    write_bytes(path, start[:at] + digest + start[at + len(digest) :], rest)


def check_tensors(path: Path, *, sealed: bool) -> tuple[dict[str, str], bytes]:
    """The metadata and the bytes of a file. Raises DamagedRecord where they are not what was written; a file without a
    checksum is taken as it is unless it must be `sealed`."""
    data = path.read_bytes()
    try:
        start, at, rest = _parts(data)
        metadata: dict[str, str] = json.loads(start[8:])["__metadata__"]
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedRecord(f"{path} can't be read ({error!r}); {ADVICE}") from error
    if at < 0 and not sealed:
        return metadata, data
    if at < 0 or start[at : at + len(NO_DIGEST)] != _digest(start, at, rest):
        raise DamagedRecord(f"{path} is damaged: its bytes are not those that were written (SHA-256 differs); {ADVICE}")
    return metadata, data


def _parts(data: bytes) -> tuple[bytes, int, memoryview]:
    """Length and header, where in them the digest stands (-1: nowhere), and the bytes of the tensors."""
    end = 8 + int.from_bytes(data[:8], "little")
    if not 8 < end <= len(data):
        raise ValueError(f"a header of {end - 8:,} bytes in a file of {len(data):,}")
    start = data[:end]
    found = start.find(KEY)
    return start, found + len(KEY) if found >= 0 else -1, memoryview(data)[end:]


def _digest(start: bytes, at: int, rest: memoryview) -> bytes:
    digest = hashlib.sha256(start[:at] + NO_DIGEST.encode() + start[at + len(NO_DIGEST) :])
    digest.update(rest)
    return digest.hexdigest().encode()
