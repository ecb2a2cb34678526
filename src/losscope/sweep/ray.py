"""Units over workers of Ray, on this machine or on a cluster that shares the study's folder."""

from __future__ import annotations

import math
from collections.abc import Iterator

from losscope.integrations.ray import check, session, tasks
from losscope.study import NUMERICS_VERSION
from losscope.sweep.elsewhere import Followed, run_elsewhere
from losscope.sweep.lost import lost
from losscope.sweep.plan import Unit
from losscope.table import RunRecord
from losscope.training.run import Place, Progress

RETRIES = 3
"""How often a group whose worker died is placed again; it goes on from its checkpoint."""


class RayWorkers:
    """Places each unit once, on a worker with its `cpus` and `gpus`. Without an `address` Ray is started for them, with
    `jobs` units at a time, and shut down after them."""

    def __init__(
        self, place: Place, progress: Progress, *, address: str | None, jobs: int, cpus: float, gpus: float
    ) -> None:
        check(address)
        self.place, self.progress = place, progress
        self.address, self.jobs, self.cpus, self.gpus = address, jobs, cpus, gpus
        self.units: list[Unit] = []

    def submit(self, unit: Unit) -> None:
        self.units.append(unit)

    def finished(self) -> Iterator[tuple[Unit, list[RunRecord]]]:
        units, self.units = self.units, []
        if not units:
            return
        follow = Followed(units, self.progress)
        arguments = [(unit.cell, unit.folder.resolve(), self.place, NUMERICS_VERSION) for unit in units]
        with session(self.address, cpus=math.ceil(self.jobs * self.cpus)):
            for index, found in tasks(
                run_elsewhere,
                arguments,
                cpus=self.cpus,
                gpus=self.gpus,
                retries=RETRIES,
                lost=lambda index, reason: reason,
                meanwhile=follow,
            ):
                follow.ended(units[index])
                yield units[index], lost(units[index], found) if isinstance(found, str) else found
