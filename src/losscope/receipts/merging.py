"""`losscope.merge`: the folders of one study, from several machines, into one.

Groups are copied file by file. A run that two folders have is kept once; where a group is new in part, its rows are
filtered, and it is sealed anew. Nothing in a merged folder depends on paths, clocks or the order of folders but the order
of its manifest's entries.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from losscope.errors import IncomparableRuns, InvalidInput, InvalidStudy
from losscope.files import read_json, remove_unfinished, write_json
from losscope.receipts.agreeing import LISTED, check_same_data, check_same_study, contradictions
from losscope.receipts.copying import copy_runs, name_of
from losscope.receipts.recorded import RecordedRun, ended_runs, read_study
from losscope.study import Study
from losscope.sweep.lock import LOCK, driving
from losscope.sweep.manifest import joined
from losscope.table import INPUTS, SCHEMA_VERSION, damage_in, groups, has_ended, read_group


@dataclass(frozen=True)
class Merged:
    """What a merge has brought together."""

    folder: Path
    runs: int  # in the folder now
    added: int  # of them by this call
    doubled: int  # runs that were left out because the folder has them from elsewhere
    damaged: tuple[str, ...]  # a sentence for each damaged file; its group was left out
    unfinished: tuple[str, ...]  # groups that have not ended, and were left out
    busy: tuple[str, ...]  # groups of `folder` that another process trains; what others have of them was left out

    def document(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "folder": str(self.folder),
            "runs": self.runs,
            "added": self.added,
            "doubled": self.doubled,
            "damaged": list(self.damaged),
            "unfinished": list(self.unfinished),
            "busy": list(self.busy),
        }


def merge(folders: Sequence[str | Path], out: str | Path) -> Merged:
    """Merge the folders of one study, whose seeds may differ, into `out`, which is new or holds that study too.

    Groups that are damaged, have not ended or are being trained in `out` are left out and named. Interrupted, it goes on when repeated. Raises
    InvalidStudy for different studies, IncomparableRuns for different data or for runs with two results, all named,
    before anything is written; MissingData for a folder without a study; InvalidInput if `out` is damaged or being
    worked on.
    """
    target = Path(out)
    given = [Path(folder) for folder in folders]
    sources = list({folder.resolve(): folder for folder in given if folder.resolve() != target.resolve()}.values())
    studies = {folder: read_study(folder) for folder in sources}
    if not sources:
        raise InvalidInput("there is nothing to merge; expected at least one folder besides --out")
    with driving(target):
        if (target / "study.json").is_file():
            studies = {target: read_study(target), **studies}
        elif found := sorted(path.name for path in target.iterdir() if not _ours(path)):
            raise InvalidStudy(f"{target} is not empty ({found[0]}) and holds no study; choose another --out")
        check_same_study(studies)
        manifests = {folder: _manifest(folder) for folder in studies}
        check_same_data(manifests)
        damage = [one for folder in studies for one in damage_in(folder)]
        if broken := [one for one in damage if one.file.is_relative_to(target) and one.file.exists()]:
            raise InvalidInput(f"{target} is damaged: {broken[0].problem}")
        lost = {one.group for one in damage if one.group is not None}
        runs = {folder: ended_runs(folder, lost) for folder in studies}
        if found := contradictions(runs):
            raise IncomparableRuns(
                f"{len(found)} runs contradict each other: {'; '.join(found[:LISTED])}{'; ...' if len(found) > LISTED else ''}. "
                "losscope verify tells for each folder whether its runs can be repeated; merge those that can"
            )
        there, left = runs.get(target, []), [run for folder in sources for run in runs[folder]]
        chosen = _chosen(there, left, _begun(target))
        manifest = joined([manifests[folder] for folder in studies], _joined(list(studies.values())))
        remove_unfinished(target)
        write_json(target / "study.json", {"schema": SCHEMA_VERSION, **manifest["study"]})
        write_json(target / "manifest.json", manifest)
        added, busy = 0, []
        for group, of_group in _by_group(chosen).items():
            into = target / "groups" / name_of(group, of_group)
            if copy_runs(group, into, of_group, over=into in lost):
                added += len(of_group)
            else:
                busy.append(str(into))
        if added:
            told = {"at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), "from": list(map(str, sources))}
            merged = [*manifest["merged"], {**told, "runs": added}]
            write_json(target / "manifest.json", {**manifest, "merged": merged})
    unfinished = [group for folder in sources for group in groups(folder, lost) if not has_ended(group)]
    return Merged(
        target,
        runs=len(there) + added,
        added=added,
        doubled=len(left) - len(chosen),
        damaged=tuple(one.problem for one in damage),
        unfinished=tuple(map(str, unfinished)),
        busy=tuple(busy),
    )


def _ours(path: Path) -> bool:
    """Whether a file of a folder without a study is nobody's: the lock, or what a merge that was killed has left."""
    return path.name == LOCK or path.name.startswith(".")


def _manifest(folder: Path) -> Mapping[str, Any]:
    path = folder / "manifest.json"
    document: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    return document


def _begun(target: Path) -> dict[tuple[str, ...], str]:
    """Runs of the groups in `target` that have not ended -> the group's name. One that an interrupted merge has left is
    written again; one that a study has begun goes on training there."""
    found: dict[tuple[str, ...], str] = {}
    for group in (group for group in target.glob("groups/*") if (group / "group.json").is_file()):
        if not has_ended(group):
            about = read_group(group)
            names = about["dataset"], about["protocol"], about["loss"]
            found |= {
                (run, *names, variant): group.name
                for run, variant in zip(about["runs"], about["variants"], strict=True)
            }
    return found


def _chosen(
    there: Sequence[RecordedRun], left: Sequence[RecordedRun], begun: Mapping[tuple[str, ...], str]
) -> list[RecordedRun]:
    """The runs to copy: each once, the first that was given. Of inputs that all seeds share, those of one seed."""
    taken = {run.place for run in there}
    measured = {_inputs_of(run) for run in there if run.record.loss == INPUTS}
    chosen: dict[tuple[str, ...], RecordedRun] = {}
    for run in left:
        if run.place not in taken:
            chosen.setdefault(run.place, run)
    for run in sorted(chosen.values(), key=lambda run: run.record.seed):
        if run.record.loss == INPUTS:
            if _inputs_of(run) in measured:
                del chosen[run.place]
            measured.add(_inputs_of(run))
    names = {name_of(group, runs) for group, runs in _by_group(chosen.values()).items()}
    return [run for run in chosen.values() if begun.get(run.place) in (None, *names)]


def _inputs_of(run: RecordedRun) -> tuple[object, ...]:
    return run.cell, run.record.data_fingerprint


def _by_group(runs: Iterable[RecordedRun]) -> dict[Path, list[RecordedRun]]:
    found: dict[Path, list[RecordedRun]] = {}
    for run in runs:
        found.setdefault(run.group, []).append(run)
    return found


def _joined(studies: Sequence[Study]) -> dict[str, Any]:
    """The study, with the seeds of all."""
    return {"seeds": sorted({seed for study in studies for seed in study.seed_list}), **studies[0].comparable()}
