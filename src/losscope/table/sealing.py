"""How a group ended: `runs.json`, written last, with the run records and the seal of every other file of the group."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from losscope.files import Seal, read_json, seal_of, write_json
from losscope.table.schema import SCHEMA_VERSION, RunRecord

FIELDS = {field.name for field in fields(RunRecord)}


@dataclass(frozen=True)
class Ending:
    """What stands in `runs.json` or `failed.json`."""

    records: tuple[RunRecord, ...]
    files: Mapping[str, Seal] | None  # by name; None where nothing is known of them, as before schema 3

    def holds(self, path: Path) -> bool:
        """Whether a file belongs to the group."""
        return path.is_file() if self.files is None else path.name in self.files

    def seal(self, name: str) -> Seal | None:
        """What a file must be, where it is known."""
        return self.files[name] if self.files is not None else None


def write_ending(group: Path, records: Iterable[RunRecord], files: Mapping[str, Seal]) -> None:
    """Write `runs.json`: from here on the group has ended. `files` are those beside `group.json`, which is added."""
    seals = {"group.json": seal_of(group / "group.json"), **files}
    write_json(
        group / "runs.json",
        {"schema": SCHEMA_VERSION, "records": record_rows(records), "files": dict(sorted(seals.items()))},
    )


def write_failure(group: Path, records: Iterable[RunRecord]) -> None:
    """Write `failed.json`: the next invocation tries these runs again."""
    write_json(group / "failed.json", {"schema": SCHEMA_VERSION, "records": record_rows(records)})


def read_ending(path: Path) -> Ending:
    """Read `runs.json` or `failed.json`. Raises DamagedRecord."""
    document = read_json(path)
    rows = document["records"] if isinstance(document, dict) else document  # a bare list before schema 3
    records = tuple(RunRecord(**{key: value for key, value in row.items() if key in FIELDS}) for row in rows)
    return Ending(records, document.get("files") if isinstance(document, dict) else None)


def record_rows(records: Iterable[RunRecord]) -> list[dict[str, Any]]:
    """Run records as plain dictionaries, for JSON."""
    return [asdict(record) for record in records]
