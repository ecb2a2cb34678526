"""Steps wait here until there are enough of them: measured together, a step costs a fraction of what it costs alone.

A step is kept as the tensors that the training loop made anyway, without their graph. Nothing is read from a device
before the buffer is emptied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor

STEPS = 64
"""Measured steps that are enough to be measured together."""

LINES = 256
"""Steps, measured or with their loss alone, after which all are written."""

BYTES = 64 * 2**20
"""Memory of waiting steps above which they are measured at once."""


@dataclass(slots=True)
class Step:
    """One observed step: what backward left behind; of most steps the loss alone. Tensors have no graph."""

    step: int  # from 0
    epoch: int  # from 1
    embeddings: Tensor | None = None  # (samples, dim) as the criterion got them
    gradient: Tensor | None = None  # (samples, dim) of the loss, unscaled
    labels: Tensor | None = None  # (samples,) int64
    loss: Tensor | None = None  # ()
    full: bool = False  # measure what is costly too
    scalars: dict[str, Tensor] = field(default_factory=dict)  # diagnostic -> (), measured at the step itself

    @property
    def shape(self) -> tuple[Any, ...]:
        """Steps of one shape are measured together."""
        return tuple(
            (one.shape, one.dtype, one.device) if one is not None else None
            for one in (self.embeddings, self.gradient, self.labels, self.loss)
        )

    @property
    def bytes(self) -> int:
        """Memory that the step holds on to."""
        return sum(one.numel() * one.element_size() for one in (self.embeddings, self.gradient) if one is not None)


class Buffer:
    """Waiting steps, in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._measured, self._bytes = 0, 0

    def add(self, step: Step) -> None:
        """Keep one more step."""
        self.steps.append(step)
        if step.embeddings is not None:
            self._measured += 1
            self._bytes += step.bytes

    @property
    def is_full(self) -> bool:
        """Whether it is time to measure."""
        return self._measured >= STEPS or len(self.steps) >= LINES or self._bytes >= BYTES

    def empty(self) -> list[Step]:
        """The waiting steps, in order; the buffer is empty then."""
        steps, self.steps, self._measured, self._bytes = self.steps, [], 0, 0
        return steps


def alike(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Steps of one shape together, which can be measured at once."""
    shapes: dict[tuple[Any, ...], list[Step]] = {}
    for step in steps:
        shapes.setdefault(step.shape, []).append(step)
    yield from shapes.values()
