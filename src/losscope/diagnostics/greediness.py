"""GREEDINESS: which terms still push, and how fast the loss and the classes settle.

A term is active if its value exceeds 1e-8, so that rounding around 0 doesn't count.
Native active ratios are not comparable across losses: a positive pair of contrastive loss is always active, so its
ratio can't fall below the share of positives, and a softmax term is never 0. Residual mass and relative activity are
defined for all losses, the latter at three thresholds, since it depends on them.
Source: Zeng et al. 2025 (arXiv 2510.02161), section 2.3.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor

from losscope.types import LossTerms

ACTIVE_ABOVE = 1e-8

EXPONENTS = (1, 2, 3)
"""Thresholds of the relative activity, as negative powers of ten."""


def active_ratio(terms: LossTerms, *, runs: int = 0) -> Tensor:
    """Active terms over valid terms; NaN where no term is valid."""
    active = (terms.values > ACTIVE_ABOVE) & terms.valid
    return active.flatten(runs).sum(-1) / terms.valid.flatten(runs).sum(-1)


def active_ratio_positive(terms: LossTerms, same: Tensor, *, runs: int = 0) -> Tensor:
    """Active ratio of the positive pairs; `same` as in Pairs."""
    return active_ratio(LossTerms(terms.values, terms.valid & same), runs=runs)


def active_ratio_negative(terms: LossTerms, same: Tensor, *, runs: int = 0) -> Tensor:
    """Active ratio of the negative pairs; `same` as in Pairs."""
    return active_ratio(LossTerms(terms.values, terms.valid & ~same), runs=runs)


def residual_mass(residuals: LossTerms, *, runs: int = 0) -> Tensor:
    """Mean over valid terms of their distance from their goal, 0 to 1 (`Loss.residual`); NaN where no term is valid.

    For a hinge, whose residual is 1 above 0, the active ratio: the one number that both kinds of loss have.
    """
    values = torch.where(residuals.valid, residuals.values, 0.0).double().flatten(runs)
    return values.sum(-1) / residuals.valid.flatten(runs).sum(-1)


def relative_activity(
    norms: Tensor, valid: Tensor, bound: float | Tensor, exponents: Sequence[int] = EXPONENTS
) -> Tensor:
    """Share of valid terms whose tangential gradient exceeds 10^-e of the loss's `bound`, for each exponent e.

    norms, valid (..., terms); bound a number or (...), of one term's gradient with respect to its anchor
    (`Card.bound`); (..., exponents). NaN where no term is valid or nothing bounds the gradient. Depends on the loss's
    scale: at temperature 0.07 a hundredth is a gradient of 0.29.
    """
    limit = torch.as_tensor(bound, dtype=torch.float64, device=norms.device)
    above = [(valid & (norms > (10.0**-exponent * limit).unsqueeze(-1))).sum(-1) for exponent in exponents]
    shares = torch.stack(above, dim=-1).double() / valid.sum(-1, keepdim=True)
    return torch.where(limit.isfinite().unsqueeze(-1), shares, torch.nan)


def loss_decay_epoch(losses: Sequence[float], *, share: float = 0.1, floor: float = 0.0) -> int | None:
    """First epoch (1-based) whose mean loss, in excess of `floor`, is at most `share` of that before training.

    `losses[0]` is one pass before training, `losses[e]` the mean over the steps of epoch e. None: never, a censored
    value, not a missing one.

    >>> loss_decay_epoch([1.0, 0.5, 0.09, 0.2]), loss_decay_epoch([1.0, 0.5])
    (2, None)
    """
    for epoch, loss in enumerate(losses[1:], start=1):
        if loss - floor <= share * (losses[0] - floor):
            return epoch
    return None


def loss_decay_epoch_excess(losses: Sequence[float], floor: float = 0.0) -> int | None:
    """The loss-decay epoch of the loss in excess of its floor, which a loss that can't reach 0 reaches too.

    >>> loss_decay_epoch_excess([2.3, 1.5, 1.4], floor=1.38), loss_decay_epoch([2.3, 1.5, 1.4])
    (2, None)
    """
    return loss_decay_epoch(losses, floor=floor)


def _progress(ratios: Sequence[float]) -> list[float] | None:
    """Share of the total change of log ratio covered by each epoch; None where there is nothing to cover."""
    if len(ratios) < 2 or not all(math.isfinite(ratio) and ratio > 0 for ratio in ratios):
        return None
    logs = [math.log(ratio) for ratio in ratios]
    total = logs[-1] - logs[0]
    return [(log - logs[0]) / total for log in logs] if total else None


def compaction_epoch(ratios: Sequence[float]) -> float | None:
    """First, interpolated, epoch at which log(intra/inter ratio) has covered half of its total change.

    `ratios[0]` before training. A speed of compaction that needs no loss, so it compares across losses.

    >>> compaction_epoch([1.0, 0.5, 0.25]), compaction_epoch([1.0, 0.1, 0.1])
    (1.0, 0.5)
    """
    progress = _progress(ratios)
    if progress is None:
        return None
    after = next(epoch for epoch, covered in enumerate(progress) if covered >= 0.5)
    before = progress[after - 1]
    return after - 1 + (0.5 - before) / (progress[after] - before)


def compaction_area(ratios: Sequence[float]) -> float | None:
    """Area between the curve of `compaction_epoch` and its end, as a share of training: 0 at once, ½ linear.

    >>> compaction_area([1.0, 0.5, 0.25])
    0.5
    """
    progress = _progress(ratios)
    if progress is None:
        return None
    gaps = [1 - covered for covered in progress]
    return sum((left + right) / 2 for left, right in pairwise(gaps)) / (len(gaps) - 1)
