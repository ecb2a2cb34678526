"""From terms to one loss for each run. The reduction is part of every name that depends on it."""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.types import LossTerms


def indicator(mask: Tensor, dtype: torch.dtype) -> Tensor:
    """1 where the `mask` (bool) is true, else 0."""
    return mask.view(torch.uint8).to(dtype)  # as bytes: three times faster on a CPU


def masked(terms: LossTerms) -> LossTerms:
    """The same terms with value 0 and gradient 0 where they are not valid, whatever they held there (also NaN)."""
    return LossTerms(torch.where(terms.valid, terms.values, 0.0), terms.valid)


def mean_over_valid(terms: LossTerms, *, runs: int = 0) -> Tensor:
    """Mean of the valid terms; `runs` leading axes are kept. 0, with zero gradient, where no term is valid.

    Expects `masked` terms. Rows are summed in the embeddings' precision and their sums in float64, so that padding
    rows don't change the result.
    """
    values, count = terms
    if values.ndim == runs:  # a single term
        return values
    while values.ndim > runs + 1:
        values, count = values.sum(-1), count.sum(-1, dtype=torch.int32)
    total = values.sum(-1, dtype=torch.float64)
    return (total / count.sum(-1).clamp_min(1)).to(terms.values.dtype)


def mean_over_sides(terms: LossTerms, same: Tensor, *, runs: int = 0) -> Tensor:
    """Mean over positive pairs and mean over negative pairs, averaged: equal weight for both sides of a batch.

    A side without a valid pair counts as 0.
    """
    positive = mean_over_valid(masked(LossTerms(terms.values, terms.valid & same)), runs=runs)
    negative = mean_over_valid(masked(LossTerms(terms.values, terms.valid & ~same)), runs=runs)
    return (positive + negative) / 2
