"""What of a record is damaged, by file, so that the rest can be used and these be named."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

from losscope.errors import DamagedRecord
from losscope.files import check_seal, check_tensors, read_json, read_lines, read_parquet
from losscope.files.checksums import ADVICE
from losscope.table.folder import groups, has_ended, is_sealed, read_group
from losscope.table.sealing import read_ending

REPORTED = ("group.json", "runs.json", "failed.json", "measurements.parquet", "map.parquet", "epochs.jsonl")
"""The files of a group that a report or a ledger reads; one that is damaged keeps its group out of them."""

LINES = ("epochs.jsonl", "steps.jsonl")


@dataclass(frozen=True)
class Damage:
    """One file that can't be read as it was written."""

    file: Path
    problem: str  # a sentence that names the file and says what to do
    group: Path | None = None  # whose file it is; None for those of the study


def damage_in(folder: Path) -> list[Damage]:
    """Everything that is damaged in a study's folder: its own files first, then group by group.

    A group that is being written is looked at as far as its lines and its checkpoint go.
    """
    found = []
    begun = sorted(path for path in folder.glob("groups/*") if path.is_dir())
    for path in (folder / "study.json", folder / "manifest.json"):
        problem = ""
        if path.is_file():
            problem = _problem(partial(read_json, path))
        elif begun:  # both are written before the first group
            problem = f"{path} is missing; {ADVICE}"
        if problem:
            found.append(Damage(path, problem))
    return [*found, *(damage for group in begun for damage in group_damage(group))]


def damaged_groups(folder: Path, names: Collection[str] = REPORTED) -> dict[Path, str]:
    """Group folder -> what is wrong with it, for every group of a study's folder of whose files `names` one is damaged.

    Raises MissingData if there is no study.
    """
    return {
        group: damage.problem for group in groups(folder) if (damage := next(_damage(group, names), None)) is not None
    }


def group_damage(group: Path) -> list[Damage]:
    """What is damaged in one group's folder."""
    return list(_damage(group, None))


def _damage(group: Path, names: Collection[str] | None) -> Iterator[Damage]:
    if not has_ended(group):
        found = list(_problems(group, names))
        if not has_ended(group):
            yield from found
            return
    # It has ended, perhaps while it was looked at: what is gone then was cleaned away.
    yield from _problems(group, names)


def _problems(group: Path, names: Collection[str] | None) -> Iterator[Damage]:
    found = set()
    for name, check in _checks(group, names):
        if name not in found and (names is None or name in names) and (problem := _problem(check)):
            found.add(name)
            yield Damage(group / name, problem, group)


def _checks(group: Path, names: Collection[str] | None) -> Iterator[tuple[str, Callable[[], object]]]:
    """Each file of a group, with what raises DamagedRecord if it is damaged. `group.json` comes first: without it, what
    the other files of a group that has not ended must be is not known."""
    if not (group / "group.json").is_file():
        if any(not path.name.startswith(".") for path in group.iterdir()):
            yield "group.json", partial(_missing, group / "group.json")
        return
    yield "group.json", partial(read_group, group)
    if has_ended(group):
        yield "runs.json", partial(read_ending, group / "runs.json")
        yield from _ended(group)
    else:
        yield from _running(group, names)


def _ended(group: Path) -> Iterator[tuple[str, Callable[[], object]]]:
    try:
        files = read_ending(group / "runs.json").files
    except DamagedRecord:  # then nothing is known of the others
        return
    if files is not None:
        for name, seal in files.items():
            yield name, partial(check_seal, group / name, seal)
        return
    yield "measurements.parquet", partial(_has_rows, group)
    for path in sorted(group.glob("*.parquet")):
        yield path.name, partial(read_parquet, path)


def _running(group: Path, names: Collection[str] | None) -> Iterator[tuple[str, Callable[[], object]]]:
    try:
        sealed = is_sealed(read_group(group))
    except (DamagedRecord, FileNotFoundError):
        return
    if (group / "failed.json").is_file():
        yield "failed.json", partial(read_ending, group / "failed.json")
    if (group / "environment.json").is_file():
        yield "environment.json", partial(read_json, group / "environment.json")
    sizes: dict[str, int] = {}
    checkpoint = group / "checkpoint.safetensors"
    if checkpoint.is_file():
        about = cache(lambda: check_tensors(checkpoint, sealed=sealed)[0])  # read once
        yield checkpoint.name, about
        if names is None or {*LINES} & {*names}:
            with suppress(DamagedRecord, FileNotFoundError):
                sizes = json.loads(about().get("sizes", "{}"))
    for name in LINES:
        yield name, partial(read_lines, group / name, sealed=sealed)
        if name in sizes:  # lines up to the checkpoint are needed, later ones are trained again
            yield name, partial(read_lines, group / name, sealed=sealed, size=sizes[name])
    with suppress(DamagedRecord, FileNotFoundError):
        for line in read_lines(group / "epochs.jsonl", sealed=sealed):
            for name, seal in line.get("files", {}).items():
                yield name, partial(check_seal, group / name, seal)


def _problem(check: Callable[[], object]) -> str:
    """What a check says is wrong; empty if nothing is, and if the file went away since it was seen: that one which must
    be there is not is for its check to say."""
    try:
        check()
    except FileNotFoundError:
        return ""
    except DamagedRecord as error:
        return str(error)
    return ""


def _missing(path: Path) -> None:
    raise DamagedRecord(f"{path} is missing, and its folder holds other files; {ADVICE}")


def _has_rows(group: Path) -> None:
    if not (group / "measurements.parquet").is_file():
        raise DamagedRecord(f"{group} has ended but has no measurements.parquet; train these runs again")
