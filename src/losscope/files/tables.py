"""Parquet files: made in memory, written whole, and checked against their seal before they are decoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from losscope.errors import DamagedRecord
from losscope.files.checksums import ADVICE, Seal, check_seal, seal_of
from losscope.files.disk import write_bytes

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq


def write_table(path: Path, table: pa.Table) -> Seal:
    """Write a parquet file, whole or not at all; returns its seal."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    data = memoryview(sink.getvalue())
    write_bytes(path, data)
    return seal_of(data)


def read_parquet(path: Path, seal: Seal | None = None) -> pa.Table:
    """Read a parquet file; DamagedRecord if it is torn, or not what its `seal` says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    source: Path | pa.BufferReader = path
    if seal is not None:
        data = path.read_bytes() if path.is_file() else None
        check_seal(path, seal, data)
        source = pa.BufferReader(data)
    try:
        return pq.read_table(source)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from error


def open_parquet(path: Path, seal: Seal | None = None) -> pq.ParquetFile:
    """A parquet file to be read in parts; DamagedRecord if it is torn, or not what its `seal` says."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    if seal is not None:
        check_seal(path, seal)
    try:
        return pq.ParquetFile(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: Exception) -> DamagedRecord:
    """The error for a parquet file that can't be decoded."""
    return DamagedRecord(f"{path} can't be read ({error}); {ADVICE}")
