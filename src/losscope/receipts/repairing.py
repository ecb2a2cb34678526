"""Damage set aside, what two files say of one study rebuilt from the one that is whole, and lost runs trained again."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from losscope.errors import DamagedRecord, LosscopeError, MissingData
from losscope.files import make_folder, move, read_json, write_json
from losscope.files.lock import in_place, take
from losscope.study import parse
from losscope.sweep import drive
from losscope.sweep.lock import driving
from losscope.sweep.plan import Plan
from losscope.table import (
    MONITORED,
    SCHEMA_VERSION,
    Damage,
    RunRecord,
    damage_in,
    group_damage,
    groups,
    read_ending,
    read_group,
)
from losscope.training.run import Progress

ASIDE = "damaged"
"""The folder in a study's folder where damage goes; nothing reads it."""


@dataclass(frozen=True)
class Repair:
    """What was damaged in a study's folder, and what became of it."""

    folder: Path
    damaged: tuple[Damage, ...]
    aside: Mapping[Path, Path]  # what was set aside -> where it is now
    rebuilt: tuple[Path, ...]  # files made from another one
    lost: tuple[str, ...] | None  # digests of the runs that were set aside; None where nobody knows all of them
    records: tuple[RunRecord, ...]  # of the runs trained again
    left: tuple[str, ...]  # what is still to be done, in words

    @property
    def whole(self) -> bool:
        """Whether everything that was damaged or lost is there again."""
        return not self.left

    def document(self) -> dict[str, Any]:
        """The same for JSON."""
        return {
            "folder": str(self.folder),
            "whole": self.whole,
            "damaged": [{"file": str(one.file), "problem": one.problem} for one in self.damaged],
            "set_aside": [{"from": str(place), "to": str(now)} for place, now in self.aside.items()],
            "rebuilt": [str(path) for path in self.rebuilt],
            "lost": None if self.lost is None else list(self.lost),
            "trained": [asdict(record) for record in self.records],
            "left": list(self.left),
        }


def repair(
    folder: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    aside_only: bool = False,
    losses: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    loading: Progress | None = None,
    progress: Callable[[Plan], Progress] | None = None,
) -> Repair:
    """Mend a study's folder: groups with a damaged file go to `folder/damaged`, and their runs alone are trained again.

    study.json and the manifest each hold the study, and one is rebuilt from the other. `data`, `device`, `jobs` and the
    user's own `losses` and `models` are those of `losscope.run`. With `aside_only` nothing is trained: the study's own
    command does that, on Ray or Slurm too, for it trains what is not there. Raises MissingData if there is no study, DamagedRecord if
    nothing that is whole says which study it is, InvalidInput while somebody trains in the folder.
    """
    folder = Path(folder)
    if not any((folder / name).exists() for name in ("study.json", "manifest.json", "groups")):
        groups(folder)  # says in words that there is no study
    with driving(folder):
        damaged = tuple(damage_in(folder))
        aside, rebuilt = dict[Path, Path](), list[Path]()
        for path in (folder / "study.json", folder / "manifest.json"):
            if any(one.file == path for one in damaged):
                _rebuild(path, aside)
                rebuilt.append(path)
        lost, busy = _set_aside(folder, damaged, aside)
    damaged = tuple(
        one for one in damaged if one.group is None or one.group in (*aside, *busy)
    )  # others ended meanwhile
    records: tuple[RunRecord, ...] = ()
    left = [f"{group} is being written to by another process; repeat this when it has ended" for group in busy]
    if aside_only and lost != ():
        left.append(
            f"what was set aside is to be trained again: repeat the command that made {folder}, losscope study NAME --out "
            f"{folder} with its --on, --device and --jobs"
        )
    elif not aside_only and (lost != () or rebuilt):
        try:
            if _is_monitored(folder, aside):
                raise MissingData("these runs were trained by a loop of your own, and only that can train them again")
            study = read_json(folder / "study.json")
            parsed = parse({key: value for key, value in study.items() if key != "schema"}, str(folder / "study.json"))
            found = drive.run(
                parsed,
                folder,
                data=data,
                device=device,
                jobs=jobs,
                losses=losses,
                models=models,
                only=lost,
                loading=loading,
                progress=progress,
            )
            records = found.records
        except LosscopeError as error:
            if lost != ():  # a manifest without what is known of the data is no loss that stops anybody
                left.append(f"not trained again: {error}")
    left += [damage.problem for damage in damage_in(folder) if damage.group not in busy]
    left += _missing(folder, lost, records, left)
    return Repair(folder, damaged, aside, tuple(rebuilt), lost, records, tuple(left))


def _rebuild(path: Path, aside: dict[Path, Path]) -> None:
    """study.json from the manifest, or the manifest from study.json; what is damaged goes aside first."""
    other = path.with_name("manifest.json" if path.name == "study.json" else "study.json")
    try:
        document = read_json(other)
        study = document["study"] if other.name == "manifest.json" else document
    except (DamagedRecord, FileNotFoundError, KeyError) as error:
        raise DamagedRecord(
            f"neither study.json nor manifest.json of {path.parent} says which study it is ({path.name} is damaged, and in "
            f"{other.name} it can't be read); restore one of them from a copy. Nothing was changed"
        ) from error
    if path.is_file():
        aside[path] = _away(path)
    if path.name == "study.json":
        write_json(path, {"schema": SCHEMA_VERSION, **study})
    else:
        study = {key: value for key, value in study.items() if key != "schema"}
        write_json(path, {"schema": SCHEMA_VERSION, "study": study, "data": {}, "invocations": []})


def _set_aside(
    folder: Path, damaged: Sequence[Damage], aside: dict[Path, Path]
) -> tuple[tuple[str, ...] | None, list[Path]]:
    """Move the damaged groups away. The digests of their runs (None where one doesn't say), and the groups that somebody
    writes to."""
    lost: list[str] | None = []
    busy = []
    for group in dict.fromkeys(one.group for one in damaged if one.group is not None):
        with _ours(group) as free:
            if not free:
                busy.append(group)
                continue
            if not group_damage(group):  # whoever wrote to it has ended it since
                continue
            runs = _runs_of(group)
            lost = None if lost is None or runs is None else lost + runs
            aside[group] = _away(group)
    return None if lost is None else tuple(lost), busy


@contextmanager
def _ours(group: Path) -> Iterator[bool]:
    """Whether nobody trains a group; nobody begins to meanwhile."""
    if not (group / "group.json").is_file():
        yield True
        return
    with (group / "group.json").open("r+b") as file:
        yield take(file, wait=False) and in_place(file, group / "group.json")


def _runs_of(group: Path) -> list[str] | None:
    """The digests of a group's runs, by the first of its files that is whole and says so."""
    try:
        return list(read_group(group)["runs"])
    except (DamagedRecord, FileNotFoundError):
        pass
    try:
        return [record.run for record in read_ending(group / "runs.json").records]
    except (DamagedRecord, FileNotFoundError):
        return None


def _away(path: Path) -> Path:
    """Move a group's folder, or a file of the study, aside; returns where it is now."""
    folder = (path.parent.parent if path.is_dir() else path.parent) / ASIDE
    make_folder(folder)
    number = next(number for number in range(1, 1_000_000) if not (folder / f"{path.name}.{number}").exists())
    move(path, folder / f"{path.name}.{number}")
    return folder / f"{path.name}.{number}"


def _is_monitored(folder: Path, aside: Mapping[Path, Path]) -> bool:
    if read_json(folder / "manifest.json").get("monitored"):
        return True
    for group in (*groups(folder), *(place for place in aside.values() if place.is_dir())):
        try:
            if MONITORED in read_group(group).get("data_fingerprints", ()):
                return True
        except (DamagedRecord, FileNotFoundError):
            continue
    return False


def _missing(
    folder: Path, lost: tuple[str, ...] | None, records: Sequence[RunRecord], said: Sequence[str]
) -> Iterator[str]:
    """Runs that were lost and are not there again, where nothing else says why."""
    failed = [record for record in records if record.status == "failed"]
    if failed:
        yield f"{len(failed)} runs failed: {(failed[0].error or '').strip().splitlines()[-1]}"
    elif lost and not said:
        there = {run for group in groups(folder) for run in read_group(group)["runs"]}
        if gone := [run for run in lost if run not in there]:
            yield (
                f"{len(gone)} runs are not those that this study would train now ({', '.join(gone[:3])}, ...): their data or "
                "the numerics of losscope have changed since; what is left of them was set aside"
            )
