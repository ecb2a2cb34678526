"""The batch of all processes: embeddings, gradients and labels brought together at measured steps.

    Z = [Z_0; ...; Z_{N-1}]     ∂L/∂Z = 1/N [∂L_0/∂Z_0; ...; ∂L_{N-1}/∂Z_{N-1}]

by the rank of the process, as DistributedDataParallel applies it: it averages over processes, whatever each gathered.
Every process takes part, as backward ends there: where backward is collective, this can't wait for one that does not come.
"""

from __future__ import annotations

import torch
from torch import Tensor, distributed

from losscope.errors import InvalidInput
from losscope.monitor.batch import Batch
from losscope.types import OUTLIER


class Gathering:
    """A group of its own for all processes, so that nothing gets between a training loop's own collectives.

    Made on every process. Raises InvalidInput where there are no processes.
    """

    def __init__(self) -> None:
        if not (distributed.is_available() and distributed.is_initialized()):
            raise InvalidInput(
                "gather=True without processes; expected torch.distributed.init_process_group before the monitor is made, "
                "on every process"
            )
        self.processes = distributed.get_world_size()
        self._group = distributed.new_group()

    def all_rows(self, batch: Batch, gradient: Tensor | None) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """Embeddings, gradient and labels of the rows of all processes, part by part."""
        counts = [part.numel() // part.shape[-1] for part in batch.parts]
        known = [int(gradient is not None), int(batch.labels is not None), *counts]
        mine = torch.tensor(known, device=batch.parts[0].device)
        everybody = torch.stack(self._gathered(mine)).tolist()
        own = batch.labels
        with_gradient, with_labels = (all(one[place] for one in everybody) for place in (0, 1))
        rows = self._uneven(batch.embeddings, everybody)
        found = None if not with_gradient or gradient is None else self._uneven(gradient, everybody) / self.processes
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
        found = [torch.empty_like(mine) for _ in range(self.processes)]
        distributed.all_gather(found, mine.contiguous(), group=self._group)
        return found
