"""Ranked lists with ties: what a query gets on average over all orders of tied items, and at worst and at best.

A tie of `size` items, `found` of them relevant, that begins after `start` items, `before` of them relevant:
each order of its items is equally likely. A relevant item moved forward never lowers any of the measures, so they
are lowest where the relevant items of each tie come last, and highest where they come first.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

Order = Literal["random", "worst", "best"]
"""Which order of the items of a tie: the mean over all of them, or an extreme one."""


def missed_probability(size: Tensor, found: Tensor, drawn: Tensor) -> Tensor:
    """Probability that none of `drawn` items of a tie is among its `found` relevant ones: float64 of one shape."""
    missed = (_log_choose(size - found, drawn) - _log_choose(size, drawn)).exp()
    return torch.where(drawn > size - found, 0.0, missed)


def _log_choose(n: Tensor, k: Tensor) -> Tensor:
    return torch.lgamma(n + 1) - torch.lgamma(k + 1) - torch.lgamma((n - k).clamp_min(0) + 1)
