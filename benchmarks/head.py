"""CPU milliseconds of a step of a linear head on cached features under SupCon: the stack against the ordinary step.

    OMP_NUM_THREADS=1 python -m benchmarks.head --out head.json

One thread, one process; the contenders take turns epoch by epoch. Batches of 64 samples (16 classes x 4) of 4,000 random
features in place of those of a backbone; heads 1280 -> 128 and 768 -> 512. Before any timing the contenders must return
the same loss and diagnostics for the same batch and weights.

losscope_1, _5, _10   one run, five and ten stacked, `train_epoch`: planning and gathering the batches, the step with all
                      diagnostics, reading them; milliseconds of one run and step
..._unobserved        the same without diagnostics
pml_loop              nn.Linear, pytorch-metric-learning's SupConLoss, Adam, its MPerClassSampler and a DataLoader, the
                      same diagnostics
pml_plain_loop        the same without diagnostics
pml_step, pml_plain   both with batches handed in: neither a sampler, a DataLoader nor a gather counts
floor                 the two matrix products of the layer and a fused Adam, nothing else
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from benchmarks.baselines import PmlLoop
from benchmarks.rows import Row, cpu_seconds, divided, finish, row
from benchmarks.tasks import Task, cell, check_same, features, study, train_epoch
from losscope.study import Cell
from losscope.training.loop import Stack
from losscope.training.run import Place, build_stack

HEADS = ((1280, 128), (768, 512))
CLASSES, PER_CLASS = 16, 4  # of a batch
STACKED = (1, 5, 10)
UNIT = "CPU ms for a step of one run"
BAR = 2.5


def cell_of(dim: int, runs: int) -> Cell:
    """SupCon on a linear head."""
    batch = {"sampling": "all_in_batch", "classes": CLASSES, "per_class": PER_CLASS}
    return cell(study("sup_con", runs, {"name": "linear", "widths": [dim]}, batch))


class Floor:
    """What no step of one run in single precision does without."""

    def __init__(self, before: int, dim: int, steps: int) -> None:
        self.weight, self.steps = torch.rand(dim, before, requires_grad=True), steps
        self.inputs, self.gradient = torch.rand(CLASSES * PER_CLASS, before), torch.rand(CLASSES * PER_CLASS, dim)
        self.optimizer = torch.optim.Adam([self.weight], fused=True)

    @torch.no_grad()
    def train_epoch(self) -> None:
        for _ in range(self.steps):
            self.inputs @ self.weight.t()
            self.weight.grad = self.gradient.t() @ self.inputs
            self.optimizer.step()


def measure(before: int, dim: int, repetitions: int) -> list[Row]:
    """Milliseconds of all contenders for one head, and their ratios within each repetition."""
    dataset = features(classes=100, per_class=40, dim=before)

    def stack(runs: int, *, observe: bool = True) -> Stack:
        return build_stack(cell_of(dim, runs), [dataset] * runs, Place(), observe=observe)

    checked = stack(1)
    task = Task.of(checked, cell_of(dim, 1), CLASSES * PER_CLASS)
    check_same(checked, task, {"pml": PmlLoop(task, "sup_con")})
    stacks = {
        f"losscope_{runs}{'' if observe else '_unobserved'}": stack(runs, observe=observe)
        for runs in STACKED
        for observe in (True, False)
    }
    loops = {
        "pml_loop": PmlLoop(task, "sup_con", per_class=PER_CLASS),
        "pml_plain_loop": PmlLoop(task, "sup_con", per_class=PER_CLASS, observe=False),
    }
    steps = {"pml_step": PmlLoop(task, "sup_con"), "pml_plain": PmlLoop(task, "sup_con", observe=False)}
    floor = Floor(before, dim, len(list(checked.sampler.epoch(1))))
    values: dict[str, list[float]] = {name: [] for name in (*stacks, *loops, *steps, "floor")}
    for epoch in range(1, repetitions + 2):
        rows = [step.rows[0] for step in checked.sampler.epoch(epoch)]
        batches = [(task.inputs[part], task.labels[part]) for part in rows]
        spent = {
            name: cpu_seconds(train_epoch, trained, epoch) / len(trained.parameters) for name, trained in stacks.items()
        }
        spent |= {name: cpu_seconds(loop.train_epoch) for name, loop in loops.items()}
        for name, alone in steps.items():
            spent[name] = sum(cpu_seconds(alone.train_step, *batch) for batch in batches)
        spent["floor"] = cpu_seconds(floor.train_epoch)
        if epoch > 1:  # the first warms up
            for name, seconds in spent.items():
                values[name].append(1e3 * seconds / len(batches))
    head = f"{before} -> {dim}"
    ratios = [
        row(head, f"{theirs} / {ours}", "ratio", divided(values[theirs], values[ours]), bar=BAR)
        for suffix, theirs in (
            ("", "pml_loop"),
            ("", "pml_step"),
            ("_unobserved", "pml_plain_loop"),
            ("_unobserved", "pml_plain"),
        )
        for ours in (f"losscope_{runs}{suffix}" for runs in STACKED)
    ]
    return [*(row(head, name, UNIT, part) for name, part in values.items()), *ratios]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.head", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/head.json"), help="where the rows go")
    parser.add_argument("--repetitions", type=int, default=9, help="epochs of 62 steps")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = [line for before, dim in HEADS for line in measure(before, dim, given.repetitions)]
    finish(given.out, {"threads": 1, "batch": CLASSES * PER_CLASS}, rows)


if __name__ == "__main__":
    main()
