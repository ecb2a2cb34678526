"""Peak memory of a step with 512 samples for every loss, each in a process of its own.

    OMP_NUM_THREADS=1 python -m benchmarks.memory --out memory.json

Five stacked seeds of a linear head 1280 -> 128, batches of 64 classes x 8 samples, terms as customary and all of the
batch. Measured is the peak of the resident memory over planning two steps, making them with all diagnostics and
reading them, less the resident memory before, when the data and the untrained stack are loaded. The second step is
there for the optimizer's state, which the first one makes.
"""

from __future__ import annotations

import argparse
import itertools
import subprocess
import sys
from pathlib import Path

import torch

from benchmarks.rows import finish, row
from benchmarks.tasks import cell, features, study
from losscope.losses import LOSSES
from losscope.training.run import Place, build_stack
from losscope.training.seen import read

SAMPLINGS = {
    "customary": {"sampling": "customary", "partners": "batch"},
    "all_in_batch": {"sampling": "all_in_batch"},
}
CLASSES, PER_CLASS = 64, 8  # of a batch
STACKED, STEPS = 5, 2
UNIT, BAR = "MB at the peak of a step", 1500.0


def resident(field: str) -> float:
    """MB of this process: `VmRSS` now, `VmHWM` at the peak since `forget_peak`. Linux only."""
    lines = Path("/proc/self/status").read_text().splitlines()
    (kilobytes,) = (line.split()[1] for line in lines if line.startswith(field))
    return int(kilobytes) * 1024 / 1e6


def forget_peak() -> None:
    """Let the kernel count `VmHWM` from here on."""
    Path("/proc/self/clear_refs").write_text("5")


def peak(loss: str, sampling: str) -> float:
    """MB that two steps of one loss need beyond what was loaded before; for a fresh process."""
    torch.set_num_threads(1)
    batch = {**SAMPLINGS[sampling], "classes": CLASSES, "per_class": PER_CLASS}
    trained = cell(study(loss, STACKED, {"name": "linear", "widths": [128]}, batch))
    dataset = features(classes=100, per_class=20, dim=1280)
    stack = build_stack(trained, [dataset] * STACKED, Place())
    before = resident("VmRSS")
    forget_peak()
    read([stack.train_step(step) for step in itertools.islice(stack.sampler.epoch(1), STEPS)])
    return resident("VmHWM") - before


def in_a_process(loss: str, sampling: str) -> float:
    """`peak` in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.memory", "--one", loss, sampling]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.memory", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/memory.json"), help="where the rows go")
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--one", nargs=2, metavar=("LOSS", "SAMPLING"), help="measure in this process and print MB")
    given = parser.parse_args()
    if given.one:
        print(peak(*given.one))
        return
    rows = [
        row(loss, sampling, UNIT, [in_a_process(loss, sampling) for _ in range(given.repetitions)], bar=BAR)
        for loss in LOSSES
        for sampling in SAMPLINGS
    ]
    finish(given.out, {"runs": STACKED, "batch": CLASSES * PER_CLASS, "steps": STEPS, "threads": 1}, rows)


if __name__ == "__main__":
    main()
