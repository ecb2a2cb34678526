"""Seals: the size and the SHA-256 of a file, kept in another file, so that a change of any bit is noticed."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TypedDict

from losscope.errors import DamagedRecord

ADVICE = (
    "restore the file from a copy, or run losscope repair on the study's folder: "
    "it sets damage aside, and only these runs are trained anew"
)


class Seal(TypedDict):
    """What a file must be."""

    size: int  # bytes
    sha256: str


def seal_of(data: bytes | memoryview | Path) -> Seal:
    """The seal of bytes, or of a file.

    >>> seal_of(b"losscope")["sha256"][:8]
    'beb8b6a8'
    """
    if isinstance(data, Path):
        with data.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"size": file.tell(), "sha256": digest}
    return {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def check_seal(path: Path, seal: Seal, data: bytes | None = None) -> None:
    """Raises DamagedRecord where a file (or the `data` read from it) is not what its seal says, or not there."""
    if data is None and not path.is_file():
        raise DamagedRecord(f"{path} is missing, and its group's runs.json says that it was written; {ADVICE}")
    size = path.stat().st_size if data is None else len(data)
    if size != seal["size"]:
        raise DamagedRecord(f"{path} has {size:,} bytes where {seal['size']:,} were written; {ADVICE}")
    if seal_of(path if data is None else data)["sha256"] != seal["sha256"]:
        raise DamagedRecord(f"{path} is damaged: its bytes are not those that were written (SHA-256 differs); {ADVICE}")
