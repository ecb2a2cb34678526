"""What is trained: cells for losscope, and the same task for a loop that trains one run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from losscope.data.dataset import Dataset, Split
from losscope.losses import LOSSES
from losscope.study import Cell, Study, parse
from losscope.sweep.plan import resolve
from losscope.training.loop import Stack
from losscope.training.seen import read

LR, WEIGHT_DECAY = 1e-3, 1e-5


def study(
    loss: str, runs: int, model: Mapping[str, Any], batch: Mapping[str, Any], *, epochs: int = 50, **options: Any
) -> Study:
    """One loss with `runs` seeds; `options` are its hyper-parameters. Outliers are a class of their own because the
    ordinary loops know none."""
    return parse(
        {
            "name": f"benchmark_{loss}",
            "seeds": runs,
            "data": [{"name": "synthetic"}],
            "protocol": [
                {
                    "name": "benchmark",
                    "model": dict(model),
                    "optimizer": {"name": "adam", "lr": LR, "weight_decay": WEIGHT_DECAY},
                    "epochs": epochs,
                    "batch": {"outliers": "class", **batch},
                }
            ],
            "loss": [{"name": loss, **options}],
        }
    )


def cell(of: Study) -> Cell:
    """The only cell of a study, its hyper-parameters filled in."""
    (one,) = of.cells()
    return Cell(one.data, one.protocol, resolve(one.loss, LOSSES[one.loss.name]), one.seeds)


def features(classes: int, per_class: int, dim: int) -> Dataset:
    """Random numbers in place of cached features of a frozen backbone."""
    labels = np.repeat(np.arange(classes), per_class)
    inputs = np.random.default_rng(0).standard_normal((len(labels), dim), dtype=np.float32)
    return Dataset("features", {"train": Split(inputs, labels)}, "all train")


@dataclass(frozen=True)
class Task:
    """What one run trains on, and how."""

    inputs: Tensor  # (samples, dim)
    labels: Tensor  # (samples,) int64, places of classes
    weights: Sequence[Tensor]  # weight and bias of each layer
    class_vectors: Tensor | None  # (classes, dim)
    hyperparameters: Mapping[str, Any]  # of the loss
    batch: int
    lr: float = LR
    weight_decay: float = WEIGHT_DECAY

    @classmethod
    def of(cls, stack: Stack, trained: Cell, batch: int) -> Task:
        """The first run of a stack that was built from a cell."""
        inputs = stack.inputs.values if stack.inputs.shared else stack.inputs.values[0]
        vectors = stack.objective.proxies
        return cls(
            inputs,
            torch.from_numpy(stack.sampler.labels[0]),
            [layer[0].detach().clone() for layer in stack.encoder.layers(stack.parameters)],
            None if vectors is None else vectors[0].detach().clone(),
            dict(trained.loss.hyperparameters),
            batch,
        )

    def network(self) -> nn.Sequential:
        """The encoder of this run before training, without its normalization."""
        layers: list[nn.Module] = []
        for weight, bias in zip(self.weights[::2], self.weights[1::2], strict=True):
            layer = nn.Linear(weight.shape[1], weight.shape[0])
            with torch.no_grad():
                layer.weight.copy_(weight)
                layer.bias.copy_(bias)
            layers += [layer, nn.ReLU()]
        return nn.Sequential(*layers[:-1])


def train_epoch(stack: Stack, epoch: int) -> None:
    """An epoch as `losscope.run` trains it: planning and gathering batches, the steps with all diagnostics, reading
    them, and the diagnostic of the whole epoch."""
    trace = stack.train_epoch(epoch)
    if stack.observe:
        stack.signal_fraction(trace)


class Loop(Protocol):
    """A loop that trains one run."""

    def train_step(self, inputs: Tensor, labels: Tensor) -> Mapping[str, Tensor | float]:
        """One update; the diagnostics of the step."""


def check_same(stack: Stack, task: Task, loops: Mapping[str, Loop]) -> None:
    """All contenders see the same numbers in the same three steps. Raises AssertionError where they differ by more
    than 1e-5. Trains the stack and the loops."""
    for step in list(stack.sampler.epoch(1))[:3]:
        rows = step.rows[0]
        seen = {name: value[0, 0].item() for name, value in read([stack.train_step(step)]).items()}
        seen["active_ratio"] = seen["active"] / seen["terms"]
        if "terms_positive" in seen:
            seen["active_ratio_positive"] = seen["active_positive"] / seen["terms_positive"]
        for contender, loop in loops.items():
            found = loop.train_step(task.inputs[rows], task.labels[rows])
            for name in found.keys() & seen.keys():
                values = torch.tensor([float(found[name]), seen[name]])
                message = f"{contender} and losscope differ in {name} of a step: {values.tolist()}"
                torch.testing.assert_close(values[0], values[1], rtol=1e-5, atol=1e-5, msg=message)
