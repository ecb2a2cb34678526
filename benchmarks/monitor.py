"""CPU seconds that the monitor adds to an ordinary training step, at its default schedule.

    OMP_NUM_THREADS=1 python -m benchmarks.monitor --out monitor.json

One thread, one process. A turn is 250 steps of a plain loop and of watched ones, in slices of 50 that alternate, each after
5 steps off the clock, since the loop before has left its own data in the caches. A turn has one step in full on average,
and all that it costs to measure and write. The first turn warms up, and has the first steps, which are all measured. The plain loop takes part twice: the ratio of the two says how well a ratio can be known here.

mlp          128-64-32, batches of 64 in 10 classes, contrastive loss over all pairs, Adam
convnet      that of paper A's study of MNIST (`paper_a_mnist`), batches of 64 in 10 classes, the same loss and optimizer
tapped       `Monitor(criterion, out=...)`
norms        the same with `optimizer=...`, which measures the gradient norm of the parameters too
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from pytorch_metric_learning import losses as pml
from torch import Tensor, nn
from torch.nn import functional as F

import losscope
from benchmarks.rows import Row, cpu_seconds, divided, finish, row
from losscope.monitor import Monitor
from losscope.study import Model
from losscope.training.models import encoder

BATCH, CLASSES, STEPS, SLICE, BEFORE = 64, 10, 250, 50, 5
UNIT = "CPU ms for a step"
CRITERIA: dict[str, Callable[[], nn.Module]] = {
    "contrastive": lambda: losscope.Criterion("contrastive"),
    "contrastive of pml": lambda: pml.ContrastiveLoss(pos_margin=0, neg_margin=1),
}


class Convnet(nn.Module):
    """The encoder of the study as a module: a stack of one run."""

    def __init__(self) -> None:
        super().__init__()
        self.stack = encoder(Model(name="convnet", widths=(128, 64)), (1, 28, 28))
        self.parameters_of_run = nn.Parameter(self.stack.initial([0]))

    def forward(self, images: Tensor) -> Tensor:
        return self.stack.outputs(self.parameters_of_run, images.unsqueeze(0)).squeeze(0)


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], float]] = {
    "mlp": (lambda: nn.Sequential(nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 32)), (128,), 1.10),
    "convnet": (Convnet, (1, 28, 28), 1.03),
}
"""The model, the shape of its input and the most that a watched step may take of a plain one."""


class Loop:
    """An ordinary loop on random samples."""

    def __init__(
        self, model: Callable[[], nn.Module], shape: tuple[int, ...], criterion: Callable[[], nn.Module]
    ) -> None:
        torch.manual_seed(0)
        self.model, self.criterion = model(), criterion()
        self.optimizer = torch.optim.Adam(self.model.parameters(), lr=1e-3, weight_decay=1e-5)
        self.inputs, self.labels = torch.randn(40 * BATCH, *shape), torch.randint(0, CLASSES, (40 * BATCH,))

    def batches(self, count: int) -> Iterator[tuple[Tensor, Tensor]]:
        """As many batches."""
        for _ in range(count):
            chosen = torch.randint(0, len(self.labels), (BATCH,))
            yield self.inputs[chosen], self.labels[chosen]

    def train(self, count: int) -> None:
        """As many steps."""
        for inputs, labels in self.batches(count):
            self.optimizer.zero_grad()
            loss = self.criterion(F.normalize(self.model(inputs), dim=-1), labels)
            loss.backward()
            self.optimizer.step()


def measure(name: str, criterion: str, turns: int, out: Path) -> list[Row]:
    """Milliseconds of a step of all contenders, and the ratios within each turn."""
    model, shape, bar = MODELS[name]
    loops = {who: Loop(model, shape, CRITERIA[criterion]) for who in ("plain", "plain_again", "tapped", "norms")}
    monitors = [
        Monitor(loops["tapped"].criterion, out=out / "tapped", strict=True),
        Monitor(loops["norms"].criterion, out=out / "norms", optimizer=loops["norms"].optimizer, strict=True),
    ]
    values: dict[str, list[float]] = {who: [] for who in loops}
    order = list(loops)
    for turn in range(turns + 1):
        seconds = dict.fromkeys(order, 0.0)
        for part in range(STEPS // SLICE):
            first = (turn + part) % len(order)
            for who in order[first:] + order[:first]:
                loops[who].train(BEFORE)
                seconds[who] += cpu_seconds(loops[who].train, SLICE)
        for who in order if turn else ():
            values[who].append(1e3 * seconds[who] / STEPS)
    for monitor in monitors:
        monitor.close()
    task = f"{name}, {criterion}"
    ratios = [
        row(task, f"{who} / plain", "ratio", divided(values[who], values["plain"]), **({"bar": bar} if "again" not in who else {}))
        for who in order[1:]
    ]  # fmt: skip
    return [*(row(task, who, UNIT, part) for who, part in values.items()), *ratios]


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.monitor", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--out", type=Path, default=Path("benchmarks/monitor.json"), help="where the rows go")
    parser.add_argument(
        "--turns", type=int, default=30, help="turns of 250 steps of the mlp; a fifth of them of the convnet"
    )
    parser.add_argument("--models", nargs="+", choices=list(MODELS), default=list(MODELS), help="which to train")
    parser.add_argument("--criteria", nargs="+", choices=list(CRITERIA), default=list(CRITERIA), help="by which")
    given = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in given.models:
        turns = given.turns if name == "mlp" else max(given.turns // 5, 2)
        for criterion in given.criteria:
            with tempfile.TemporaryDirectory() as out:
                rows += measure(name, criterion, turns, Path(out))
    finish(given.out, {"threads": 1, "batch": BATCH, "classes": CLASSES, "steps_of_a_turn": STEPS}, rows)


if __name__ == "__main__":
    main()
