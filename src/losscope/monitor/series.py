"""What the steps of a run say, in order: a line for each, means of an epoch, and the first that is not finite."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from losscope.monitor.buffer import Step, alike
from losscope.monitor.measuring import Item, costly, scalars
from losscope.training.records import Row

DECAY = 0.98
"""Of the running intra-class variance, per measured step: it looks back about fifty of them."""

Line = dict[str, Any]
"""`{"epoch": e, "step": s, "<diagnostic>": [value]}`"""


class Series:
    """Turns waiting steps into lines; the only place of a monitor that reads values of steps from a device."""

    def __init__(self) -> None:
        self.diverged_at: int | None = None
        self._sums: dict[tuple[str, int | None], tuple[float, int]] = {}
        self._running: float | None = None

    def lines(
        self, epoch: int, steps: Sequence[Step], losses: Sequence[tuple[int, Tensor]], judged: Sequence[str]
    ) -> list[Line]:
        """The lines of steps of one epoch, in order; a value among `judged` that is not finite is a divergence."""
        found = [*self._of_losses(epoch, losses), *self._of_steps(epoch, steps)]
        found.sort(key=_step)
        if self.diverged_at is None:
            wrong = (
                line["step"]
                for line in found
                if any(name in line and not math.isfinite(line[name][0]) for name in judged)
            )
            self.diverged_at = next(wrong, None)
        return found

    def means(self, epoch: int) -> list[Row]:
        """Rows of the epoch that ends: each the mean over the steps that measured it. The next one starts."""
        rows: list[Row] = [(0, None, epoch, *place, total / n) for place, (total, n) in self._sums.items()]
        self._sums = {}
        return rows

    @property
    def has_means(self) -> bool:
        """Whether steps were measured since the last epoch's end."""
        return bool(self._sums)

    def state_dict(self) -> dict[str, Any]:
        """Plain numbers."""
        return {
            "sums": [[*place, *sums] for place, sums in self._sums.items()],
            "running": self._running,
            "diverged_at": self.diverged_at,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on where `state` was taken."""
        self._sums = {(name, item): (total, n) for name, item, total, n in state["sums"]}
        self._running, self.diverged_at = state["running"], state["diverged_at"]

    def _of_losses(self, epoch: int, losses: Sequence[tuple[int, Tensor]]) -> list[Line]:
        if not losses:
            return []
        values = _read([loss for _, loss in losses])
        finite = [value for value in values if math.isfinite(value)]
        if finite:
            total, count = self._sums.get(("loss", None), (0.0, 0))
            self._sums["loss", None] = total + sum(finite), count + len(finite)
        return [
            {"epoch": epoch, "step": step, "loss": [value]} for (step, _), value in zip(losses, values, strict=True)
        ]

    def _of_steps(self, epoch: int, steps: Sequence[Step]) -> list[Line]:
        measured: dict[int, dict[str, float]] = {}
        for group in alike(steps):
            found, scheduled = scalars(group), {name for step in group for name in step.scalars}
            columns = torch.stack(list(found.values())).T.tolist() if found else [[] for _ in group]
            for step, column in zip(group, columns, strict=True):
                measured[step.step] = {
                    name: value
                    for name, value in zip(found, column, strict=True)
                    if name not in scheduled or name in step.scalars
                }
        return [self._of_step(epoch, step, measured[step.step]) for step in steps]

    def _of_step(self, epoch: int, step: Step, values: dict[str, float]) -> Line:
        items: list[Item] = []
        if step.full:
            more, items = costly(step)
            values |= more
        unbiased = values.pop("intra_class_variance_batch_unbiased", math.nan)
        if math.isfinite(unbiased):
            before = unbiased if self._running is None else self._running
            self._running = DECAY * before + (1 - DECAY) * unbiased
            values["intra_class_variance_running"] = self._running
        scalar = ((name, None, value) for name, value in values.items())
        for name, item, value in (*scalar, *((one.diagnostic, one.item, one.value) for one in items)):
            if math.isfinite(value):
                total, count = self._sums.get((name, item), (0.0, 0))
                self._sums[name, item] = total + value, count + 1
        return {"epoch": epoch, "step": step.step, **{name: [value] for name, value in values.items()}}


def _step(line: Line) -> int:
    step: int = line["step"]
    return step


def _read(losses: Sequence[Tensor]) -> list[float]:
    """Values of scalars, which wait for a device once where all are of one kind."""
    if len({(loss.dtype, loss.device) for loss in losses}) > 1:
        return [loss.item() for loss in losses]
    found: list[float] = torch.stack([*losses]).tolist()
    return found
