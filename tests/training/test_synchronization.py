"""No step waits for the device: whatever would make a GPU stop and answer is forbidden inside a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from losscope.study import Model
from stacks import COMBINATIONS, DIGITS, build, cell

WAITING = ("_local_scalar_dense", "nonzero", "is_nonzero", "equal", "masked_select", "_unique2", "unique_dim")


CALLS = (torch.Tensor.tolist, torch.Tensor.numpy, torch.Tensor.cpu, torch.Tensor.item)


class Operations(TorchDispatchMode):
    """Fails on any operation whose result the host must know, or whose shape depends on data."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        assert name not in WAITING, f"{name} waits for the device"
        if name in ("index", "index_put", "index_put_"):
            masks = [part for part in args[1] if part is not None and part.dtype in (torch.bool, torch.uint8)]
            assert not masks, f"{name} by a mask waits for the device"
        return func(*args, **(kwargs or {}))


class Calls(TorchFunctionMode):
    """Fails on the calls that reach the host without an operation."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        assert func not in CALLS, f"{func.__name__} waits for the device"
        return func(*args, **(kwargs or {}))


@contextmanager
def unwaiting() -> Iterator[None]:
    with Calls(), Operations():
        yield


@pytest.mark.parametrize(
    "waiting",
    [
        lambda x: x.sum().item(),
        lambda x: bool((x > 0).any()),
        lambda x: x.nonzero(),
        lambda x: x[x > 0],
        lambda x: x.masked_select(x > 0),
        lambda x: x.unique(),
        lambda x: torch.equal(x, x),
        lambda x: x.tolist(),
    ],
)
def test_what_waits_is_noticed(waiting: Callable[[torch.Tensor], object]) -> None:
    with pytest.raises(AssertionError, match="waits for the device"), unwaiting():
        waiting(torch.ones(3))


@pytest.mark.parametrize("observe", [True, False])
@pytest.mark.parametrize(("loss", "sampling"), COMBINATIONS)
def test_no_training_step_waits(loss: str, sampling: str, observe: bool) -> None:
    stack = build(cell((0, 1), loss, sampling), observe=observe)
    steps = list(stack.sampler.epoch(1))
    with unwaiting():
        traces = [stack.train_step(step) for step in steps]
    assert len(traces) == len(steps) > 2


@pytest.mark.parametrize(
    ("loss", "options"),
    [
        ("n_pair", {"unit_length": False, "penalty": 0.02}),
        ("sup_con", {"sum_outside": False}),
        ("center_contrastive", {"momentum": 0.9}),
    ],
)
def test_no_option_waits(loss: str, options: dict[str, Any]) -> None:
    stack = build(cell((0, 1), loss, "customary", hyperparameters=options))
    steps = list(stack.sampler.epoch(1))
    with unwaiting():
        for step in steps:
            stack.train_step(step)


def test_no_step_of_a_convnet_waits() -> None:
    stack = build(cell((0, 1), "triplet", "all_in_batch", data=DIGITS, model=Model(name="convnet", widths=(8,))))
    steps = list(stack.sampler.epoch(1))
    with unwaiting():
        for step in steps:
            stack.train_step(step)


def test_embedding_a_split_does_not_wait() -> None:
    stack = build(cell((0, 1)))
    with unwaiting():
        embeddings = stack.embed(stack.inputs)
    assert embeddings.shape == (2, 54, 8)
