"""Steps wait here until there are enough of them: measured together, a step costs a fraction of what it costs alone.

A step is kept as the tensors that the training loop made anyway, without their graph and without what they are slices
of; of most steps the loss alone, as a number of its own, since loops change losses in place.
Nothing is read from a device before the buffer is emptied.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from time import monotonic
from typing import Any

from torch import Tensor

STEPS = 64
"""Measured steps that are enough to be measured together."""

LINES = 512
"""Steps, measured or with their loss alone, after which all are written."""

SECONDS = 30.0
"""Time after which all are written: where steps are slow, a record and its warnings are not far behind."""

BYTES = 64 * 2**20
"""Memory of waiting steps above which they are measured at once."""


@dataclass(slots=True)
class Step:
    """One measured step: what backward left behind. Tensors have no graph."""

    step: int  # from 0
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
        parts = (self.embeddings, self.gradient, self.labels, self.loss)
        return sum(one.untyped_storage().nbytes() for one in parts if one is not None)


class Buffer:
    """Waiting steps of one epoch, in order: `steps` to be measured, `losses` (step, loss) of all others."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.losses: list[tuple[int, Tensor]] = []
        self._bytes, self._since = 0, monotonic()

    def add(self, step: Step) -> None:
        """Keep one more step to be measured."""
        self.steps.append(step)
        self._bytes += step.bytes

    @property
    def is_full(self) -> bool:
        """Whether it is time to measure."""
        steps = len(self.steps)
        return (
            steps >= STEPS
            or steps + len(self.losses) >= LINES
            or self._bytes >= BYTES
            or monotonic() - self._since > SECONDS
        )

    def empty(self) -> tuple[list[Step], list[tuple[int, Tensor]]]:
        """The waiting steps and losses, each in order; the buffer is empty then."""
        found = self.steps, self.losses
        self.steps, self.losses, self._bytes, self._since = [], [], 0, monotonic()
        return found


def alike(steps: Iterable[Step]) -> Iterator[list[Step]]:
    """Steps of one shape together, which can be measured at once."""
    shapes: dict[tuple[Any, ...], list[Step]] = {}
    for step in steps:
        shapes.setdefault(step.shape, []).append(step)
    yield from shapes.values()
