"""Where units run: local processes, Ray, or Slurm, behind two methods, chosen by name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol, get_args

from losscope.errors import InvalidInput
from losscope.sweep.plan import Unit
from losscope.table import RunRecord
from losscope.training.run import Place, Progress

On = Literal["local", "ray", "slurm"]


class Executor(Protocol):
    """Where units run: hand them in, take their records as they end."""

    def submit(self, unit: Unit) -> None: ...

    def finished(self) -> Iterator[tuple[Unit, list[RunRecord]]]: ...


@dataclass(frozen=True)
class Engine:
    """What is to run units, and what each may take. Raises InvalidInput for what goes with another engine only."""

    on: On = "local"
    jobs: int | None = None  # units at a time
    ray_address: str | None = None
    cpus_per_cell: float | None = None
    gpus_per_cell: float | None = None
    slurm: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.on not in get_args(On):
            raise InvalidInput(f"on = {self.on!r}; expected one of {', '.join(get_args(On))}")
        for name, needed, given in (
            ("a Ray address", "ray", self.ray_address),
            ("parameters of Slurm", "slurm", self.slurm),
        ):
            if given and self.on != needed:
                raise InvalidInput(
                    f"{name} goes with on = '{needed}', and this runs on '{self.on}'; leave one of them out"
                )
        if self.on == "local" and (self.cpus_per_cell is not None or self.gpus_per_cell is not None):
            raise InvalidInput(
                "CPUs and GPUs for each cell are for on = 'ray' and 'slurm'; local processes take one thread each, "
                "as many as --jobs says"
            )
        if self.ray_address and self.jobs is not None:
            raise InvalidInput(
                "how many cells run at a time on a cluster of Ray follows from its CPUs and --cpus-per-cell; "
                "leave --jobs out"
            )
        if (self.cpus_per_cell is not None and self.cpus_per_cell <= 0) or (self.gpus_per_cell or 0) < 0:
            raise InvalidInput(
                f"cells were given {self.cpus_per_cell} CPUs and {self.gpus_per_cell} GPUs; expected more than 0 CPUs, "
                "and 0 GPUs or more"
            )

    @property
    def remote(self) -> bool:
        """Whether units run away from this process and its children."""
        return self.on != "local"

    def executor(self, place: Place, progress: Progress, *, folder: Path, units: int, cores: int) -> Executor:
        """The executor for so many `units` of the study in `folder`, driven from a machine with so many `cores`."""
        cpus = 1.0 if self.cpus_per_cell is None else self.cpus_per_cell
        gpus = float(place.device.startswith("cuda")) if self.gpus_per_cell is None else self.gpus_per_cell
        jobs = min(self.jobs or max(int(cores / cpus), 1), max(units, 1))
        if self.on == "ray":
            from losscope.sweep.ray import RayWorkers

            return RayWorkers(place, progress, address=self.ray_address, jobs=jobs, cpus=cpus, gpus=gpus)
        if self.on == "slurm":
            from losscope.sweep.slurm import SlurmJobs

            return SlurmJobs(
                place, progress, folder=folder / "slurm", settings=self.slurm, jobs=self.jobs, cpus=cpus, gpus=gpus
            )
        from losscope.sweep.local import InProcess, Processes

        alone = jobs == 1 or place.extensions.losses or place.extensions.models
        return InProcess(place, progress) if alone else Processes(place, progress, jobs)
