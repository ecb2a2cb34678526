"""CPU seconds of training on the synthetic data: ten stacked seeds against two ordinary loops.

    OMP_NUM_THREADS=1 python -m benchmarks.training --out training.json

One thread, one process; the contenders take turns epoch by epoch, so a ratio compares what ran next to each other. A
run is 50 epochs of 33 steps (2,100 samples, 128 -> 64 -> 32, batches of 64, all pairs or triplets of the batch); a
repetition trains a few epochs and scales. Before any timing all contenders must return the same loss and the same
diagnostics for the same batch and weights.

losscope            what `losscope.run` trains a cell with: `build_stack` once, then `train_epoch` for each epoch, that
                    is planning the batches, the step of ten seeds with all diagnostics, and reading them
losscope_unobserved the same without step diagnostics
losscope_alone      the same with one seed
pml_loop            pytorch-metric-learning, DataLoader and Adam, one seed, the same diagnostics
resident_loop       tensors in memory, no DataLoader, loss written by hand, fused Adam, one seed, the same diagnostics
whole_path          all of `losscope.run`: drawing the data, training, and beside it what no other contender does:
                    geometry of three splits at each epoch, retrieval and classifiers at the end, files
"""

from __future__ import annotations

import argparse
import tempfile
from functools import partial
from pathlib import Path

import torch

import losscope
from benchmarks.baselines import PmlLoop, ResidentLoop
from benchmarks.rows import Row, cpu_seconds, divided, finish, row
from benchmarks.tasks import Task, cell, check_same, study, train_epoch
from losscope.study import Cell, Study
from losscope.training.run import Place, build_stack, load_datasets

LOSS_NAMES = ("contrastive", "triplet")
EPOCHS, BATCH = 50, 64
UNIT = "CPU s for a run of 50 epochs"


def study_of(loss: str, runs: int) -> Study:
    """Paper A's encoder and all terms of a batch."""
    batch = {"sampling": "all_in_batch", "samples": BATCH}
    return study(loss, runs, {"name": "mlp", "widths": [64, 32]}, batch, epochs=EPOCHS, margin=1.0)


def measure_steps(loss: str, runs: int, epochs: int, repetitions: int) -> list[Row]:
    """Seconds of all contenders but the whole path, and their ratios within each repetition."""
    trained = cell(study_of(loss, runs))
    datasets = load_datasets(trained, Place())
    one = Cell(trained.data, trained.protocol, trained.loss, trained.seeds[:1])
    checked = build_stack(trained, datasets, Place())
    task = Task.of(checked, trained, BATCH)
    check_same(checked, task, {"pml": PmlLoop(task, loss), "resident": ResidentLoop(task, loss)})
    stacks = {
        "losscope": build_stack(trained, datasets, Place()),
        "losscope_unobserved": build_stack(trained, datasets, Place(), observe=False),
        "losscope_alone": build_stack(one, datasets[:1], Place()),
    }
    loops = {"pml_loop": PmlLoop(task, loss), "resident_loop": ResidentLoop(task, loss)}
    seconds: dict[str, list[float]] = {name: [] for name in (*stacks, *loops)}
    for repetition in range(repetitions + 1):
        spent = dict.fromkeys(seconds, 0.0)
        for number in range(1 + repetition * epochs, 1 + (repetition + 1) * epochs):
            for name, stack in stacks.items():
                spent[name] += cpu_seconds(train_epoch, stack, number) / len(stack.parameters)
            for name, loop in loops.items():
                spent[name] += cpu_seconds(loop.train_epoch)
        if repetition:  # the first warms up
            for name, value in spent.items():
                seconds[name].append(value * EPOCHS / epochs)
    ratios = {
        "pml_loop / losscope": divided(seconds["pml_loop"], seconds["losscope"]),
        "resident_loop / losscope": divided(seconds["resident_loop"], seconds["losscope"]),
        "losscope_alone / losscope": divided(seconds["losscope_alone"], seconds["losscope"]),
        "pml_loop / losscope_alone": divided(seconds["pml_loop"], seconds["losscope_alone"]),
    }
    overhead = [ratio - 1 for ratio in divided(seconds["losscope"], seconds["losscope_unobserved"])]
    return [
        *(row(loss, name, UNIT, values) for name, values in seconds.items()),
        *(row(loss, name, "ratio", values) for name, values in ratios.items()),
        row(loss, "diagnostics", "share of the unobserved epoch", overhead),
    ]


def measure_whole_path(loss: str, runs: int, epochs: int, repetitions: int) -> list[Row]:
    """Seconds of `losscope.run` for a study of one loss, beside the ordinary loop's training alone."""
    one = cell(study_of(loss, 1))
    task = Task.of(build_stack(one, load_datasets(one, Place()), Place()), one, BATCH)
    whole, training = [], []
    for _ in range(repetitions):
        loop = PmlLoop(task, loss)
        training.append(sum(cpu_seconds(loop.train_epoch) for _ in range(epochs)) * EPOCHS / epochs)
        with tempfile.TemporaryDirectory() as folder:
            whole.append(cpu_seconds(partial(losscope.run, jobs=1), study_of(loss, runs), folder) / runs)
    return [
        row(loss, "whole_path", UNIT, whole),
        row(loss, "pml_loop / whole_path", "ratio", divided(training, whole)),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.training",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/training.json"), help="where the rows go")
    parser.add_argument("--runs", type=int, default=10, help="seeds in the stack")
    parser.add_argument("--epochs", type=int, default=3, help="epochs of the 50 in a repetition")
    parser.add_argument("--repetitions", type=int, default=9)
    parser.add_argument("--whole", type=int, default=3, help="repetitions of the whole path, each of 50 epochs")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for loss in LOSS_NAMES:
        rows += measure_steps(loss, given.runs, given.epochs, given.repetitions)
        if given.whole:
            rows += measure_whole_path(loss, given.runs, given.epochs, given.whole)
    settings = {"runs": given.runs, "epochs": given.epochs, "threads": 1}
    finish(given.out, settings, rows)


if __name__ == "__main__":
    main()
