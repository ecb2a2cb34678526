"""Units over processes of this machine, one torch thread each.

Small models gain nothing from threads inside a run, and on a busy machine lose a hundredfold to them; so the
tool runs one thread per process and `jobs` processes. With one job everything runs in the calling process.
"""

from __future__ import annotations

import multiprocessing
import os
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerContext, SpawnContext
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from losscope.study import Cell
from losscope.sweep.lost import lost
from losscope.sweep.plan import Unit
from losscope.table import RunRecord
from losscope.tasks import without_script
from losscope.training.run import Place, Progress, run_cell


class InProcess:
    """Runs units one after the other in the calling process: for one job, and for a user's own losses and models."""

    def __init__(self, place: Place, progress: Progress) -> None:
        self.place, self.progress = place, progress
        self.units: list[Unit] = []

    def submit(self, unit: Unit) -> None:
        self.units.append(unit)

    def finished(self) -> Iterator[tuple[Unit, list[RunRecord]]]:
        import torch

        threads = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            while self.units:
                unit = self.units.pop(0)
                yield unit, run_cell(unit.cell, unit.folder, self.place, self.progress)
        finally:
            torch.set_num_threads(threads)


class Processes:
    """At most `jobs` processes at a time, each for one unit. A process that dies leaves its unit for the next time."""

    def __init__(self, place: Place, progress: Progress, jobs: int) -> None:
        self.place, self.progress, self.jobs = place, progress, jobs
        self.units: list[Unit] = []
        os.environ.setdefault("OMP_NUM_THREADS", "1")  # read when the children load torch
        self.context: ForkServerContext | SpawnContext = multiprocessing.get_context("spawn")
        if "forkserver" in multiprocessing.get_all_start_methods():  # pays for importing torch once
            self.context = multiprocessing.get_context("forkserver")
            self.context.set_forkserver_preload(["losscope.training.run"])

    def submit(self, unit: Unit) -> None:
        self.units.append(unit)

    def finished(self) -> Iterator[tuple[Unit, list[RunRecord]]]:
        running: dict[Connection, tuple[Unit, BaseProcess]] = {}
        process: BaseProcess
        try:
            while self.units or running:
                while self.units and len(running) < self.jobs:
                    unit = self.units.pop(0)
                    ours, theirs = self.context.Pipe(duplex=False)
                    process = self.context.Process(
                        target=_work, args=(unit.cell, unit.folder, self.place, theirs), daemon=True
                    )
                    with without_script():
                        process.start()
                    theirs.close()
                    running[ours] = unit, process
                for ready in wait(list(running)):
                    ready = cast(Connection, ready)
                    unit, process = running[ready]
                    try:
                        message = ready.recv()
                    except EOFError:  # ended without a word
                        process.join()
                        del running[ready]
                        yield unit, lost(unit, f"the process ended with exit code {process.exitcode}")
                        continue
                    if isinstance(message, list | str):
                        process.join()
                        del running[ready]
                        yield unit, lost(unit, message) if isinstance(message, str) else message
                    else:
                        self.progress(*message)
        finally:
            for _, process in running.values():
                process.terminate()
            for _, process in running.values():
                process.join()


def _work(cell: Cell, folder: Path, place: Place, connection: Connection) -> None:
    import signal

    import torch

    def tell(*message: Any) -> None:
        try:
            connection.send(message)
        except BrokenPipeError:  # the driver is gone: its successor goes on from the checkpoint
            os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    torch.set_num_threads(1)
    found: list[RunRecord] | str
    try:
        found = run_cell(cell, folder, place, tell)
    except Exception:  # one group's trouble stays with it
        found = traceback.format_exc()
    connection.send(found)
