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
import json
import platform
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import losscope
from benchmarks.baselines import MARGIN, PmlLoop, ResidentLoop, Task
from losscope.losses import LOSSES
from losscope.study import Cell, Study, parse
from losscope.sweep.plan import resolve
from losscope.training.loop import Stack
from losscope.training.run import Place, build_stack, load_datasets

LOSS_NAMES = ("contrastive", "triplet")
EPOCHS, BATCH, LR, WEIGHT_DECAY = 50, 64, 1e-3, 1e-5
UNIT = "CPU s for a run of 50 epochs"

Row = dict[str, Any]


def study(loss: str, runs: int) -> Study:
    """All terms of a batch; outliers are a class of their own because the ordinary loops know none."""
    return parse(
        {
            "name": f"benchmark_{loss}",
            "seeds": runs,
            "data": [{"name": "synthetic"}],
            "protocol": [
                {
                    "name": "all_in_batch",
                    "model": {"name": "mlp", "widths": [64, 32]},
                    "optimizer": {"name": "adam", "lr": LR, "weight_decay": WEIGHT_DECAY},
                    "epochs": EPOCHS,
                    "batch": {"sampling": "all_in_batch", "samples": BATCH, "outliers": "class"},
                }
            ],
            "loss": [{"name": loss, "margin": MARGIN}],
        }
    )


def cell_of(loss: str, runs: int) -> Cell:
    (cell,) = study(loss, runs).cells()
    return Cell(cell.data, cell.protocol, resolve(cell.loss, LOSSES[loss]), cell.seeds)


def task_of(stack: Stack) -> Task:
    """The first run of a stack, for a loop that trains one run."""
    inputs = stack.inputs.values if stack.inputs.shared else stack.inputs.values[0]
    weights = [layer[0].detach().clone() for layer in stack.encoder.layers(stack.parameters)]
    return Task(inputs, torch.from_numpy(stack.sampler.labels[0]), weights, BATCH, LR, WEIGHT_DECAY)


def check_same(stack: Stack, loss: str) -> None:
    """All contenders see the same numbers in the same step. Raises AssertionError where they differ by more than 1e-5."""
    task = task_of(stack)
    resident, pml = ResidentLoop(task, loss), PmlLoop(task, loss)
    for step in list(stack.sampler.epoch(1))[:3]:
        rows = step.rows[0]
        seen = {name: value[0].item() for name, value in stack.train_step(step).items()}
        seen["active_ratio"] = seen["active"] / seen["terms"]
        if "terms_positive" in seen:
            seen["active_ratio_positive"] = seen["active_positive"] / seen["terms_positive"]
        of_resident = {name: value.item() for name, value in resident.train_step(rows).items()}
        of_pml = pml.train_step(task.inputs[rows], task.labels[rows])
        for name in of_pml.keys() & seen.keys():
            values = torch.tensor([seen[name], of_resident[name], of_pml[name]])
            torch.testing.assert_close(
                values, values[:1].expand(3), rtol=1e-5, atol=1e-5, msg=f"{loss}: {name} {values}"
            )


def cpu_seconds(work: Callable[..., object], *given: object) -> float:
    """CPU seconds of one call."""
    start = time.process_time()
    work(*given)
    return time.process_time() - start


def measure_steps(loss: str, runs: int, epochs: int, repetitions: int) -> list[Row]:
    """Seconds of all contenders but the whole path, and their ratios within each repetition."""
    cell = cell_of(loss, runs)
    datasets = load_datasets(cell, Place())
    one = Cell(cell.data, cell.protocol, cell.loss, cell.seeds[:1])
    check_same(build_stack(cell, datasets, Place()), loss)
    stacks = {
        "losscope": build_stack(cell, datasets, Place()),
        "losscope_unobserved": build_stack(cell, datasets, Place(), observe=False),
        "losscope_alone": build_stack(one, datasets[:1], Place()),
    }
    task = task_of(stacks["losscope_alone"])
    loops = {"pml_loop": PmlLoop(task, loss), "resident_loop": ResidentLoop(task, loss)}
    seconds: dict[str, list[float]] = {name: [] for name in (*stacks, *loops)}
    for repetition in range(repetitions + 1):
        spent = dict.fromkeys(seconds, 0.0)
        for number in range(1 + repetition * epochs, 1 + (repetition + 1) * epochs):
            for name, stack in stacks.items():
                spent[name] += cpu_seconds(stack.train_epoch, number) / len(stack.parameters)
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
    cell = cell_of(loss, 1)
    task = task_of(build_stack(cell, load_datasets(cell, Place()), Place()))
    whole, training = [], []
    for _ in range(repetitions):
        loop = PmlLoop(task, loss)
        training.append(sum(cpu_seconds(loop.train_epoch) for _ in range(epochs)) * EPOCHS / epochs)
        with tempfile.TemporaryDirectory() as folder:
            whole.append(cpu_seconds(partial(losscope.run, jobs=1), study(loss, runs), folder) / runs)
    return [
        row(loss, "whole_path", UNIT, whole),
        row(loss, "pml_loop / whole_path", "ratio", divided(training, whole)),
    ]


def divided(above: Iterable[float], below: Iterable[float]) -> list[float]:
    return [a / b for a, b in zip(above, below, strict=True)]


def row(loss: str, name: str, unit: str, values: list[float]) -> Row:
    return {
        "loss": loss,
        "name": name,
        "unit": unit,
        "n": len(values),
        "median": statistics.median(values),
        "min": min(values),
        "max": max(values),
        "values": values,
    }


def machine() -> dict[str, Any]:
    """The processor and the versions that the rows were measured with."""
    info = Path("/proc/cpuinfo")
    models = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.is_file()
        else []
    )
    return {
        "processor": models[0] if models else platform.processor() or platform.machine(),
        "cores": len(models) or None,
        "vector_instructions": torch.backends.cpu.get_cpu_capability(),
        "platform": platform.platform(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("losscope", "torch", "pytorch-metric-learning", "numpy")},
    }


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
    given.out.write_text(json.dumps({"machine": machine(), "settings": settings, "rows": rows}, indent=1) + "\n")
    for line in rows:
        print(
            f"{line['loss']:12} {line['name']:26} {line['median']:8.3f}  ({line['min']:.3f} to {line['max']:.3f}, "
            f"n = {line['n']})  {line['unit']}"
        )


if __name__ == "__main__":
    main()
