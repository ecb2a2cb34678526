"""Steps wait here until there are enough of them: measured together, a step costs a fraction of what it costs alone.

A step is kept as the tensors that the training loop made anyway, without their graph. Nothing is read from a device
before the buffer is emptied.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from torch import Tensor

STEPS = 64
"""Steps that are measured together."""

BYTES = 64 * 2**20
"""Memory of waiting steps above which they are measured at once."""


@dataclass
class Step:
    """One observed step: what backward left behind. Tensors have no graph."""

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
            for one in (self.embeddings, self.gradient, self.labels)
        )

    @property
    def bytes(self) -> int:
        """Memory that the step holds on to."""
        return sum(one.numel() * one.element_size() for one in (self.embeddings, self.gradient) if one is not None)


class Buffer:
    """Waiting steps, in order."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._bytes = 0

    def add(self, step: Step) -> None:
        """Keep one more step."""
        self.steps.append(step)
        self._bytes += step.bytes

    @property
    def is_full(self) -> bool:
        """Whether it is time to measure."""
        return len(self.steps) >= STEPS or self._bytes >= BYTES

    def empty(self) -> Iterator[list[Step]]:
        """The waiting steps, neighbors of one shape together; the buffer is empty then."""
        steps, self.steps, self._bytes = self.steps, [], 0
        for _, alike in groupby(steps, key=lambda step: step.shape):
            yield list(alike)
