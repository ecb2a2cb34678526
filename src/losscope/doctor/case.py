"""All that the checks look at: the objects of a training set-up, and what a few batches did in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import isclose
from typing import Any

import torch
from torch import Tensor, nn

from losscope.doctor.calls import Call, parameters_of
from losscope.doctor.traits import Traits


@dataclass(frozen=True)
class Observed:
    """What one batch did. Tensors have no graph."""

    call: Call | None = None
    inputs: tuple[Any, ...] = ()  # of the parts, where they are known
    loss: Tensor | None = None  # as the criterion returned it
    gradient: Tensor | None = None  # (rows, dim) of the loss by the embeddings; None where there is none
    gradients: Mapping[str, float | None] = field(default_factory=dict)  # parameter -> norm; None where none came
    wrong_module: str | None = None  # the first whose output is not finite
    mined: tuple[int, int] | None = None  # tuples that a miner left: positive and negative ones, or triplets twice
    failure: str | None = None  # what the model or the criterion raised

    @property
    def value(self) -> float:
        """The loss as a number; NaN where there is no scalar."""
        return float(self.loss) if self.loss is not None and self.loss.numel() == 1 else float("nan")

    @property
    def is_finite(self) -> bool:
        """Whether the loss is a finite scalar."""
        return bool(torch.tensor(self.value).isfinite())


@dataclass(frozen=True)
class Trial:
    """The criterion alone, called with something else than the batch."""

    value: float
    gradient: Tensor | None  # (rows, dim)


@dataclass(frozen=True)
class Trials:
    """What the criterion gives on changed embeddings or labels of one batch; None where it can't be tried."""

    call: Call
    plain: Trial
    shuffled: tuple[Trial, ...]
    doubled: Trial | None  # embeddings of twice the length
    collapsed: Trial | None
    gathered: Trial | None  # nearly collapsed
    apart: Trial | None
    twinned: Trial | None
    half: Trial | None  # in float16
    whole: Trial | None  # the same rows in float32

    @property
    def normalizes(self) -> bool | None:
        """Whether the criterion brings embeddings to unit length itself; None if that can't be told."""
        if self.doubled is None:
            return None
        return abs(self.doubled.value - self.plain.value) <= 1e-4 * max(1e-3, abs(self.plain.value))

    @property
    def is_label_blind(self) -> bool:
        """Whether the loss is the same for every choice of who belongs together that was tried."""
        return bool(self.shuffled) and all(
            isclose(one.value, self.plain.value, rel_tol=1e-6, abs_tol=1e-9) for one in self.shuffled
        )

    @property
    def on_the_sphere(self) -> bool:
        """Whether all that the criterion compares has unit length."""
        if self.normalizes:
            return True
        lengths = torch.linalg.vector_norm(self.call.rows, dim=-1)
        return bool(((lengths - 1).abs() < 1e-2).all())


@dataclass(frozen=True)
class Case:
    """A training set-up."""

    model: nn.Module
    criterion: Callable[..., Any]
    optimizer: torch.optim.Optimizer
    traits: Traits
    observed: tuple[Observed, ...]
    trials: Trials | None
    miner: Any = None
    accumulation: int = 1
    half: bool = False

    @property
    def calls(self) -> list[Call]:
        """Those batches that reached the criterion."""
        return [one.call for one in self.observed if one.call is not None]

    @property
    def labeled(self) -> list[Call]:
        """Batches with labels or views."""
        return [call for call in self.calls if call.kind == "labeled"]

    @property
    def class_vectors(self) -> int | None:
        """For how many classes the criterion has vectors; None where it has none, or that can't be told."""
        if not self.traits.class_vectors or not self.labeled:
            return None
        dim = self.labeled[0].parts[0].shape[-1]
        held = getattr(self.criterion, "proxies", None)
        shapes = [one.shape for one in ([held] if isinstance(held, Tensor) else parameters_of(self.criterion).values())]
        sizes = [[*shape] for shape in shapes if len(shape) == 2 and dim in shape]
        if getattr(self.criterion, "num_classes", None):
            return int(self.criterion.num_classes)  # type: ignore[attr-defined]
        return sum(sizes[0]) - dim if len(sizes) == 1 else None

    @property
    def finite(self) -> list[Observed]:
        """Batches with a finite loss."""
        return [one for one in self.observed if one.is_finite]


def share(count: int, total: int, what: str = "batches") -> str:
    """A count with its share.

    >>> share(3, 4)
    '3 of 4 batches (75 %)'
    """
    return f"{count} of {total} {what} ({100 * count / total:.0f} %)"
