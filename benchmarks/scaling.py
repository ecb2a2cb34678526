"""Cells per hour over local processes and over workers of Ray, on one machine.

    OMP_NUM_THREADS=1 python -m benchmarks.scaling --out scaling.json

One study of equal cells, each a group of one run, trained anew into an empty folder by all contenders in turn; the first
turn warms up. Ratios are of wall time within a turn, so the machine should be idle: `busy` says how much of their time the
workers computed (CPU seconds of the cells by wall seconds times workers), which is below 1 where others compute too. All
contenders run one thread for each cell.

jobs 1, jobs 2        `--jobs N`; 1 is this process, 2 are processes of a fork server that has loaded torch
ray 1, ray 2          as many workers of Ray at a time, in a session that is up and whose workers have loaded torch
start-up              seconds until Ray is up, and until two workers have trained a first cell
no-op                 milliseconds for each of many tasks that do nothing
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import losscope
from benchmarks.rows import Row, divided, finish, row
from losscope.integrations.ray import session, tasks
from losscope.study import Study

CELLS, EPOCHS, WORKERS, NO_OPS = 6, 200, 2, 200


def study(cells: int, epochs: int) -> Study:
    """So many groups of one run, all alike."""
    return losscope.parse_study(
        {
            "name": "scaling",
            "seeds": cells,
            "data": [{"name": "synthetic", "classes": 10, "samples_per_class": 40, "dim": 32}],
            "protocol": [{"name": "one", "epochs": epochs, "chunk": 1, "evaluate_every": 10, "batch": {"terms": 64}}],
            "loss": [{"name": "triplet"}],
        }
    )


ENGINES: dict[str, dict[str, object]] = {
    "jobs 1": {"jobs": 1},
    "jobs 2": {"jobs": 2},
    "ray 1": {"on": "ray", "cpus_per_cell": WORKERS},  # fills the session: one at a time
    "ray 2": {"on": "ray", "cpus_per_cell": 1},
}


def trained(cells: int, epochs: int, **engine: object) -> tuple[float, float]:
    """Wall seconds of one study, and the CPU seconds of its cells."""
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        result = losscope.run(study(cells, epochs), Path(folder) / "out", **engine)  # type: ignore[arg-type]
        wall = time.perf_counter() - start
    assert not result.failed
    return wall, sum(record.cpu_seconds for record in result.records)


def nothing(number: int) -> int:
    """A task without work."""
    return number


def started(seconds: Callable[[], float]) -> tuple[float, float]:
    """Seconds until a session is up, and until its workers have trained."""
    before = seconds()
    with session(cpus=WORKERS):
        up = seconds() - before
        trained(WORKERS, 1, on="ray")
        return up, seconds() - before


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.scaling", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/scaling.json"), help="where the rows go")
    parser.add_argument("--turns", type=int, default=3, help="turns of all contenders, after one to warm up")
    parser.add_argument("--cells", type=int, default=CELLS, help="cells of the study")
    parser.add_argument("--epochs", type=int, default=EPOCHS, help="epochs of each")
    given = parser.parse_args()
    load = [os.getloadavg()[0]]
    starts = [started(time.perf_counter) for _ in range(given.turns)]
    walls: dict[str, list[float]] = {name: [] for name in ENGINES}
    busy: dict[str, list[float]] = {name: [] for name in ENGINES}
    no_ops = []
    with session(cpus=WORKERS):
        for turn in range(given.turns + 1):
            order = list(ENGINES)
            for name in order[turn % 4 :] + order[: turn % 4]:
                wall, cpu = trained(given.cells if turn else WORKERS, given.epochs if turn else 1, **ENGINES[name])
                if turn:
                    walls[name].append(wall)
                    busy[name].append(cpu / wall / int(name[-1]))
            before = time.perf_counter()
            assert len(list(tasks(nothing, [(number,) for number in range(NO_OPS)]))) == NO_OPS
            no_ops += [1e3 * (time.perf_counter() - before) / NO_OPS] if turn else []
            load.append(os.getloadavg()[0])
    rows: list[Row] = []
    for name, seconds in walls.items():
        rows.append(row("triplet", name, "cells per hour", [3600 * given.cells / wall for wall in seconds]))
        rows.append(row("triplet", f"{name}: busy", "share", busy[name]))
    for above, below in (("jobs 2", "jobs 1"), ("ray 1", "jobs 1"), ("ray 2", "ray 1"), ("ray 2", "jobs 2")):
        rows.append(
            row("triplet", f"{above} / {below}", "ratio of cells per hour", divided(walls[below], walls[above]))
        )
    over = [(ray - alone) / given.cells for ray, alone in zip(walls["ray 1"], walls["jobs 1"], strict=True)]
    rows += [
        row("triplet", "ray 1 - jobs 1", "s for each cell", over),
        row("-", "start-up", "s until Ray is up", [up for up, _ in starts]),
        row("-", "start-up and a first cell", "s", [whole for _, whole in starts]),
        row("-", "no-op", "ms for each task", no_ops),
    ]
    settings = {"threads": 1, "cells": given.cells, "epochs": given.epochs, "load_average": load}
    finish(given.out, settings, rows)


if __name__ == "__main__":
    main()
