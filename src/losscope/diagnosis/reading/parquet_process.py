"""The process that reads one parquet file: `python -m losscope.diagnosis.reading.parquet_process FILE WANTED NAME TO`.

Prints one JSON object: what was asked for, or {"error": sentence}.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np

from losscope.diagnosis.reading import brief
from losscope.errors import InvalidInput

SPARE = 1 << 30
"""Bytes of address space beyond what the file's content can take."""
RATIO = 64
"""Bytes of content for each byte of a file, at most; more is refused."""


def limit_memory(path: Path) -> None:
    """From now on this process gets SPARE bytes and RATIO bytes for each byte of the file, and no more."""
    try:
        import resource
    except ImportError:  # not on Windows: the time limit remains
        return
    status = Path("/proc/self/statm")
    now = int(status.read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if status.exists() else 8 << 30
    allowed = now + SPARE + RATIO * path.stat().st_size
    resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))


def respond(path: Path, wanted: str, name: str, to: Path) -> dict[str, Any]:
    """What the caller asked for: "names", or a "column" or "matrix" written to a file. Raises whatever pyarrow does."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    file = pq.ParquetFile(path, pre_buffer=False, thrift_string_size_limit=1 << 26, thrift_container_size_limit=1 << 22)
    if wanted == "names":
        return {"names": file.schema_arrow.names}
    kept = file.schema_arrow.field(name)  # KeyError names the column
    batches = file.iter_batches(batch_size=8192, columns=[name], use_threads=False)
    if wanted == "column":
        with pa.OSFile(str(to), "wb") as sink, pa.ipc.new_file(sink, pa.schema([kept])) as writer:
            for batch in batches:
                batch.validate(full=True)  # text that is no UTF-8, offsets that lead nowhere
                writer.write_batch(batch)
        return {}
    return _write_matrix(path, name, batches, to)


def _write_matrix(path: Path, name: str, batches: Any, to: Path) -> dict[str, Any]:
    from losscope.diagnosis.reading.matrices import rows_of_lists

    rows, dim, dtype = 0, None, "float32"
    with to.open("wb") as sink:
        for batch in batches:
            if not len(batch):
                continue
            piece = rows_of_lists(path, name, batch.column(0), rows)
            if dim is not None and piece.shape[1] != dim:
                raise InvalidInput(f"'{name}' of {path} has {dim} numbers in row 0 and {piece.shape[1]} in row {rows}; "
                                   "expected one length")  # fmt: skip
            rows, dim, dtype = rows + len(piece), piece.shape[1], piece.dtype.str
            sink.write(np.ascontiguousarray(piece).tobytes())
    return {"rows": rows, "dim": dim or 0, "dtype": dtype}


def main(arguments: list[str]) -> None:
    """Print the answer."""
    path, wanted, name, to = Path(arguments[0]), arguments[1], arguments[2], Path(arguments[3])
    try:
        import pyarrow.compute  # before the limit: what its code takes is not the file's
        import pyarrow.parquet  # noqa: F401

        limit_memory(path)
        said = respond(path, wanted, name, to)
    except InvalidInput as error:
        said = {"error": str(error)}
    except (Exception, MemoryError) as error:
        said = {
            "error": f"{path} can't be read ({brief(error)}); expected a whole parquet file: write or fetch it again"
        }
    sys.stdout.write(json.dumps(said))


if __name__ == "__main__":
    main(sys.argv[1:])
