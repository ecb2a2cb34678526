"""CPU seconds of all seven losses on the synthetic data: ten stacked seeds against the ordinary loop.

    OMP_NUM_THREADS=1 python -m benchmarks.seven --out seven.json

One thread, one process. A run is 50 epochs of 33 steps (2,100 samples, 128 -> 64 -> 32, batches of 64 samples); a
repetition trains a few epochs of every loss with both contenders in turn and scales to 50, the next one goes through
the losses backwards and lets the other contender start. Terms are all those of a batch; for N-pair as many blocks of
one pair per class as fit in it without using a sample twice, while the library takes the first block alone. Before
any timing both contenders must return the same loss and diagnostics for the same batch and weights (for N-pair: the
same loss of the first block).

losscope    what `losscope.run` trains a cell with: `train_epoch` of ten seeds, that is planning the batches, the step
            with all diagnostics, and reading them; seconds of one run
pml_loop    pytorch-metric-learning, DataLoader and Adam, one seed, the same diagnostics (benchmarks/baselines.py)
matrix products / measured rate   floating point operations of the step's matrix products over those that the machine
            does in a product of two 1,024 x 1,024 matrices in the same time
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.baselines import PmlLoop
from benchmarks.rows import Row, cpu_seconds, divided, finish, row
from benchmarks.tasks import Task, cell, check_same, study, train_epoch
from losscope.losses import LOSSES
from losscope.study import Cell
from losscope.training.loop import Stack
from losscope.training.run import Place, build_stack, load_datasets

EPOCHS, BATCH = 50, 64
UNIT = "CPU s for a run of 50 epochs"
AIMS = {"all": {"bar": 12.0, "goal": 25.0}, "without info_nce": {"bar": 4.0, "goal": 10.0}}
SIDE = 1024  # of the matrices whose product measures the machine


def cell_of(loss: str, runs: int) -> Cell:
    """Paper A's encoder; all terms of a batch, or as many N-pair blocks as fit in it."""
    blocks = LOSSES[loss].blocks
    batch = {"sampling": "one_tuple", "partners": "batch"} if blocks else {"sampling": "all_in_batch"}
    return cell(study(loss, runs, {"name": "mlp", "widths": [64, 32]}, {**batch, "samples": BATCH}, epochs=EPOCHS))


@dataclass
class Contest:
    """Both contenders for one loss, and the matrix products of one run and epoch."""

    stack: Stack
    loop: PmlLoop
    operations: float

    @classmethod
    def start(cls, loss: str, runs: int) -> Contest:
        trained = cell_of(loss, runs)
        datasets = load_datasets(trained, Place())
        checked = build_stack(trained, datasets, Place())
        task = Task.of(checked, trained, BATCH)
        if LOSSES[loss].blocks:
            check_first_block(checked, task, PmlLoop(task, loss))
        else:
            check_same(checked, task, {"pml": PmlLoop(task, loss)})
        with FlopCounterMode(display=False) as counter:
            checked.train_epoch(1)
        return cls(
            build_stack(trained, datasets, Place()), PmlLoop(task, loss), counter.get_total_flops() / len(datasets)
        )

    def seconds(self, epochs: range, *, loop_first: bool) -> tuple[float, float]:
        """CPU seconds of one run: the stack's and the loop's, which take turns epoch by epoch."""
        ours = theirs = 0.0
        for epoch in epochs:
            if loop_first:
                theirs += cpu_seconds(self.loop.train_epoch)
            ours += cpu_seconds(train_epoch, self.stack, epoch) / len(self.stack.parameters)
            if not loop_first:
                theirs += cpu_seconds(self.loop.train_epoch)
        return ours, theirs


@torch.no_grad()
def check_first_block(stack: Stack, task: Task, loop: PmlLoop) -> None:
    """The library's only N-pair block is the first of ours. Raises AssertionError where their terms differ."""
    step = next(iter(stack.sampler.epoch(1)))
    embeddings, terms, *_ = stack.forward(step)
    first = terms.values[0, 0][terms.valid[0, 0]]
    (of_loop,) = loop.terms(embeddings[0], task.labels[step.rows[0]]).values()
    torch.testing.assert_close(first.sort().values, of_loop.sort().values, rtol=1e-5, atol=1e-5)


def product_rate() -> float:
    """Floating point operations per CPU second of a large matrix product."""
    matrix = torch.rand(SIDE, SIDE)
    return 8 * 2 * SIDE**3 / cpu_seconds(lambda: [matrix @ matrix for _ in range(8)])


def measure(losses: list[str], runs: int, epochs: int, repetitions: int) -> list[Row]:
    """Seconds of both contenders, their ratios within each repetition, and the shares of the machine's rate."""
    contests = {loss: Contest.start(loss, runs) for loss in losses}
    ours: dict[str, list[float]] = {loss: [] for loss in losses}
    theirs: dict[str, list[float]] = {loss: [] for loss in losses}
    rates = []
    for repetition in range(repetitions + 1):
        backwards = repetition % 2 == 1
        numbers = range(1 + repetition * epochs, 1 + (repetition + 1) * epochs)
        rate = product_rate()
        for loss in reversed(losses) if backwards else losses:
            seconds = contests[loss].seconds(numbers, loop_first=backwards)
            if repetition:  # the first warms up
                for kept, spent in zip((ours, theirs), seconds, strict=True):
                    kept[loss].append(spent * EPOCHS / epochs)
        if repetition:
            rates.append(rate)
    rows = []
    for loss in losses:
        work = contests[loss].operations * EPOCHS
        shares = [work / seconds / rate for seconds, rate in zip(ours[loss], rates, strict=True)]
        rows += [
            row(loss, "losscope", UNIT, ours[loss]),
            row(loss, "pml_loop", UNIT, theirs[loss]),
            row(loss, "pml_loop / losscope", "ratio", divided(theirs[loss], ours[loss])),
            row(loss, "matrix products / measured rate", "share", shares),
        ]
    for name, aims in AIMS.items():
        part = [loss for loss in losses if name == "all" or loss != "info_nce"]
        of_ours, of_theirs = (
            [sum(each) for each in zip(*(kept[loss] for loss in part), strict=True)] for kept in (ours, theirs)
        )
        rows += [
            row(name, "losscope", UNIT, of_ours),
            row(name, "pml_loop", UNIT, of_theirs),
            row(name, "pml_loop / losscope", "ratio", divided(of_theirs, of_ours), **aims),
        ]
    return [*rows, row("machine", "matrix products", "GFLOP per CPU s", [rate / 1e9 for rate in rates])]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.seven", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/seven.json"), help="where the rows go")
    parser.add_argument("--losses", nargs="+", choices=list(LOSSES), default=list(LOSSES))
    parser.add_argument("--runs", type=int, default=10, help="seeds in the stack")
    parser.add_argument("--epochs", type=int, default=2, help="epochs of the 50 in a repetition")
    parser.add_argument("--repetitions", type=int, default=9)
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = measure(given.losses, given.runs, given.epochs, given.repetitions)
    settings = {"runs": given.runs, "epochs": given.epochs, "scaled_to_epochs": EPOCHS, "threads": 1}
    finish(given.out, settings, rows)


if __name__ == "__main__":
    main()
