"""JSON documents. Those of schema 3 and later end in a checksum of their bytes: `"sha256"`, the last key.

The digest is taken with its own 64 characters set to zeros. Readers see what was written, without it.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from losscope.errors import DamagedRecord
from losscope.files.checksums import ADVICE
from losscope.files.disk import write_bytes

SEALED_SINCE = 3
"""The schema from which on record files carry checksums; older ones are read as they are."""

KEY, ZEROS, END = b' "sha256": "', b"0" * 64, b'"\n}\n'


def write_json(path: Path, document: object) -> None:
    """Write one JSON document, whole or not at all, with a checksum if it says that its schema has one."""
    if isinstance(document, Mapping) and _is_sealed(document):
        written = {key: value for key, value in document.items() if key != "sha256"}
        write_bytes(path, _with_digest(_bytes_of(written | {"sha256": ZEROS.decode()})))
    else:
        write_bytes(path, _bytes_of(document))


def read_json(path: Path) -> Any:
    """Read one JSON document; DamagedRecord if it is torn, not JSON, or not what was written."""
    data = path.read_bytes()
    try:
        document = json.loads(data)
    except (ValueError, RecursionError) as error:  # JSONDecodeError and UnicodeDecodeError are ValueErrors
        raise DamagedRecord(f"{path} is not a JSON document ({error}); {ADVICE}") from error
    if not isinstance(document, dict):
        return document
    has_digest = data.endswith(END) and data[: -len(ZEROS + END)].endswith(KEY)
    if has_digest:
        document.pop("sha256", None)
    if (has_digest or _is_sealed(document)) and not (has_digest and _with_digest(data) == data):
        raise DamagedRecord(f"{path} is damaged: its bytes are not those that were written (SHA-256 differs); {ADVICE}")
    return document


def _is_sealed(document: Mapping[str, Any]) -> bool:
    schema = document.get("schema")
    return isinstance(schema, int) and schema >= SEALED_SINCE


def _bytes_of(document: object) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def _with_digest(data: bytes) -> bytes:
    """The document with the digest that its bytes should have."""
    before = data[: -len(ZEROS + END)]
    return before + hashlib.sha256(before + ZEROS + END).hexdigest().encode() + END
