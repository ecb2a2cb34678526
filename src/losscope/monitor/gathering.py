"""The batch of all processes: embeddings, gradients and labels brought together at measured steps.

    Z = [Z_0; ...; Z_{N-1}]     ∂L/∂Z = 1/N [∂L_0/∂Z_0; ...; ∂L_{N-1}/∂Z_{N-1}]

by the rank of the process, as DistributedDataParallel applies it: it averages over processes, whatever each gathered.
Every process takes part, as backward ends there: where backward is collective, this can't wait for one that does not come.
"""

from __future__ import annotations

import os
from typing import Any

import torch
from torch import Tensor, distributed

from losscope.monitor.batch import Batch
from losscope.monitor.guard import Guard
from losscope.types import OUTLIER

LAUNCHED = ("WORLD_SIZE", "RANK", "LOCAL_RANK", "NODE_RANK")
"""What torchrun, and Lightning for all but its first process, put into the environment."""

Rows = tuple[Tensor, Tensor | None, Tensor | None]
"""Embeddings, their gradient, labels."""


class Gathering:
    """A group of its own for all processes, so that nothing gets between a training loop's own collectives.

    Made on every process. The group itself is made at the first measured step, as Lightning starts its processes after
    callbacks were made. Where there is one process, its rows are all.
    """

    def __init__(self, guarded: Guard) -> None:
        self._guarded = guarded
        self._group: Any = None

    def all_rows(self, batch: Batch, gradient: Tensor | None) -> Rows | None:
        """Embeddings, gradient and labels of the rows of all processes, part by part; None where there is one process, or that
        failed."""
        if not _started():
            return None
        try:
            if self._group is None:
                self._group = distributed.new_group()
            return self._all_rows(batch, gradient)
        except Exception as error:  # within backward, which must not fail for being watched
            self._guarded.met(error)
            return None

    def _all_rows(self, batch: Batch, gradient: Tensor | None) -> Rows:
        processes = distributed.get_world_size()
        counts = [part.numel() // part.shape[-1] for part in batch.parts]
        known = [int(gradient is not None), int(batch.labels is not None), *counts]
        mine = torch.tensor(known, device=batch.parts[0].device)
        everybody = torch.stack(self._gathered(mine)).tolist()
        own = batch.labels
        with_gradient, with_labels = (all(one[place] for one in everybody) for place in (0, 1))
        rows = self._uneven(batch.embeddings, everybody)
        found = None if not with_gradient or gradient is None else self._uneven(gradient, everybody) / processes
        labels = None
        if with_labels and own is not None:
            if not batch.has_own_labels:  # numbers of matched rows, which each process has for itself
                before = sum(sum(one[2:]) for one in everybody[: distributed.get_rank()])
                own = torch.where(own == OUTLIER, own, own + before)
            labels = self._uneven(own.unsqueeze(1), everybody).squeeze(1)
        return rows, found, labels

    def _uneven(self, rows: Tensor, everybody: list[list[int]]) -> Tensor:
        """Rows (rows, ...) of all processes: part by part, by rank within a part."""
        totals = [sum(one[2:]) for one in everybody]
        padded = rows.new_zeros(max(totals), rows.shape[1])
        padded[: len(rows)] = rows
        parts = [
            torch.split(whole[:total], one[2:])
            for whole, total, one in zip(self._gathered(padded), totals, everybody, strict=True)
        ]
        return torch.cat([of for place in zip(*parts, strict=True) for of in place])

    def _gathered(self, mine: Tensor) -> list[Tensor]:
        found = [torch.empty_like(mine) for _ in range(distributed.get_world_size())]
        distributed.all_gather(found, mine.contiguous(), group=self._group)
        return found


def process() -> tuple[int, int]:
    """Rank of this process and how many there are: by the process group, or what launchers say before there is one."""
    if _started():
        return distributed.get_rank(), distributed.get_world_size()
    told = {name: int(value) for name in LAUNCHED if (value := os.environ.get(name, "")).isdigit()}
    count = told.get("WORLD_SIZE", 1)
    if count < 2:
        return 0, 1
    return told.get("RANK", told.get("LOCAL_RANK", 0) + count * told.get("NODE_RANK", 0)), count


def _started() -> bool:
    return distributed.is_available() and distributed.is_initialized()
