"""What a study would train and how long it would take: cells, runs, and one measured step of each."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from losscope.data.dataset import Dataset
from losscope.study import Cell, Study
from losscope.sweep.measuring import measuring_seconds
from losscope.sweep.plan import Unit, plan
from losscope.table import INPUTS
from losscope.training.run import Place, Progress, build_stack, load_datasets


@dataclass(frozen=True)
class UnitEstimate:
    """One group of runs."""

    dataset: str
    protocol: str
    loss: str
    variant: str
    runs: int
    epochs: int
    steps: int  # in all epochs
    cpu_seconds: float


@dataclass(frozen=True)
class Estimate:
    """A dry run's answer."""

    rows: tuple[UnitEstimate, ...]
    finished: int  # runs that are there already
    jobs: int

    @property
    def runs(self) -> int:
        return sum(row.runs for row in self.rows)

    @property
    def wall_seconds(self) -> float:
        """Never less than the longest group: a group runs in one process."""
        seconds = [row.cpu_seconds for row in self.rows]
        return max([sum(seconds) / self.jobs, *seconds], default=0.0)

    def document(self) -> dict[str, Any]:
        return {
            "cells": [asdict(row) for row in self.rows],
            "runs": self.runs,
            "finished": self.finished,
            "jobs": self.jobs,
            "seconds": self.wall_seconds,
        }


def estimate(study: Study, folder: Path, place: Place, jobs: int, loading: Progress | None = None) -> Estimate:
    """Plan a study without writing anything; time one step of each group (after two to warm up), and what is measured."""
    planned = plan(study, folder, place, loading)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    known: dict[str, tuple[int, float]] = {}  # groups of one cell take equally long
    loaded: dict[str, dict[int, Dataset]] = {}
    measuring: dict[str, float] = {}  # of one run; no matter of the loss
    rows = []
    try:
        for unit in planned.units:
            if unit.cell.loss.name == INPUTS:
                continue
            shared = {name: unit.group[name] for name in ("dataset", "protocol", "loss")}
            shared["variant"] = "; ".join(dict.fromkeys(unit.group["variants"]))
            runs = len(unit.cell.seeds)
            if (key := f"{shared} {runs}") not in known:
                known[key] = _measured(unit, _datasets(unit.cell, place, loaded), place, measuring)
            steps, seconds = known[key]
            rows.append(
                UnitEstimate(**shared, runs=runs, epochs=unit.cell.protocol.epochs, steps=steps, cpu_seconds=seconds)
            )
    finally:
        torch.set_num_threads(threads)
    return Estimate(tuple(rows), planned.finished, max(1, min(jobs, len(rows))))


def _datasets(cell: Cell, place: Place, loaded: dict[str, dict[int, Dataset]]) -> list[Dataset]:
    """The data of each seed; what an earlier group has `loaded` is not drawn again, which takes longer than its steps."""
    protocol = cell.protocol
    of_seeds = loaded.setdefault(repr((cell.data, protocol.inputs, protocol.batch.outliers)), {})
    if missing := tuple(seed for seed in dict.fromkeys(cell.seeds) if seed not in of_seeds):
        of_seeds.update(zip(missing, load_datasets(replace(cell, seeds=missing), place), strict=True))
    return [of_seeds[seed] for seed in cell.seeds]


def _measured(unit: Unit, datasets: list[Dataset], place: Place, measuring: dict[str, float]) -> tuple[int, float]:
    """Steps of all epochs, and CPU seconds for training and for measuring."""
    protocol = unit.cell.protocol
    stack = build_stack(unit.cell, datasets, place, unit.choices)
    steps = list(stack.sampler.epoch(1))
    for step in steps[:2]:  # the first calls of a process pay for memory and kernels
        stack.train_step(step)
    started = time.process_time()
    stack.train_step(steps[0])
    seconds = time.process_time() - started
    when = protocol.epochs, protocol.evaluate_at, protocol.evaluate_every
    if (key := repr((unit.cell.data, protocol.model, *when))) not in measuring:
        measuring[key] = measuring_seconds(stack, datasets, protocol, place.device)
    whole = len(steps) * protocol.epochs
    return whole, seconds * whole + measuring[key] * len(unit.cell.seeds)
