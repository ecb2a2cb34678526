"""No softmax and no proxy loss makes a tensor larger than samples x samples allows: never pairs x pairs.

Positive pairs x negative pairs of 512 samples in 10 classes are twenty thousand times as many.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from losscope.losses import LOSSES
from losscope.losses.binding import bind
from losscope.losses.reductions import mean_over_valid
from losscope.study import Batch, Optimizer
from losscope.training.batches import Sampler
from losscope.training.objective import Objective

SAMPLES, DIM = 512, 128
SQUARE = SAMPLES * SAMPLES
SPLITS = {"10 classes": np.arange(2048) % 10, "200 classes": np.arange(2048) % 200}
COMPOSITIONS: dict[str, tuple[str, dict[str, int]]] = {
    "10 classes at random": ("10 classes", {}),
    "10 classes, 51 of each": ("10 classes", {"classes": 10, "per_class": 51}),
    "200 classes at random": ("200 classes", {}),
    "64 of 200 classes, 8 of each": ("200 classes", {"classes": 64, "per_class": 8}),
}


class Largest(TorchDispatchMode):
    """Remembers the largest tensor that any operation gives, views aside."""

    def __init__(self) -> None:
        super().__init__()
        self.entries = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        found = func(*args, **(kwargs or {}))
        if not func.is_view:
            self.entries = max([self.entries, *(one.numel() for one in tree_leaves(found) if isinstance(one, Tensor))])
        return found


def largest(loss: str, composition: str, **batch: Any) -> int:
    """Entries of the largest tensor on the way from labels and embeddings to the gradient, for one run."""
    known, (split, sizes) = LOSSES[loss], COMPOSITIONS[composition]
    sampler = Sampler(SPLITS[split][None], (0,), Batch(samples=SAMPLES, **sizes, **batch), known)
    objective = Objective(known, [bind(loss, known, {})], (0,), sampler.classes, DIM, Optimizer())
    with Largest() as seen:
        step = next(iter(sampler.epoch(1)))
        embeddings = torch.randn(1, step.rows.shape[1], DIM, requires_grad=True)
        tuples = sampler.mine(embeddings, step, objective.hyperparameters)
        value = mean_over_valid(objective.terms(embeddings, tuples), runs=1)
        torch.autograd.grad(value.sum(), [embeddings, *objective.parameters])
    return seen.entries


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_customary_sampling_stays_within_samples_x_samples(loss: str, composition: str) -> None:
    assert largest(loss, composition, sampling="customary", partners="batch") <= SQUARE


@pytest.mark.parametrize("loss", [name for name, known in LOSSES.items() if known.kind != "triplet"])
@pytest.mark.parametrize("composition", COMPOSITIONS)
def test_all_tuples_of_a_batch_do_too(loss: str, composition: str) -> None:
    """N-pair needs ranks x classes x samples, which is more where classes are unequal or not all there."""
    entries = largest(loss, composition, sampling="all_in_batch")
    assert entries <= (4 if loss == "n_pair" else 1) * SQUARE
    if LOSSES[loss].proxies:
        assert entries <= max(SAMPLES * DIM, SAMPLES * 200)
