"""Settings as text: equal for equal ones in every process, different for different ones."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from losscope.errors import InvalidInput
from losscope.integrations.settings import described


class Scaled(nn.Module):
    """A module with settings of several kinds."""

    def __init__(self, scale: float = 2.0) -> None:
        super().__init__()
        self.scale = scale
        self.method = self.forward
        self.weight = nn.Parameter(torch.arange(3.0))
        self._record_these_stats = ["seen"]
        self.seen = 0

    def forward(self, given: torch.Tensor) -> torch.Tensor:
        return self.scale * given * self.weight


class Plain:
    def __init__(self, value: Any) -> None:
        self.value = value


class Slotted:
    __slots__ = ("value",)


def multiplied(by: float) -> Callable[[float], float]:
    def function(given: float) -> float:
        return by * given

    return function


EQUAL: list[tuple[Any, Any]] = [
    (np.float64(0.5), 0.5),
    (np.int64(3), 3),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ({"x", "y", "z"}, {"z", "y", "x"}),
    (torch.ones(2), torch.ones(2)),
    (np.ones(2), np.ones(2)),
    (Plain(1), Plain(1)),
    (Scaled(), Scaled()),
    (multiplied(2.0), multiplied(2.0)),
    (partial(max, 1), partial(max, 1)),
    (nn.init.normal_, nn.init.normal_),
]
itself = lambda given: given  # noqa: E731
opposite = lambda given: -given  # noqa: E731
DIFFERENT: list[tuple[Any, Any]] = [
    (1, 1.0),
    (1, "1"),
    (None, False),
    ([1, 2], [2, 1]),
    (torch.ones(2), torch.ones(3)),
    (torch.ones(2), torch.ones(2, dtype=torch.float64)),
    (torch.ones(2), torch.zeros(2)),
    (Plain(1), Plain(2)),
    (Plain, Scaled),
    (Scaled(2.0), Scaled(3.0)),
    (multiplied(2.0), multiplied(3.0)),
    (partial(max, 1), partial(min, 1)),
    (nn.init.normal_, nn.init.uniform_),
    (itself, opposite),
]


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_settings_read_the_same(one: Any, other: Any) -> None:
    assert described(one) == described(other)
    assert " at 0x" not in described(one)


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_settings_read_differently(one: Any, other: Any) -> None:
    assert described(one) != described(other)


def test_what_the_last_batch_left_is_no_setting() -> None:
    module = Scaled()
    fresh = described(module)
    module.seen = 7
    module.eval()
    assert described(module) == fresh
    with torch.no_grad():
        module.weight.add_(1)
    assert described(module) != fresh


def test_what_is_drawn_anew_counts_by_its_shape() -> None:
    one, other = Scaled(), Scaled()
    with torch.no_grad():
        other.weight.add_(1)
    assert described(one, drawn={id(one.weight)}) == described(other, drawn={id(other.weight)})


def test_a_circle_ends() -> None:
    circle: list[Any] = [1]
    circle.append(circle)
    assert described(circle) == "[1, (itself)]"


def test_what_has_no_settings_is_refused() -> None:
    with pytest.raises(InvalidInput, match="of type Slotted, which no text tells from another"):
        described([Slotted()])
    with pytest.raises(InvalidInput, match="can't be read"):
        described(eval("lambda given: given"))


def test_another_process_reads_the_same() -> None:
    script = (
        "from losscope.integrations.settings import described; from pytorch_metric_learning.losses import CircleLoss; "
        "print(described(CircleLoss())); print(described({'x', 'y', 'z'}))"
    )
    said = {
        subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout for _ in "12"
    }
    assert len(said) == 1
