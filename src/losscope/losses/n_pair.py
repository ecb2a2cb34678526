"""N-pair loss.

    ℓᵢ = log(1 + Σ_{j ≠ i} exp κ(fᵢ·fⱼ⁺ - fᵢ·fᵢ⁺)) + λ (|fᵢ|² + |fᵢ⁺|²)/2

over the pairs (fᵢ, fᵢ⁺) of a block, one of each class. Always active: the softmax never reaches its target. With unit
length and κ = 1 the loss can't fall below log(1 + (N - 1)e^{-N/(N-1)}), 1.377 of log 10 = 2.303 at N = 10, so a scale
is needed. Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NIPS 2016: embeddings that are
not normalized (`unit_length=False`), κ = 1, λ = 0.02.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from losscope.distances import gram, rows
from losscope.losses.binding import along
from losscope.losses.reductions import indicator
from losscope.losses.softmax import log_sum_exp, softplus
from losscope.types import BatchBlocks, Blocks, LossTerms


def n_pair(
    embeddings: Tensor,
    blocks: Blocks | BatchBlocks,
    *,
    scale: float | Tensor = 10.0,
    penalty: float | Tensor = 0.0,
) -> LossTerms:
    """Terms of `embeddings` (..., samples, dim): (..., blocks, pairs), or (..., ranks, samples) for all of a batch.

    `scale` κ > 0, `penalty` λ >= 0 on squared norms. A block of one class has no term. Not symmetric: positives are
    never anchors of the same block.

    Relations: pytorch-metric-learning's NPairsLoss takes the first pair of each class as one block, normalizes
    embeddings and has no scale.

    >>> z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.0, 1.0]])
    >>> block = Blocks(*map(torch.tensor, ([[0, 2]], [[1, 3]], [[True, True]])))
    >>> [round(value, 4) for value in n_pair(z, block, scale=1.0).values[0].tolist()]  # log(1 + e^-0.8), log(1 + e^-0.4)
    [0.3711, 0.513]
    """
    penalized = isinstance(penalty, Tensor) or bool(penalty)
    if isinstance(blocks, BatchBlocks):
        dots, own, there, valid, squares = _within_batch(embeddings, blocks, penalized)
    else:
        dots, own, there, valid, squares = _within_blocks(embeddings, blocks, penalized)
    logits = dots * along(scale, dots.ndim)
    drawn = logits.gather(-2, own).squeeze(-2)
    of_own = own == torch.arange(logits.shape[-2], device=logits.device).unsqueeze(-1)
    against = log_sum_exp(logits, of_own | ~there, dim=-2)
    values = softplus(against - drawn)
    if squares is not None:
        values = values + along(penalty, values.ndim) * squares / 2
    return LossTerms(values * indicator(valid, values.dtype), valid)


def n_pair_residual(
    embeddings: Tensor,
    blocks: Blocks | BatchBlocks,
    *,
    scale: float | Tensor = 10.0,
    penalty: float | Tensor = 0.0,
) -> LossTerms:
    """1 - q of each pair's own positive, whatever the penalty."""
    values, valid = n_pair(embeddings, blocks, scale=scale)
    return LossTerms(-torch.expm1(-values), valid)


class _Contest(NamedTuple):
    """Anchors against the positives of their block. The classes of a block lie on the last axis but one: a softmax over
    ten neighbors in memory is ten times slower on a CPU than one across them."""

    dots: Tensor  # (..., blocks, classes, anchors)
    own: Tensor  # (..., blocks, 1, anchors) place of the own positive
    there: Tensor  # (..., blocks, classes, 1) bool; False for padding
    valid: Tensor  # (..., blocks, anchors) bool
    squares: Tensor | None  # (..., blocks, anchors) squared norms of both members


def _within_blocks(embeddings: Tensor, blocks: Blocks, with_squares: bool) -> _Contest:
    shape = (*embeddings.shape[:-2], *blocks.anchor.shape[-2:])
    anchors, positives = (
        rows(embeddings, part.expand(shape).flatten(-2)).view(*shape, -1) for part in (blocks.anchor, blocks.positive)
    )
    own = torch.arange(shape[-1], device=embeddings.device).expand(*shape[:-1], 1, -1)
    there = blocks.valid.expand(shape)
    valid = there & (there.sum(-1, keepdim=True) > 1)
    squares = (anchors.square() + positives.square()).sum(-1) if with_squares else None
    return _Contest(positives @ anchors.transpose(-1, -2), own, there.unsqueeze(-1), valid, squares)


def _within_batch(embeddings: Tensor, blocks: BatchBlocks, with_squares: bool) -> _Contest:
    runs, samples = embeddings.shape[:-2], embeddings.shape[-2]
    place, there = (part.expand(*runs, *part.shape[-2:]) for part in (blocks.positive, blocks.there))
    dots = rows(gram(embeddings), place.flatten(-2)).view(*place.shape, samples)
    own = blocks.own.expand(*runs, -1).unsqueeze(-2).unsqueeze(-2).expand(*place.shape[:-1], 1, samples)
    others = there.sum(-1, keepdim=True) > 1
    paired = there.unsqueeze(-1).expand(dots.shape).gather(-2, own).squeeze(-2)
    rank = blocks.rank.unsqueeze(-2)
    another = (rank >= 0) & (rank != torch.arange(place.shape[-2], device=rank.device).unsqueeze(-1))
    squares = None
    if with_squares:
        lengths = embeddings.square().sum(-1)
        partner = lengths.gather(-1, place.flatten(-2)).view(*place.shape, 1).expand(dots.shape)
        squares = lengths.unsqueeze(-2) + partner.gather(-2, own).squeeze(-2)
    return _Contest(dots, own, there.unsqueeze(-1), paired & others & another, squares)
