"""Between two flushes no step, observed or not, makes the host wait for the device."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

import losscope
from losscope.monitor import Monitor, Schedule, every, never

WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2", "unique_dim")
CALLS = (torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu, torch.Tensor.item)


class Operations(TorchDispatchMode):
    """Fails on operations whose result the host must know."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func.overloadpacket.__name__ not in WAITING
        return func(*args, **(kwargs or {}))


class Calls(TorchFunctionMode):
    """Fails on the calls that reach the host without an operation."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in CALLS
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize(("steps", "batch"), [(never, never), (every(1), never), (every(1), every(2))])
def test_steps_do_not_wait(steps: Schedule, batch: Schedule) -> None:
    criterion = losscope.Criterion("contrastive", margin=2.0)
    model = torch.nn.Linear(5, 3)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    inputs, labels = torch.randn(8, 5), torch.arange(8) % 2
    monitor = Monitor(criterion, steps=steps, batch=batch, terms=every(4), full=never, optimizer=optimizer, strict=True)
    with Calls(), Operations():
        for _ in range(12):
            optimizer.zero_grad()
            criterion(model(inputs), labels).backward()
            optimizer.step()
        monitor.settle()
    assert len(monitor._buffer.steps) + len(monitor._buffer.losses) == (0 if steps is never else 12)
    monitor.close()
    assert sum("active_rows" in line for line in monitor.lines) == {never: 0}.get(steps, 3 if batch is never else 6)
