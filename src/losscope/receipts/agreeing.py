"""Whether folders can be merged: one study, one draw of the data for each seed, and no run with two results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from losscope.errors import IncomparableRuns, InvalidStudy
from losscope.receipts.comparing import Difference, compare, verdict_of
from losscope.receipts.environments import recorded_environments, same_machine
from losscope.receipts.recorded import TABLES, RecordedRun
from losscope.study import Study

LISTED = 5
"""How many of several things an error names."""

_ABSENT = object()


def check_same_study(studies: Mapping[Path, Study]) -> None:
    """Raises InvalidStudy naming the keys in which two folders' studies differ; seeds and notes may."""
    (first, study), *others = studies.items()
    for folder, other in others:
        if found := list(_differing(study.comparable(), other.comparable())):
            told = "; ".join(f"{key}: {_short(ours)} against {_short(theirs)}" for key, ours, theirs in found[:LISTED])
            raise InvalidStudy(
                f"{first} and {folder} hold different studies: {told}{'; ...' if len(found) > LISTED else ''}. Only seeds may "
                "differ in folders that are merged; give both to losscope report or claims instead, which read several studies"
            )


def check_same_data(manifests: Mapping[Path, Mapping[str, Any]]) -> None:
    """Raises IncomparableRuns where two folders' data differ: the fingerprint of a seed, or that of data which all
    seeds share."""
    prints = {
        folder: {name: about.get("fingerprints", {}) for name, about in manifest.get("data", {}).items()}
        for folder, manifest in manifests.items()
    }
    (first, known), *others = (
        (folder, {name: dict(of) for name, of in data.items()}) for folder, data in prints.items()
    )
    for folder, data in others:
        for name, ours in data.items():
            before = known.setdefault(name, {})
            seeds = [seed for seed in ours if before.get(seed, ours[seed]) != ours[seed]]
            shared = [of for of in (before, ours) if len(of) > 1 and len({*of.values()}) == 1]
            if not seeds and shared and len({*before.values(), *ours.values()}) > 1:
                seeds = list(ours)
            if seeds:
                raise IncomparableRuns(
                    f"{first} and {folder} were trained on different data: the fingerprint of '{name}' differs for seed "
                    f"{', '.join(seeds[:LISTED])}{', ...' if len(seeds) > LISTED else ''}; train both on the same files"
                )
            before |= ours


def contradictions(of_folders: Mapping[Path, Sequence[RecordedRun]]) -> list[str]:
    """A sentence for each run that two folders have with different results, or under different digests."""
    found = []
    sources = [(folder, {run.place: run for run in runs}) for folder, runs in of_folders.items()]
    for index, (folder, runs) in enumerate(sources):
        for other, theirs in sources[index + 1 :]:
            found += [
                f"run {runs[place]}: {folder} and {other} differ{_most(runs[place], theirs[place], list(runs.values()))}"
                for place in runs
                if place in theirs and not _same(runs[place], theirs[place], list(runs.values()))
            ]
            ours, others = _by_seed(runs.values()), _by_seed(theirs.values())
            found += [
                f"seed {seed} of {' '.join(filter(None, cell))}: {folder} has run {sorted(ours[cell, seed])[0]}, {other} has "
                f"run {sorted(others[cell, seed])[0]}: other data, another numerics version, or another loss or model "
                "of the user's own"
                for cell, seed in ours
                if (cell, seed) in others and not ours[cell, seed] & others[cell, seed]
            ]
    return found


def _same(ours: RecordedRun, theirs: RecordedRun, peers: Sequence[RecordedRun]) -> bool:
    """Whether two records of a run are the same, bit by bit or within tolerance."""
    if all(_bytes(ours.group / name) == _bytes(theirs.group / name) for name in TABLES.values()):
        return True
    return verdict_of(_compared(ours, theirs, peers)) != "different"


def _most(ours: RecordedRun, theirs: RecordedRun, peers: Sequence[RecordedRun]) -> str:
    """The diagnostic in which two records of a run differ most, for a sentence."""
    differing = [one for one in _compared(ours, theirs, peers) if one.verdict == "different"]
    worst = max(differing, key=lambda one: one.worst.difference / (one.worst.tolerance or 1e-300) if one.worst else 0.0)
    name = " ".join(filter(None, [worst.split, worst.diagnostic]))
    more = f" and {len(differing) - 1} diagnostics more" if len(differing) > 1 else ""
    if worst.worst is None:
        return f" in {name} ({worst.missing + worst.extra} rows stand in one of them only){more}"
    at = worst.worst
    return f" in {name} ({at.recorded} against {at.recomputed} at epoch {at.epoch}){more}"


def _compared(ours: RecordedRun, theirs: RecordedRun, peers: Sequence[RecordedRun]) -> tuple[Difference, ...]:
    there, here = (recorded_environments(run.group, {}) for run in (ours, theirs))
    same = bool(there and here) and all(same_machine(there, one) for one in here)
    return compare(ours, theirs, [one for one in peers if one.cell == ours.cell], elsewhere=not same)


def _by_seed(runs: Any) -> dict[tuple[tuple[str, ...], int], set[str]]:
    """(cell, seed) -> digests."""
    found: dict[tuple[tuple[str, ...], int], set[str]] = {}
    for run in runs:
        found.setdefault((run.cell, run.record.seed), set()).add(run.record.run)
    return found


def _bytes(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _differing(ours: Any, theirs: Any, key: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Paths of the keys in which two documents differ, with both values; an entry of a list goes by its name."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        for name in dict.fromkeys([*ours, *theirs]):
            inner = ours.get(name, _ABSENT), theirs.get(name, _ABSENT)
            yield from _differing(*inner, f"{key}.{name}" if key else name)
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for number, (one, other) in enumerate(zip(ours, theirs, strict=True)):
            named = one.get("name", number) if isinstance(one, Mapping) else number
            yield from _differing(one, other, f"{key}.{named}")
    elif ours != theirs:
        yield key, ours, theirs


def _short(value: Any) -> str:
    return "nothing" if value is _ABSENT else repr(value) if len(repr(value)) < 60 else f"{repr(value)[:57]}..."
