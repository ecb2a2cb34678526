"""Named columns of a file: npy, npz, safetensors, parquet, csv, tsv and txt, none of them trusted.

A column is a numpy array (npy, npz, safetensors, matrices) or an Arrow array (parquet, csv, tsv, txt). Whatever is
wrong with a file ends as InvalidInput that names it. Pickled objects are never loaded. What a file may cost is bounded
by its size: no header is believed that promises more than the bytes behind it can hold.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from losscope.errors import InvalidInput, MissingData


def brief(error: object) -> str:
    """What a parser says, in one line: some quote the whole file.

    >>> brief("a\\n  b")
    'a b'
    """
    return " ".join(str(error).split())[:200] or type(error).__name__


@dataclass(frozen=True)
class Columns:
    """The columns of one file by name; `take` reads one of them, `matrix` one as a matrix of numbers."""

    path: Path
    names: tuple[str, ...]
    take: Callable[[str], Any]  # a numpy array or an Arrow chunked array
    matrix: Callable[[str], Any]  # a numpy array, or Stored
    table: bool = False  # columns of one length, so that a file without a matrix may spread it over its columns
    held: bool = False  # all of it is in memory as long as these are

    def only(self, names: Collection[str]) -> Columns:
        """Where all is in memory, what lets go of it but for the columns `names`, which alone can be taken."""
        if not self.held:
            return self
        kept = {name: self.take(name) for name in self.names if name in names}
        return replace(self, take=kept.__getitem__, matrix=kept.__getitem__)

    @property
    def listed(self) -> str:
        """The names for a message."""
        return brief(", ".join(self.names)) if self.names else "nothing"


def open_columns(path: Path) -> Columns:
    """The columns of a file by its ending. Raises MissingData, InvalidInput."""
    from losscope.diagnosis.reading import numpy_files, parquet_file, safetensors_file, text_file

    openers: dict[str, Callable[[Path], Columns]] = {
        ".npy": numpy_files.open_npy,
        ".npz": numpy_files.open_npz,
        ".safetensors": safetensors_file.open_safetensors,
        ".parquet": parquet_file.open_parquet,
        ".csv": text_file.open_csv,
        ".tsv": text_file.open_csv,
        ".txt": text_file.open_lines,
    }
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "was not found"
        raise MissingData(f"{path} {found}; expected a file that ends in {', '.join(openers)}")
    opener = openers.get(path.suffix.lower())
    if opener is None:
        raise InvalidInput(f"{path} ends in '{path.suffix}'; expected one of {', '.join(openers)}")
    return opener(path)
