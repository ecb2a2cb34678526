"""Right and broken criteria on two processes: each is told from the others."""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, distributed
from torch.nn import functional as F

import losscope
from losscope.distributed import verify_distributed
from losscope.errors import InvalidInput

CONTRASTIVE = losscope.Criterion("contrastive", margin=2.0)


class Gather(torch.autograd.Function):
    """All rows, in the order of ranks; backward sums what all processes send to mine."""

    @staticmethod
    def forward(ctx, mine):  # type: ignore[no-untyped-def]
        return gathered(mine)

    @staticmethod
    def backward(ctx, gradient):  # type: ignore[no-untyped-def]
        gradient = gradient.contiguous()
        distributed.all_reduce(gradient)
        rank, n = distributed.get_rank(), distributed.get_world_size()
        return gradient.chunk(n)[rank]


def gathered(mine: Tensor) -> Tensor:
    parts = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
    distributed.all_gather(parts, mine.detach().contiguous())
    return torch.cat(parts)


def with_mine(mine: Tensor) -> Tensor:
    parts = list(gathered(mine).chunk(distributed.get_world_size()))
    parts[distributed.get_rank()] = mine
    return torch.cat(parts)


def right() -> Callable[..., Tensor]:
    return lambda z, y: CONTRASTIVE(Gather.apply(z), gathered(y))


def forgets_the_world_size() -> Callable[..., Tensor]:
    return lambda z, y: CONTRASTIVE(with_mine(z), gathered(y))


def counts_it_twice() -> Callable[..., Tensor]:
    return lambda z, y: CONTRASTIVE(Gather.apply(z), gathered(y)) * distributed.get_world_size()


def one_side(first: Tensor, second: Tensor) -> Tensor:
    rank = distributed.get_rank()
    return F.cross_entropy(first @ second.T / 0.1, torch.arange(len(first)) + rank * len(first))


def pairs_right() -> Callable[..., Tensor]:
    return lambda a, b: one_side(a, Gather.apply(b))


def gathers_without_gradient() -> Callable[..., Tensor]:
    return lambda a, b: one_side(a, with_mine(b))


def gathers_all_without_gradient() -> Callable[..., Tensor]:
    return lambda z, y: CONTRASTIVE(gathered(z), gathered(y))


def sees_its_own_part() -> Callable[..., Tensor]:
    return lambda z, y: CONTRASTIVE(z, y)


def order_differs() -> Callable[..., Tensor]:
    def criterion(z: Tensor, y: Tensor) -> Tensor:
        rank = distributed.get_rank()
        return CONTRASTIVE(Gather.apply(z).roll(rank, 0), gathered(y))

    return criterion


def waits() -> Callable[..., Tensor]:
    def criterion(z: Tensor, y: Tensor) -> Tensor:
        if distributed.get_rank() == 0 and distributed.get_world_size() > 1:
            distributed.barrier()
            distributed.barrier()
        if distributed.get_rank() == 1:
            time.sleep(60)
        return CONTRASTIVE(z, y)

    return criterion


@pytest.mark.parametrize(
    ("factory", "batch", "verdict", "scale", "loss"),
    [
        (right, "labels", "right", 1.0, "right"),
        (pairs_right, "pairs", "right", 1.0, "right"),
        (forgets_the_world_size, "labels", "scaled", 0.5, "right"),
        (counts_it_twice, "labels", "scaled", 2.0, "scaled"),
        (gathers_without_gradient, "pairs", "wrong", None, "right"),
        (sees_its_own_part, "labels", "wrong", None, None),
        (order_differs, "labels", "wrong", None, None),
    ],
)
def test_each_is_told(factory: Callable[..., object], batch: str, verdict: str, scale: float | None, loss: str) -> None:
    found = verify_distributed(factory, batch=batch)  # type: ignore[arg-type]
    assert found.verdict == verdict
    assert str(found).startswith(verdict)
    if scale is not None:
        assert found.scale == pytest.approx(scale, rel=1e-3)
    else:
        assert found.error > 0.05
    if loss is not None:
        assert found.loss == loss
    assert not multiprocessing.active_children()


def test_what_cannot_run_is_said() -> None:
    with pytest.raises(InvalidInput, match="gathered without one"):
        verify_distributed(gathers_all_without_gradient)
    with pytest.raises(InvalidInput, match="function at the top of a module"):
        verify_distributed(lambda: CONTRASTIVE)
    with pytest.raises(InvalidInput, match="two processes or more"):
        verify_distributed(right, world_size=1)
    assert not multiprocessing.active_children()


def test_one_that_waits_for_ever_ends() -> None:
    with pytest.raises(InvalidInput, match=r"did not end within|failed in process"):
        verify_distributed(waits, timeout=15)
    assert not multiprocessing.active_children()
