"""The oracle: a criterion on N processes with N parts of a batch against the same on one process with all of it.

DistributedDataParallel averages the parameters' gradients over processes. What a criterion does to training is thus, for
the rows z_r of process r, the gradient that backward brings to them there over N, whatever it gathered:

    E_r = 1/N ∂(Σ_q L_q)/∂z_r     to be compared with  G_r = ∂L/∂z_r     of the whole batch

E = G: right. E = c G: the direction is right, and the step is c times too long: c = 1/N where the world size was
forgotten, c = N where it was counted twice. Anything else: wrong, such as a loss that gathers without gradient (rows
learn nothing as the negatives of others), that sees only its own part, or whose gathered order differs by process.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from losscope.distributed.processes import Factory, Result, run
from losscope.errors import InvalidInput

TOLERANCE = 1e-3
"""Relative error of single-precision sums in another order, with room."""

Verdict = Literal["right", "scaled", "wrong"]


@dataclass(frozen=True)
class DistributedVerdict:
    """How a criterion on several processes compares with itself on one.

    verdict         of the gradients of embeddings, as DistributedDataParallel would apply them, and of the criterion's own
                    parameters
    scale           by which they are too long; of a wrong one the best that a scale can do
    error           what is left after the scale, relative to the right gradient
    loss            of the value, averaged over processes; `loss_scale` times that of one process
    """

    verdict: Verdict
    scale: float
    error: float
    loss: Verdict
    loss_scale: float
    world_size: int

    def __str__(self) -> str:
        n = self.world_size
        if self.verdict == "right":
            said = f"right: on {n} processes gradients are those of one process with the whole batch"
        elif self.verdict == "scaled":
            said = f"scaled: gradients on {n} processes are {_times(self.scale, n)} those of one process"
        else:
            said = (
                f"wrong: gradients on {n} processes are off by {self.error:.0%} of those of one process with the whole batch, "
                f"whatever the scale ({self.scale:.3g} fits best)"
            )
        value = (
            "is that of one process" if self.loss == "right" else f"is {_times(self.loss_scale, n)} that of one process"
        )
        return f"{said}; the loss, averaged over processes, {value}"


def verify_distributed(
    criterion: Factory,
    *,
    world_size: int = 2,
    batch: Literal["labels", "pairs"] = "labels",
    samples: int = 8,
    dim: int = 8,
    classes: int = 4,
    reference: Factory | None = None,
    normalized: bool = True,
    seed: int = 0,
    timeout: float = 120.0,
) -> DistributedVerdict:
    """Run a criterion on `world_size` gloo processes of this machine and on one; compare gradients and loss.

    criterion    a function at the top of a module that returns it; called in each process, with the same random seed
    batch        "labels": called with (embeddings (samples, dim), labels); "pairs": with two sides of matched rows
    samples      of each process
    reference    what one process runs, if not the same: the loss as it is without processes

    In a script, call it under `if __name__ == "__main__":`, as processes import the script. Raises InvalidInput where the
    criterion fails, waits for ever or can't be sent, and for a batch it learns nothing from.
    """
    if world_size < 2 or samples < 1:
        raise InvalidInput(
            f"world_size={world_size}, samples={samples}; expected two processes or more with a sample each"
        )
    whole = _batch(batch, world_size * samples, dim, classes, normalized, seed)
    parts = [[one[rank * samples : (rank + 1) * samples].clone() for one in whole] for rank in range(world_size)]
    (alone,), several = run([(reference or criterion, [whole]), (criterion, parts)], seed, timeout)
    return _judged(alone, several)


def _batch(kind: str, rows: int, dim: int, classes: int, normalized: bool, seed: int) -> list[Tensor]:
    random = torch.Generator().manual_seed(seed)
    sides = [torch.randn(rows, dim, generator=random) for _ in range(2 if kind == "pairs" else 1)]
    if normalized:
        sides = [torch.nn.functional.normalize(one, dim=-1) for one in sides]
    if kind == "pairs":
        return sides
    # In no regular order: labels that a shift leaves as they are would hide rows that were gathered in another order.
    return [*sides, torch.arange(rows)[torch.randperm(rows, generator=random)] % classes]


def _judged(alone: Result, several: list[Result]) -> DistributedVerdict:
    n = len(several)
    expected = torch.cat([one.flatten() for one in (*alone.rows, *alone.parameters)]).double()
    rows = [torch.cat([one.rows[side] for one in several]) / n for side in range(len(alone.rows))]
    own = (
        [torch.stack([one.parameters[place] for one in several]).mean(0) for place in range(len(alone.parameters))]
        if all(len(one.parameters) == len(alone.parameters) for one in several)
        else [torch.zeros_like(one) for one in alone.parameters]
    )
    found = torch.cat([one.flatten() for one in (*rows, *own)]).double()
    length = expected.norm()
    if not length > 0:
        raise InvalidInput(
            "on one process the loss has a gradient of 0: nothing to compare; try other samples=, dim=, seed="
        )
    scale = float(found @ expected / length.square())
    error = float((found - scale * expected).norm() / length)
    loss = sum(one.loss for one in several) / n
    loss_scale = loss / alone.loss if alone.loss else float("nan")
    return DistributedVerdict(
        "wrong" if error > TOLERANCE else _verdict(scale, n),
        scale,
        error,
        _verdict(loss_scale, n),
        loss_scale,
        n,
    )


def _verdict(scale: float, n: int) -> Verdict:
    if abs(scale - 1) <= TOLERANCE:
        return "right"
    return "scaled" if min(abs(scale / n - 1), abs(scale * n - 1)) <= TOLERANCE else "wrong"


def _times(scale: float, n: int) -> str:
    if abs(scale / n - 1) <= TOLERANCE:
        return f"{n} times (the world size)"
    return f"1/{n} of (one by the world size)" if abs(scale * n - 1) <= TOLERANCE else f"{scale:.4g} times"
