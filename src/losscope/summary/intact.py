"""Groups of a record that can't be read, so that the others can be used and these be named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from losscope import table
from losscope.errors import DamagedRecord
from losscope.files import read_json, read_parquet


def damaged_groups(folder: Path) -> dict[Path, str]:
    """Group folder -> what is wrong with it, for every group of a study's folder with a file that can't be read.

    Raises MissingData if there is no study.
    """
    return {group: said for group in table.groups(folder) if (said := _damage(group))}


def _damage(group: Path) -> str:
    """What is wrong with the first file of a group that can't be read; empty if all can."""
    for name, read in _READERS.items():
        path = group / name
        try:
            if path.is_file():
                read(path)
        except DamagedRecord as error:
            return str(error)
    return "" if _ended(group) == (group / "measurements.parquet").is_file() else _without_its_rows(group)


def _ended(group: Path) -> bool:
    return (group / "runs.json").is_file()


def _without_its_rows(group: Path) -> str:
    """A group that has ended and has no rows; a group with rows that has not ended is one that is being written."""
    return f"{group} has ended but has no measurements.parquet; train these runs again" if _ended(group) else ""


_READERS: dict[str, Callable[[Path], object]] = {
    "group.json": read_json,
    "runs.json": read_json,
    "failed.json": read_json,
    "measurements.parquet": read_parquet,
    "map.parquet": read_parquet,
}
