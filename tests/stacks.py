"""Small stacks and studies for the tests of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from losscope.losses import LOSSES
from losscope.losses.binding import bind
from losscope.study import Batch, Cell, Data, LossChoice, Model, Optimizer, Protocol
from losscope.training.loop import Stack
from losscope.training.run import Place, build_stack, load_datasets

SYNTHETIC = Data(name="synthetic", classes=4, samples_per_class=12, dim=16, outliers=6, difficulty=0.3)
DIGITS = Data(name="digits", limit=6)

SAMPLINGS: dict[str, dict[str, Any]] = {
    "one_tuple": {"sampling": "one_tuple", "terms": 16},
    "one_tuple in the batch": {"sampling": "one_tuple", "partners": "batch", "samples": 16},
    "one_plus_one": {"sampling": "one_plus_one", "terms": 16},
    "three tuples of an anchor": {"sampling": "one_plus_one", "counts": "anchors", "tuples_per_anchor": 3, "terms": 5},
    "customary": {"sampling": "customary", "partners": "batch", "classes": 3, "per_class": 4},
    "all_in_batch": {"sampling": "all_in_batch", "samples": 18},
    "all_in_batch, P x K": {"sampling": "all_in_batch", "classes": 3, "per_class": 4},
    "balanced": {"sampling": "all_in_batch", "samples": 18, "balance": "sides"},
    "semi_hard": {"sampling": "all_in_batch", "samples": 18, "mining": "semi_hard"},
    "batch_hard": {"sampling": "all_in_batch", "samples": 18, "mining": "batch_hard"},
}

OF_ONE_LOSS = {
    "one_plus_one": {"contrastive", "triplet"},  # for the others the same as "one_tuple"
    "three tuples of an anchor": {"contrastive", "triplet"},
    "balanced": {"contrastive"},
    "semi_hard": {"triplet"},
    "batch_hard": {"triplet"},
}

COMBINATIONS = [
    (loss, sampling) for loss in LOSSES for sampling in SAMPLINGS if loss in OF_ONE_LOSS.get(sampling, LOSSES)
]


def cell(
    seeds: tuple[int, ...],
    loss: str = "contrastive",
    sampling: str = "one_tuple",
    *,
    data: Data = SYNTHETIC,
    model: Model | None = None,
    hyperparameters: dict[str, Any] | None = None,
    batch: dict[str, Any] | None = None,
    **protocol: Any,
) -> Cell:
    """A cell of a small study, with every hyper-parameter filled in."""
    bound = bind(loss, LOSSES[loss], hyperparameters or {})
    given = Protocol(
        name="small",
        model=model or Model(widths=(12, 8)),
        optimizer=protocol.pop("optimizer", Optimizer(lr=1e-2, weight_decay=1e-4)),
        batch=Batch(**SAMPLINGS[sampling] | (batch or {})),
        **{"epochs": 2, **protocol},
    )
    return Cell(data, given, LossChoice(loss, "", tuple(bound.items())), seeds)


def build(
    given: Cell, choices: Sequence[LossChoice] = (), *, observe: bool = True, place: Place | None = None
) -> Stack:
    """The untrained stack of a cell; `choices` are the losses of its runs, where they differ."""
    place = place or Place()
    return build_stack(given, load_datasets(given, place), place, choices, observe=observe)


def train(stack: Stack, epochs: int = 2, start: int = 1) -> list[dict[str, torch.Tensor]]:
    """The traces of some epochs."""
    return [stack.train_epoch(epoch) for epoch in range(start, start + epochs)]


def same(one: torch.Tensor, other: torch.Tensor) -> bool:
    """Bit for bit, a NaN being itself: what a step without gradient has no share of."""
    return one.shape == other.shape and bool(((one == other) | (one.isnan() & other.isnan())).all())
