"""Whether folders can be merged: one study, one draw of the data for each seed, and no run with two results."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from losscope.errors import IncomparableRuns, InvalidStudy
from losscope.receipts.comparing import Difference, compare
from losscope.receipts.environments import recorded_environments, same_machine
from losscope.receipts.recorded import TABLES, RecordedRun, counts, rows
from losscope.study import Study

LISTED = 5
"""How many of several things an error names."""

_ABSENT = object()

_Cell = Mapping[tuple[str, ...], RecordedRun]
"""The runs of a cell in one folder, by place."""


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
            for place in (place for place in runs if place in theirs):
                cell = runs[place].cell
                both = [{at: run for at, run in side.items() if run.cell == cell} for side in (runs, theirs)]
                if differing := _differences(runs[place], theirs[place], *both):
                    found.append(f"run {runs[place]}: {folder} and {other} differ{_most(differing)}")
            ours, others = _by_seed(runs.values()), _by_seed(theirs.values())
            found += [
                f"seed {seed} of {' '.join(filter(None, cell))}: {folder} has run {sorted(ours[cell, seed])[0]}, {other} has "
                f"run {sorted(others[cell, seed])[0]}: other data, another numerics version, or another loss or model "
                "of the user's own"
                for cell, seed in ours
                if (cell, seed) in others and not ours[cell, seed] & others[cell, seed]
            ]
    return found


def _differences(ours: RecordedRun, theirs: RecordedRun, here: _Cell, there: _Cell) -> list[Difference]:
    """The diagnostics in which two records of a run differ, judged by each side's record of the cell, filled up with
    what only the other one has; none where they are the same, bit by bit or within tolerance."""
    if _same_rows(ours, theirs):
        return []
    environments, others = (recorded_environments(run.group, {}) for run in (ours, theirs))
    same = bool(environments and others) and all(same_machine(environments, one) for one in others)
    either = (
        *compare(ours, theirs, list({**there, **here}.values()), elsewhere=not same),
        *compare(theirs, ours, list({**here, **there}.values()), elsewhere=not same),
    )
    worst = {(one.kind, one.split, one.diagnostic): one for one in reversed(either) if one.verdict == "different"}
    return list(worst.values())


def _same_rows(ours: RecordedRun, theirs: RecordedRun) -> bool:
    """Whether two records of a run say the same, row after row; much faster than to say how they differ."""
    if ours.record.status != theirs.record.status or not counts(ours).equals(counts(theirs)):
        return False
    if all(_bytes(ours.group / name) == _bytes(theirs.group / name) for name in TABLES.values()):
        return True
    both = ((kind, rows([ours], kind), rows([theirs], kind)) for kind in TABLES)
    return all(
        here.equals(there) or (kind == "plane" and not (here.num_rows and there.num_rows))  # of first runs only
        for kind, here, there in both
    )


def _most(differing: Sequence[Difference]) -> str:
    """The diagnostic in which two records of a run differ most, for a sentence."""
    worst = max(differing, key=lambda one: one.worst.difference / (one.worst.tolerance or 1e-300) if one.worst else 0.0)
    name = " ".join(filter(None, [worst.split, worst.diagnostic]))
    more = f" and {len(differing) - 1} diagnostics more" if len(differing) > 1 else ""
    if worst.worst is None:
        return f" in {name} ({worst.missing + worst.extra} rows stand in one of them only){more}"
    at = worst.worst
    return f" in {name} ({at.recorded} against {at.recomputed} at epoch {at.epoch}){more}"


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
