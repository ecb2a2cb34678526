"""The groups of a study's folder, and what each says that it will hold."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from losscope.errors import MissingData
from losscope.files import SEALED_SINCE, make_folder, read_json, write_json
from losscope.table.schema import SCHEMA_VERSION

ENVIRONMENT = "environment.json"
"""The file of a group that says what it was trained with."""


def groups(folder: Path, without: Collection[Path] = ()) -> list[Path]:
    """The group folders of a study's folder, by name, `without` some of them. MissingData if there is no study."""
    if not (folder / "study.json").is_file():
        raise MissingData(
            f"no study in {folder}: looked for {folder / 'study.json'}; "
            f"make one with: losscope study quick --out {folder}"
        )
    found = sorted(path.parent for path in folder.glob("groups/*/group.json"))
    return [group for group in found if group not in without]


def write_group(folder: Path, group: Mapping[str, Any]) -> None:
    """Make a group's folder and say in it which runs it will hold, unless it says so already."""
    make_folder(folder)
    if not (folder / "group.json").is_file():
        write_json(folder / "group.json", {"schema": SCHEMA_VERSION, **group})


def read_group(group: Path) -> dict[str, Any]:
    """What `group.json` says: one data set, protocol and loss; variants, seeds and the like with one entry for each run.

    Schema 1 knew one variant for all runs of a group.
    """
    document: dict[str, Any] = read_json(group / "group.json")
    if "variant" in document:
        runs = len(document["runs"])
        document["variants"] = [document.pop("variant")] * runs
        document["hyperparameters"] = [document["hyperparameters"]] * runs
    return document


def is_sealed(group: Mapping[str, Any]) -> bool:
    """Whether the files of a group carry checksums, by what its `group.json` says."""
    return int(group.get("schema", 1)) >= SEALED_SINCE


def has_ended(group: Path) -> bool:
    """Whether all runs of a group are done or diverged: its last file is there."""
    return (group / "runs.json").is_file()
