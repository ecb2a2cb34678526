"""`losscope.verify` and `losscope.rerun`: recorded runs trained anew and compared row by row."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from losscope.errors import DamagedRecord, InvalidInput
from losscope.files import read_json
from losscope.receipts.comparing import Difference, compare
from losscope.receipts.environments import changes, recorded_environments, same_bits_expected, same_code, same_machine
from losscope.receipts.receipt import Checked, Verification
from losscope.receipts.recomputing import NotRecomputable, recompute
from losscope.receipts.recorded import RecordedRun, ended_runs, find, read_study, sample
from losscope.sweep.drive import make_place
from losscope.table import damage_in
from losscope.training.environment import environment
from losscope.training.run import Progress


def verify(
    folder: str | Path,
    *,
    runs: int = 3,
    seed: int = 0,
    exact: bool = False,
    data: str | Path | None = None,
    device: str = "cpu",
    losses: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    loading: Progress | None = None,
    progress: Progress | None = None,
) -> Verification:
    """Recompute a sample of `runs` of a study's folder, each alone in a temporary folder, and compare all of its rows.

    The sample is drawn by `seed`, from as many cells as there are. A run passes with the same bits, or (unless `exact`)
    within the tolerances of `losscope.receipts.comparing`. The user's own `losses` and `models` have to be handed in
    again. The folder is read only. Raises MissingData without a study, InvalidInput without a run that ended, or for a
    device that can't be used.
    """
    folder = Path(folder)
    if runs < 1:
        raise InvalidInput(f"runs is {runs}; expected the number of runs to recompute, 1 or more")
    make_place(data, device)  # says in words what this machine can't do
    damage = damage_in(folder)
    lost = {one.group for one in damage if one.group is not None}
    ended = ended_runs(folder, lost) if (folder / "study.json").is_file() or not damage else []
    if not ended and not damage:
        raise InvalidInput(f"no run in {folder} has ended; verify a study once it has finished runs")
    given = {"data": data, "device": device, "losses": losses, "models": models}
    told = {"loading": loading, "progress": progress}
    checked = []
    for run in sample(ended, runs, seed):
        with TemporaryDirectory(prefix="losscope-verify-") as temporary:
            checked.append(_checked(run, folder, ended, Path(temporary) / "run", given, told))
    named = tuple(one.problem for one in damage)
    return Verification(folder, seed, len(ended), tuple(checked), named, environment(device), exact)


def rerun(
    folder: str | Path,
    run: str,
    out: str | Path | None = None,
    *,
    data: str | Path | None = None,
    device: str = "cpu",
    losses: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    loading: Progress | None = None,
    progress: Progress | None = None,
) -> tuple[Checked, Path]:
    """Train one recorded run (`run` begins its digest) anew into a folder of its own, by default reruns/DIGEST in
    `folder`, which is a study's folder like any other; and compare all of its rows. Interrupted, it goes on.

    Raises UnknownName or InvalidInput for a digest that no run or several runs have, InvalidInput where the run is in
    `out` already or can't be recomputed here (other data, another numerics version, the user's own loss, no such device).
    """
    folder = Path(folder)
    make_place(data, device)
    ended = ended_runs(folder, {one.group for one in damage_in(folder) if one.group is not None})
    chosen = find(ended, run)
    place = Path(out) if out is not None else folder / "reruns" / chosen.record.run
    if (place / "study.json").is_file() and any(one.place == chosen.place for one in ended_runs(place)):
        raise InvalidInput(f"{place} holds this run already; remove that folder or choose another with --out")
    given = {"data": data, "device": device, "losses": losses, "models": models}
    checked = _checked(chosen, folder, ended, place, given, {"loading": loading, "progress": progress})
    if checked.reason is not None:
        raise InvalidInput(f"run {chosen} can't be recomputed: {checked.reason}")
    return checked, place


def _checked(
    run: RecordedRun,
    folder: Path,
    ended: list[RecordedRun],
    out: Path,
    given: Mapping[str, Any],
    told: Mapping[str, Any],
) -> Checked:
    """One run, trained anew into `out` and compared with the record in `folder`."""
    manifest = _manifest(folder)
    environments, present = recorded_environments(run.group, manifest), environment(given["device"])
    started = time.perf_counter()
    reason: str | None = None
    differences: tuple[Difference, ...] = ()
    try:
        recomputed = recompute(run, read_study(folder), manifest, out, **given, **told)
        differences = compare(
            run,
            recomputed,
            [one for one in ended if one.cell == run.cell],
            elsewhere=not same_machine(environments, present),
            other_code=not same_code(environments, present),
        )
    except (NotRecomputable, DamagedRecord) as error:
        reason = str(error)
    return Checked(
        run=run,
        differences=differences,
        reason=reason,
        recorded_environments=tuple(environments),
        changes=changes(environments[-1], present) if environments else (),
        same_bits_expected=same_bits_expected(environments, present),
        seconds=time.perf_counter() - started,
    )


def _manifest(folder: Path) -> Mapping[str, Any]:
    """What a folder's manifest says; nothing where it is damaged, which is told with the rest of the damage."""
    path = folder / "manifest.json"
    try:
        document: Mapping[str, Any] = read_json(path) if path.is_file() else {}
    except DamagedRecord:
        return {}
    return document
