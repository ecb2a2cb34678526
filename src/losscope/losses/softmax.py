"""What the softmax losses share: masked log-sum-exp without NaN, log(1 + e^x), similarities, cosines with class
vectors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from losscope.distances import every_row, gram, rows, unit_length
from losscope.losses.binding import along
from losscope.losses.reductions import indicator
from losscope.types import Contrasts, Samples

NEVER = -1e30
"""Logit of an excluded candidate. Finite, so that a row without any candidate gives no NaN."""


def _softmax(logits: Tensor, excluded: Tensor, dim: int) -> tuple[Tensor, Tensor]:
    """The softmax without the excluded candidates, and the logarithm of its denominator."""
    # As a product: filling by mask is scalar on a CPU. Rounding leaves NEVER as it is.
    kept = torch.add(logits, indicator(excluded, logits.dtype), alpha=NEVER)
    share = kept.softmax(dim)
    return share, kept.amax(dim).sub_(share.amax(dim).log_())


def log_sum_exp(logits: Tensor, excluded: Tensor, dim: int = -1) -> Tensor:
    """log Σ exp over the axis `dim`, without the candidates that are `excluded` (bool, broadcasts to the logits).

    About `NEVER`, so that no term follows from it, where all candidates are excluded.
    """
    total: Tensor = _LogSumExp.apply(logits, excluded, dim)  # type: ignore[no-untyped-call]
    return total


class _LogSumExp(torch.autograd.Function):
    """Keeps the softmax, which is the gradient: half the passes that a mask and torch.logsumexp take."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, excluded: Tensor, dim: int) -> Tensor:
        share, total = _softmax(logits, excluded, dim)
        ctx.save_for_backward(share)
        ctx.dim = dim
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        (share,) = ctx.saved_tensors
        return share * gradient.unsqueeze(ctx.dim), None, None


def cross_entropy(logits: Tensor, target: Tensor, excluded: Tensor) -> Tensor:
    """-Σ t log q over the last axis, q the softmax of the `logits` without the candidates that are `excluded` (bool);
    `target` t sums to 1. Where it is 0 all along the value means nothing."""
    values: Tensor = _CrossEntropy.apply(logits, target, excluded)  # type: ignore[no-untyped-call]
    return values


class _CrossEntropy(torch.autograd.Function):
    """log Σ e^s - Σ t s, whose gradient is q - t."""

    @staticmethod
    def forward(ctx: Any, logits: Tensor, target: Tensor, excluded: Tensor) -> Tensor:
        share, total = _softmax(logits, excluded, -1)
        ctx.save_for_backward(share, target)
        return total.sub_((logits * target).sum(-1))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        share, target = ctx.saved_tensors
        return (share - target).mul_(gradient.unsqueeze(-1)), None, None


def softplus(values: Tensor) -> Tensor:
    """log(1 + e^x) of each value x.

    torch's own rounds a value by its place in memory (its last few go another way), so that a run would get other bits
    in a stack than alone.
    """
    total: Tensor = _Softplus.apply(values)  # type: ignore[no-untyped-call]
    return total


class _Softplus(torch.autograd.Function):
    """As max(x, 0) + log(1 + e^-|x|), whose gradient is 1/2 at 0."""

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        small = values.abs().neg_().exp_()
        ctx.save_for_backward(values, small)
        return values.relu().add_(small.log1p())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        values, small = ctx.saved_tensors
        share: Tensor = values.clamp_max(0).exp_().div_(small + 1)
        return share.mul_(gradient)


def similarities(embeddings: Tensor, contrasts: Contrasts) -> Tensor:
    """Dot products (..., anchors, candidates) of the rows of a batch (..., samples, dim)."""
    anchor, candidate = contrasts.anchor, contrasts.candidate
    if anchor is candidate:  # as in all contrasts of a batch: half of the gradient's products, and nothing to gather
        whole = anchor is every_row(embeddings.shape[-2], embeddings.device)
        return gram(embeddings if whole else rows(embeddings, anchor))
    return rows(embeddings, anchor) @ rows(embeddings, candidate).transpose(-1, -2)


def class_cosines(
    embeddings: Tensor, samples: Samples, proxies: Tensor, scale: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine of each sample with its own class vector, log Σ exp of `scale` times those with the others, validity.

    embeddings (..., samples, dim), proxies (..., classes, dim); each part of the result (..., samples).
    """
    # Classes on the last axis but one: a softmax over few neighbors in memory is ten times slower on a CPU.
    cosines = unit_length(proxies) @ unit_length(embeddings).transpose(-1, -2)
    target = samples.target.expand(embeddings.shape[:-1]).unsqueeze(-2)
    own = cosines.gather(-2, target).squeeze(-2)
    of_own = target == torch.arange(cosines.shape[-2], device=cosines.device).unsqueeze(-1)
    others = log_sum_exp(cosines * along(scale, cosines.ndim), of_own, dim=-2)
    return own, others, samples.valid.expand(own.shape)
