"""What a step sees, and what an epoch makes of it: diagnostics of each step, read once."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import torch
from torch import Tensor

from losscope.diagnostics.concentration import (
    gradient_effective_share,
    gradient_participation,
    gradient_share_90,
)
from losscope.diagnostics.greediness import ACTIVE_ABOVE
from losscope.types import LossTerms, Pairs, Tuples

Trace = dict[str, Tensor]
"""Step diagnostics of one epoch: name -> (steps, runs) on the CPU."""

OF_TENSORS, OF_SAMPLES = "gradient norms of tensors", "tangential gradient norms of samples"
"""What a step sees of each parameter tensor (runs, tensors) and of each sample (runs, samples). An epoch keeps what
`read` makes of it."""

CONCENTRATION: dict[str, Callable[[Tensor], Tensor]] = {
    "gradient_norm_embedding_tangential": lambda norms: norms.mean(-1),
    "gradient_share_90": gradient_share_90,
    "gradient_participation": gradient_participation,
    "gradient_effective_share": gradient_effective_share,
}


def read(rows: list[dict[str, Tensor]]) -> Trace:
    """The traces of all steps of an epoch, brought to the CPU at once, and what follows from them: a step that worked it
    out for itself would spend forty small operations more."""
    if not rows:
        return {}
    names = [name for name in rows[0] if name not in (OF_TENSORS, OF_SAMPLES)]
    values = torch.stack([torch.stack([row[name] for row in rows]).to(torch.float64) for name in names])
    trace = dict(zip(names, values.cpu(), strict=True))
    if OF_TENSORS in rows[0]:
        norms = torch.stack([row[OF_TENSORS] for row in rows]).cpu()
        trace["gradient_norm_tensor_mean"] = norms.mean(-1).to(torch.float64)
        trace["update_ratio"] = trace["update_norm"] / trace.pop("parameter_norm")
        trace |= concentration([row[OF_SAMPLES] for row in rows])
    return trace


def concentration(of_steps: list[Tensor]) -> Trace:
    """How the gradient is spread over samples, from tangential norms (runs, samples) of each step."""
    parts = []
    for _, alike in itertools.groupby(of_steps, key=lambda norms: norms.shape):
        norms = torch.stack(list(alike)).cpu()
        parts.append({name: measure(norms).to(torch.float64) for name, measure in CONCENTRATION.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in CONCENTRATION}


def activity(terms: LossTerms, tuples: Tuples) -> dict[str, Tensor]:
    """How many terms are valid and active, for each run; pairs also by sign. Expects masked terms."""
    # Comparing in place keeps floats, ten times faster to count than booleans.
    active = terms.values.detach().clone().gt_(ACTIVE_ABOVE).flatten(1)
    valid = terms.valid.flatten(1)
    counts = {"terms": valid.sum(-1, dtype=torch.int32), "active": active.sum(-1)}
    if isinstance(tuples, Pairs):
        counts["terms_positive"] = (valid & tuples.same).sum(-1, dtype=torch.int32)
        counts["active_positive"] = active.mul_(tuples.same).sum(-1)
    return counts
