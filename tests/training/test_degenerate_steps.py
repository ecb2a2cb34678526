"""Steps that offer too little, in stacked training: no NaN, no dead run, and the next step goes on as usual."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from losscope.losses import LOSSES
from losscope.losses.tuples import all_tuples
from losscope.training.batches import Step, partners_in_batch
from losscope.training.loop import Stack
from stacks import build, cell

CASES = {
    "one class": [[1] * 6, [2] * 6],
    "every sample alone": [[0, 1, 2, 3, -1, -1], [3, 2, 1, -1, 0, -1]],
    "outliers only": [[-1] * 6, [-1] * 6],
    "one run without a term": [[-1] * 6, [0, 0, 1, 1, 2, 2]],
    "two samples": [[0, 0], [0, 1]],
}
SHARES = ("gradient_share_90", "gradient_participation", "gradient_effective_share")
"""Without any gradient nothing has a share of it."""


def step_of(stack: Stack, labels: list[list[int]], form: str, *, duplicates: bool) -> Step:
    own, loss = torch.tensor(labels), stack.objective.loss
    rows = torch.zeros_like(own) if duplicates else torch.arange(own.shape[1]).expand_as(own)
    if form == "all":
        return Step(rows, all_tuples(loss, own, stack.sampler.classes))
    uniform = np.random.default_rng(0).random((2, 3, own.shape[1]))
    return Step(rows, partners_in_batch(own, uniform, loss, stack.sampler.classes))


@pytest.mark.parametrize("duplicates", [False, True])
@pytest.mark.parametrize("form", ["all", "one"])
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("loss", "hyperparameters"),
    [*((loss, {}) for loss in LOSSES), ("n_pair", {"unit_length": False}), ("center_contrastive", {"momentum": 0.9})],
)
def test_a_degenerate_step_is_survived(
    loss: str, hyperparameters: dict[str, Any], case: str, form: str, duplicates: bool
) -> None:
    stack = build(cell((0, 1), loss, "all_in_batch", hyperparameters=hyperparameters))
    seen = stack.train_step(step_of(stack, CASES[case], form, duplicates=duplicates))
    for name, value in seen.items():
        assert value.isfinite().all() or name in SHARES, name
    for run in range(2):
        if not seen["terms"][run]:
            assert seen["loss"][run] == seen["gradient_norm"][run] == 0
    if case == "outliers only":
        assert not seen["terms"].any()
    assert stack.alive.all()
    assert all(value.isfinite().all() for value in stack.state().values())
    usual = stack.train_step(step_of(stack, [[0, 0, 1, 1, 2, 2]] * 2, form, duplicates=False))
    assert usual["terms"].all()
    assert all(value.isfinite().all() for value in usual.values())
