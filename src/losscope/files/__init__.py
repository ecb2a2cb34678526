"""Files that are whole or not there, durable once written, and named when they were damaged.

`disk` has the few calls that reach the disk; the others make bytes in memory and hand them to it.
"""

from losscope.files.checksums import Seal, check_seal, seal_of
from losscope.files.disk import append, atomic, make_folder, move, remove, remove_unfinished, truncate, write_bytes
from losscope.files.documents import SEALED_SINCE, read_json, write_json
from losscope.files.lines import line_of, read_lines
from losscope.files.tables import open_parquet, read_parquet, unreadable, write_table
from losscope.files.tensors import NO_DIGEST, check_tensors, write_tensors

__all__ = [
    "NO_DIGEST",
    "SEALED_SINCE",
    "Seal",
    "append",
    "atomic",
    "check_seal",
    "check_tensors",
    "line_of",
    "make_folder",
    "move",
    "open_parquet",
    "read_json",
    "read_lines",
    "read_parquet",
    "remove",
    "remove_unfinished",
    "seal_of",
    "truncate",
    "unreadable",
    "write_bytes",
    "write_json",
    "write_table",
    "write_tensors",
]
