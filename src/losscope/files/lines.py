"""JSON lines of files that are being written, each with a CRC-32 of what follows it.

A line that a dying writer tore is dropped; any other line that is not what was written is damage.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from losscope.errors import DamagedRecord
from losscope.files.checksums import ADVICE

BEGIN, SEPARATOR = b'{"crc32": "', b'", '
BODY = len(BEGIN) + 8 + len(SEPARATOR)


def line_of(document: Mapping[str, Any]) -> bytes:
    """One line, with its checksum and its newline. Raises ValueError for numbers that JSON does not have.

    >>> line_of({"epoch": 1})
    b'{"crc32": "d11bca31", "epoch": 1}\\n'
    """
    body = json.dumps(document, allow_nan=False).encode()[1:]
    return BEGIN + b"%08x" % zlib.crc32(body) + SEPARATOR + body + b"\n"


def read_lines(path: Path, *, sealed: bool = False, size: int | None = None) -> list[Any]:
    """The lines of a file, or of its first `size` bytes, without their checksums. A torn last line is dropped.

    Where lines are not all `sealed`, as before schema 3, those without a checksum are taken as they are. Raises
    DamagedRecord for a line that is not what was written, and for a file that is shorter than `size`.
    """
    if size is None and not path.is_file():
        return []
    data = path.read_bytes()[:size] if path.is_file() else b""
    if size is not None and len(data) < size:
        raise DamagedRecord(f"{path} has {len(data):,} bytes where {size:,} were written; {ADVICE}")
    *lines, torn = data.split(b"\n")
    if (size is not None and torn) or _is_whole(torn[:-1]):  # a newline that changed is no tear
        raise DamagedRecord(f"{path}, line {len(lines) + 1} does not end where it was written to end; {ADVICE}")
    return [_document(path, number, line, sealed) for number, line in enumerate(lines, start=1)]


def _document(path: Path, number: int, line: bytes, sealed: bool) -> Any:
    if (sealed or line.startswith(BEGIN)) and not _is_whole(line):
        raise DamagedRecord(f"{path}, line {number} is damaged: it is not what was written (CRC-32 differs); {ADVICE}")
    try:
        document = json.loads(line)
    except ValueError as error:
        raise DamagedRecord(f"{path}, line {number} is not JSON; {ADVICE}") from error
    if line.startswith(BEGIN):
        del document["crc32"]
    return document


def _is_whole(line: bytes) -> bool:
    """Whether a line has a checksum, and the right one."""
    said = line[len(BEGIN) : BODY]
    return line.startswith(BEGIN) and said == b"%08x" % zlib.crc32(line[BODY:]) + SEPARATOR
