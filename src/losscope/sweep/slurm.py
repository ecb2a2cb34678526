"""Units as jobs of Slurm, through submitit: one job for each unit, on machines that share the study's folder."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from losscope.errors import InvalidInput, LosscopeError, MissingDependency
from losscope.study import NUMERICS_VERSION
from losscope.sweep.elsewhere import Followed, run_elsewhere
from losscope.sweep.lost import lost
from losscope.sweep.plan import Unit
from losscope.table import RunRecord
from losscope.training.run import Place, Progress

SHARED = {
    "name", "timeout_min", "mem_gb", "nodes", "cpus_per_task", "gpus_per_node", "tasks_per_node", "stderr_to_stdout"
}  # fmt: skip
"""Parameters that submitit has for every cluster."""

SECONDS = 1.0
"""Between two looks at the jobs; submitit asks Slurm itself about twice a minute."""


class Resumed:
    """A unit as a job. One that is preempted or runs out of time is queued again by submitit, and goes on."""

    def __call__(self, *arguments: Any) -> list[RunRecord] | str:
        return run_elsewhere(*arguments)

    def checkpoint(self, *arguments: Any) -> Any:
        import submitit

        return submitit.helpers.DelayedSubmission(self, *arguments)


class SlurmJobs:
    """Submits one array of jobs. `settings` are parameters of submitit (`timeout_min`, `mem_gb`) or of sbatch
    (`partition`, `account`, ...); `cluster=local` runs the jobs as processes of this machine."""

    def __init__(
        self,
        place: Place,
        progress: Progress,
        *,
        folder: Path,
        settings: Mapping[str, Any],
        jobs: int | None,
        cpus: float,
        gpus: float,
    ) -> None:
        self.place, self.progress, self.folder = place, progress, folder.resolve()
        if gpus != int(gpus):
            raise InvalidInput(f"gpus_per_cell is {gpus}; Slurm gives whole GPUs (fractions are for Ray)")
        self.parameters = settings, jobs, math.ceil(cpus), int(gpus)
        with TemporaryDirectory() as elsewhere:  # submitit makes its folder at once: what is wrong is told before
            _executor(Path(elsewhere), *self.parameters)
        self.units: list[Unit] = []

    def submit(self, unit: Unit) -> None:
        self.units.append(unit)

    def finished(self) -> Iterator[tuple[Unit, list[RunRecord]]]:
        units, self.units = self.units, []
        if not units:
            return
        follow = Followed(units, self.progress)
        arguments = [(unit.cell, unit.folder.resolve(), self.place, NUMERICS_VERSION) for unit in units]
        jobs = _executor(self.folder, *self.parameters).map_array(Resumed(), *zip(*arguments, strict=True))
        running = dict(zip(jobs, units, strict=True))
        well = True
        try:
            while running:
                for job in [job for job in running if job.done()]:
                    unit = running.pop(job)
                    follow.ended(unit)
                    found = _result(job)
                    well = well and not isinstance(found, str)
                    yield unit, lost(unit, found) if isinstance(found, str) else found
                follow()
                time.sleep(SECONDS if running else 0)
        finally:
            for job in running:  # interrupted
                job.cancel(check=False)
        if well:
            shutil.rmtree(self.folder, ignore_errors=True)


def _executor(folder: Path, settings: Mapping[str, Any], jobs: int | None, cpus: int, gpus: int) -> Any:
    """submitit's, with its parameters; those that it does not know by themselves are sbatch's."""
    try:
        import submitit
    except ImportError:
        raise MissingDependency.of("submitit", "slurm", "running on Slurm") from None
    given = {"cluster": "slurm", **settings}
    cluster = given.pop("cluster")
    try:
        executor = submitit.AutoExecutor(folder, cluster=cluster)
    except (RuntimeError, ValueError) as error:
        raise InvalidInput(
            f"Slurm can't be used here ({error}); run this where sbatch is, or with --slurm cluster=local to try it out"
        ) from None
    known = (*SHARED, "slurm_", "local_")
    named = {key if key.startswith(known) else f"slurm_{key}": value for key, value in given.items()}
    usual: dict[str, Any] = {"name": "losscope", "cpus_per_task": cpus}
    if gpus:
        usual["gpus_per_node"] = gpus
    if jobs is not None:
        usual["slurm_array_parallelism"] = jobs
    try:
        executor.update_parameters(**usual | named)
    except (NameError, ValueError, TypeError, AssertionError) as error:
        raise InvalidInput(f"--slurm: {error}") from None
    return executor


def _result(job: Any) -> list[RunRecord] | str:
    """What a job has returned, or why it has not."""
    try:
        found: list[RunRecord] | str = job.result()
    except LosscopeError:
        raise
    except Exception as error:
        return f"the job {job.job_id} of Slurm failed: {error}"
    return found
