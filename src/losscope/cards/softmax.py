"""Softmax arithmetic on numbers that may be large: no overflow, no loss of the small."""

from __future__ import annotations

import math
from collections.abc import Sequence

Logits = Sequence[tuple[int, float]]
"""Logits with how often each occurs."""


def softplus(x: float) -> float:
    """log(1 + eˣ)."""
    return max(x, 0.0) + math.log1p(math.exp(-abs(x)))


def log_sum_exp(logits: Logits) -> float:
    """log Σ count · e^logit."""
    present = [(count, logit) for count, logit in logits if count]
    largest = max(logit for _, logit in present)
    return largest + math.log(sum(count * math.exp(logit - largest) for count, logit in present))


def cross_entropy(own: float, others: Logits) -> float:
    """-log of the share of `own` among all, exact also where it is nearly 1."""
    return softplus(log_sum_exp(others) - own)


def share(logit: float, logits: Logits) -> float:
    """The softmax of one logit among `logits`, which hold it too."""
    return math.exp(logit - log_sum_exp(logits))


def missing(own: float, others: Logits) -> float:
    """1 - the share of `own` among all, exact also where it is nearly 0."""
    return -math.expm1(-cross_entropy(own, others))
