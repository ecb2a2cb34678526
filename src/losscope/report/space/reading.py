"""The record of a diagnosis: a document, and a table with a line for each row."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.errors import MissingData
from losscope.files import read_json, read_parquet

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True, eq=False)
class Record:
    """`document` is diagnosis.json, `rows` is rows.parquet."""

    document: Mapping[str, Any]
    rows: pa.Table

    @property
    def geometry(self) -> Mapping[str, Any]:
        """What is known beyond retrieval; parts may be missing where rows are in several classes."""
        found: Mapping[str, Any] = self.document["geometry"]
        return found

    @property
    def per_class(self) -> Sequence[Mapping[str, Any]]:
        """A line for each class."""
        found: Sequence[Mapping[str, Any]] = self.document["per_class"]
        return found

    @cached_property
    def labels(self) -> list[str]:
        """The label of each row in one text; empty for none."""
        return [" | ".join(one) if isinstance(one, list) else one or "" for one in self.rows["label"].to_pylist()]

    def name(self, row: int) -> str:
        """What a row is called: its name, or its number."""
        named = self.rows["name"][row].as_py() if "name" in self.rows.column_names else None
        return str(named) if named else f"row {row}"

    def picture(self, row: int) -> bytes | None:
        """The picture of a row, where there is one."""
        found = self.rows["image"][row].as_py() if "image" in self.rows.column_names else None
        return found["bytes"] if found else None


def read(folder: Path) -> Record:
    """The record in a folder. Raises MissingData, DamagedRecord."""
    files = folder / "diagnosis.json", folder / "rows.parquet"
    for file in files:
        if not file.is_file():
            raise MissingData(
                f"{file} was not found; expected the folder of a diagnosis: losscope diagnose ... --out {folder}"
            )
    return Record(read_json(files[0]), read_parquet(files[1]))
