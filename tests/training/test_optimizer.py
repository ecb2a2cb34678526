"""Adam and SGD: to the last bit those of torch.optim, also after going on from a state."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from losscope.training.optimizer import OPTIMIZERS

THEIRS: dict[str, Any] = {"adam": torch.optim.Adam, "sgd": torch.optim.SGD}


def drawn(seed: int, dtype: torch.dtype) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    return [torch.randn(shape, generator=random, dtype=dtype) for shape in ((3, 70), (5,))]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight_decay", [0.0, 1e-2])
@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_torch(name: str, weight_decay: float, dtype: torch.dtype) -> None:
    mine, theirs = drawn(0, dtype), [one.requires_grad_() for one in drawn(0, dtype)]
    own = OPTIMIZERS[name](mine, lr=1e-2, weight_decay=weight_decay)
    other = THEIRS[name](theirs, lr=1e-2, weight_decay=weight_decay, fused=True)
    for step in range(1, 8):
        gradients = drawn(step, dtype)
        own.step(gradients)
        for parameter, gradient in zip(theirs, gradients, strict=True):
            parameter.grad = gradient
        other.step()
        for one, expected in zip(mine, theirs, strict=True):
            assert torch.equal(one, expected)
    assert not torch.equal(mine[0], drawn(0, dtype)[0])


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_it_goes_on_from_its_state(name: str) -> None:
    whole, parts = drawn(0, torch.float32), drawn(0, torch.float32)
    one, first = OPTIMIZERS[name](whole, lr=1e-2), OPTIMIZERS[name](parts, lr=1e-2)
    for step in range(1, 4):
        one.step(drawn(step, torch.float32))
        first.step(drawn(step, torch.float32))
    kept = {key: value.clone() for key, value in first.state("a.").items()}
    second = OPTIMIZERS[name](parts, lr=1e-2)
    second.load(kept, "a.")
    for step in range(4, 7):
        one.step(drawn(step, torch.float32))
        second.step(drawn(step, torch.float32))
    for mine, expected in zip(parts, whole, strict=True):
        assert torch.equal(mine, expected)
