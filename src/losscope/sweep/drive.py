"""`losscope.run`: a study into a folder, resuming what is there."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from losscope.data.folders import data_folder
from losscope.errors import InvalidInput, InvalidStudy
from losscope.files import read_json, remove_unfinished, write_json
from losscope.studies import load
from losscope.study import Study, parse
from losscope.sweep import estimate as timing
from losscope.sweep.estimate import Estimate
from losscope.sweep.executor import Engine, On
from losscope.sweep.lock import LOCK, driving
from losscope.sweep.manifest import add_invocation
from losscope.sweep.plan import Plan, plan
from losscope.table import INPUTS, SCHEMA_VERSION, RunRecord, groups, has_ended, read_measurements, write_group
from losscope.training.records import clean
from losscope.training.run import Extensions, Place, Progress

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class StudyResult:
    """Where a study's record lies, and how its runs ended this time."""

    folder: Path
    records: tuple[RunRecord, ...]  # of this invocation
    finished_before: int  # runs that were there already

    @property
    def failed(self) -> tuple[RunRecord, ...]:
        """The runs that failed this time; the next call tries them again."""
        return tuple(record for record in self.records if record.status == "failed")

    def measurements(self, *, steps: bool = False) -> pa.Table:
        """All rows of the study's table (see `losscope.table`)."""
        return read_measurements(self.folder, steps=steps)

    def _repr_html_(self) -> str:
        """The closing table of the report, for notebooks."""
        from losscope.report import summary_table
        from losscope.summary import summarize

        headers, rows = summary_table(summarize([self.folder], tolerant=True))
        cells = [
            [f"<th>{escape(text)}</th>" for text in headers],
            *([f"<td>{escape(text)}</td>" for text in row] for row in rows),
        ]
        return "<table>" + "".join(f"<tr>{''.join(row)}</tr>" for row in cells) + "</table>"


def run(
    study: Study | str | Path,
    out: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    on: On = "local",
    ray_address: str | None = None,
    cpus_per_cell: float | None = None,
    gpus_per_cell: float | None = None,
    slurm: Mapping[str, Any] | None = None,
    wait: bool = False,
    losses: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    only: Collection[str] | None = None,
    loading: Progress | None = None,
    progress: Callable[[Plan], Progress] | None = None,
) -> StudyResult:
    """Train and measure what `out` does not hold yet of a study (an object, a file, or the name of a shipped one).

    `data` is the data folder (default: the environment variable LOSSCOPE_DATA); `jobs` the number of processes
    (default: the cores this process may use; 1 with the user's own `losses` or `models`); `only` leaves out groups
    without any of these runs (digests). `loading` and `progress` are told how far it is. Interrupt it at any time: the
    next call goes on. Raises InvalidStudy, InvalidInput or MissingData before any training starts.

    `on` says where: processes of this machine, "ray" (started here, or the cluster at `ray_address`) or "slurm" (with
    the parameters `slurm`); other machines must see `out` and the data under the same paths. Each cell takes
    `cpus_per_cell` (1) and `gpus_per_cell` (1 on the device cuda, else 0), and one thread. Only one call at a time drives
    a folder: a second one raises InvalidInput, or with `wait` begins when the first has ended.
    """
    study = study if isinstance(study, Study) else load(study)
    engine = Engine(on, jobs, ray_address, cpus_per_cell, gpus_per_cell, slurm or {})
    place = make_place(data, device, losses, models, remote=engine.remote)
    folder = Path(out)

    awaited: list[str] = []

    def waiting(holder: str) -> None:
        awaited.append(f"waiting for {holder}")
        if loading is not None:
            loading(awaited[-1], 0, 0)

    with driving(folder, wait=wait, waiting=waiting):
        if loading is not None:
            for name in awaited:
                loading(name, 1, 1)  # no more
        planned = plan(study, folder, _planning(place), loading)
        if only is not None:
            planned = replace(planned, units=tuple(unit for unit in planned.units if {*unit.group["runs"]} & {*only}))
        report = progress(planned) if progress else lambda name, done, total: None
        executor = engine.executor(place, report, folder=folder, units=len(planned.units), cores=cores())
        _claim(folder, study)
        for group in filter(has_ended, groups(folder)):
            clean(group)  # where a driver was killed just before
        add_invocation(
            folder,
            seeds=study.seed_list,
            data=planned.data,
            device=_planning(place).device,
            planned=sum(len(unit.cell.seeds) for unit in planned.units),
            finished_before=planned.finished,
        )
        for unit in sorted(planned.units, key=lambda unit: unit.cell.loss.name == INPUTS):  # the long ones first
            write_group(unit.folder, unit.group)
            executor.submit(unit)
        records = [record for _, ended in executor.finished() for record in ended]
        return StudyResult(folder, tuple(records), planned.finished)


def estimate(
    study: Study,
    out: str | Path,
    *,
    data: str | Path | None = None,
    device: str = "cpu",
    jobs: int | None = None,
    on: On = "local",
    ray_address: str | None = None,
    cpus_per_cell: float | None = None,
    gpus_per_cell: float | None = None,
    slurm: Mapping[str, Any] | None = None,
    loading: Progress | None = None,
) -> Estimate:
    """What `run` would train and how long it would take, without writing anything. Raises what `run` would raise, as far
    as that can be told without starting Ray or a job; times are of this machine."""
    engine = Engine(on, jobs, ray_address, cpus_per_cell, gpus_per_cell, slurm or {})
    place = make_place(data, device, remote=engine.remote)
    engine.executor(place, lambda name, done, total: None, folder=Path(out), units=1, cores=cores())
    return timing.estimate(study, Path(out), _planning(place), jobs or cores(), loading)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def make_place(
    data: str | Path | None,
    device: str,
    losses: Mapping[str, Any] | None = None,
    models: Mapping[str, Any] | None = None,
    *,
    remote: bool = False,
) -> Place:
    """Where units run, checked; with `remote` not on this machine, so its folders are told in full."""
    if not remote:
        if problem := _unusable(device):
            raise InvalidInput(
                f"device '{device}' can't be used ({problem}); expected 'cpu', or 'cuda' on a machine with a GPU and a "
                "CUDA build of torch"
            )
        return Place(Path(data) if data else None, device, Extensions(losses or {}, models or {}))
    if losses or models:
        raise InvalidInput(
            f"the losses and models of your own ({', '.join([*(losses or {}), *(models or {})])}) run in this process only: "
            "they are functions of your script, which other machines don't have; leave `on` out, or contribute them "
            "to a package that is installed everywhere"
        )
    if device.split(":")[0] not in ("cpu", "cuda"):
        raise InvalidInput(f"device '{device}' is unknown; expected 'cpu' or 'cuda'")
    found = data_folder(Path(data) if data else None)
    return Place(found.resolve() if found else None, device)


def _planning(place: Place) -> Place:
    """Where data are read to plan with: the same place, or the CPU where only other machines have the device."""
    return replace(place, device="cpu") if _unusable(place.device) else place


def _unusable(device: str) -> str:
    """Why this machine can't use a device; empty if it can."""
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        return str(error).splitlines()[0]
    return ""


def _claim(folder: Path, study: Study) -> None:
    """Make the folder this study's, or refuse: a folder holds one study, whose seeds may grow."""
    path = folder / "study.json"
    document = {"schema": SCHEMA_VERSION, "seeds": study.seed_list, **study.comparable()}
    if path.is_file():
        there = read_json(path)
        ours = study.model_validate(study.model_dump()).comparable()
        theirs = parse({key: value for key, value in there.items() if key != "schema"}, str(path)).comparable()
        differing = sorted(key for key in ours if theirs.get(key) != ours[key])
        if differing:
            raise InvalidStudy(
                f"{folder} holds another study: its {', '.join(differing)} differ from '{there.get('name')}'; "
                "choose another --out, or repeat the command that made it"
            )
        document["seeds"] = sorted({*there["seeds"], *study.seed_list})
    elif any(path.name != LOCK and not path.name.startswith(".") for path in folder.iterdir()):  # but what a kill left
        raise InvalidStudy(f"{folder} is not empty and holds no study; choose another --out")
    try:
        remove_unfinished(folder)
        write_json(path, document)
    except OSError as error:
        raise InvalidInput(
            f"can't write to {folder} ({error.strerror}); choose a folder that can be written"
        ) from error
