"""What a worker of Ray or a job of Slurm runs, and how its driver knows how far it is: by the records."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable
from pathlib import Path

from losscope.errors import InvalidInput
from losscope.study import NUMERICS_VERSION, Cell
from losscope.sweep.plan import Unit
from losscope.table import INPUTS, RunRecord, has_ended
from losscope.training.run import Place, Progress, run_cell

SHARE = 0.02
"""Of the driver's time that it may spend on looking at records: with thousands of groups it looks less often."""


def run_elsewhere(cell: Cell, folder: Path, place: Place, numerics: int) -> list[RunRecord] | str:
    """`run_cell` in one thread, away from its driver, whose version of the `numerics` must be ours. What goes wrong with
    this group alone is returned as a traceback; what would go wrong with all of them is raised."""
    import torch

    if numerics != NUMERICS_VERSION:
        raise InvalidInput(
            f"a worker has another losscope than its driver (numerics {NUMERICS_VERSION} and {numerics}); "
            "install the same version everywhere"
        )
    torch.set_num_threads(1)
    try:
        return run_cell(cell, folder, place, lambda name, done, total: None)
    except InvalidInput:
        raise
    except Exception:
        return traceback.format_exc()


class Followed:
    """Groups that train elsewhere. Calling it reports what is new: a group has a line of `epochs.jsonl` for each epoch,
    beginning with epoch 0."""

    def __init__(self, units: Iterable[Unit], progress: Progress) -> None:
        self.progress = progress
        self._epochs = {unit.folder: unit.cell.protocol.epochs for unit in units if unit.cell.loss.name != INPUTS}
        self._seen = dict.fromkeys(self._epochs, (0, 0))  # bytes and lines of each file
        self._next = 0.0

    def __call__(self) -> None:
        started = time.monotonic()
        if started < self._next:
            return
        for folder in self._seen:
            self._look(folder)
        now = time.monotonic()
        self._next = now + (now - started) / SHARE

    def ended(self, unit: Unit) -> None:
        """Look no more at a group."""
        if self._seen.pop(unit.folder, None) and has_ended(unit.folder):
            epochs = self._epochs[unit.folder]
            self.progress(unit.folder.name, epochs, epochs)

    def _look(self, folder: Path) -> None:
        read, lines = self._seen[folder]
        try:
            with (folder / "epochs.jsonl").open("rb") as file:
                if file.seek(0, 2) < read:  # resumed from a checkpoint: cut
                    read = lines = 0
                file.seek(read)
                new = file.read()
        except OSError:  # not begun, or finished and tidied up
            return
        self._seen[folder] = read + len(new), lines + new.count(b"\n")
        if new:
            epochs = self._epochs[folder]
            self.progress(folder.name, min(self._seen[folder][1] - 1, epochs), epochs)
