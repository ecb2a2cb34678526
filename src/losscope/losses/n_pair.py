"""N-pair loss.

    ℓᵢ = log(1 + Σ_{j ≠ i} exp κ(fᵢ·fⱼ⁺ - fᵢ·fᵢ⁺)) + λ (|fᵢ|² + |fᵢ⁺|²)/2

over the pairs (fᵢ, fᵢ⁺) of a block, one of each class. Always active: the softmax never reaches its target. With unit
length and κ = 1 the loss can't fall below log(1 + (N - 1)e^{-N/(N-1)}), 1.377 of log 10 = 2.303 at N = 10, so a scale
is needed. Sohn, "Improved Deep Metric Learning with Multi-class N-pair Loss Objective", NIPS 2016: embeddings that are
not normalized (`unit_length=False`), κ = 1, λ = 0.02.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import softplus

from losscope.distances import entries
from losscope.losses.binding import along
from losscope.losses.softmax import excluded, log_sum_exp
from losscope.types import Blocks, LossTerms


def n_pair(
    embeddings: Tensor, blocks: Blocks, *, scale: float | Tensor = 10.0, penalty: float | Tensor = 0.0
) -> LossTerms:
    """Terms (..., blocks, pairs) for `embeddings` (..., samples, dim); `scale` κ > 0, `penalty` λ >= 0 on squared norms.

    A block of one class has no term. Not symmetric: positives are never anchors of the same block.

    Relations: pytorch-metric-learning's NPairsLoss takes the first pair of each class as one block, normalizes
    embeddings and has no scale.

    >>> z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.0, 1.0]])
    >>> block = Blocks(*map(torch.tensor, ([[0, 2]], [[1, 3]], [[True, True]])))
    >>> [round(value, 4) for value in n_pair(z, block, scale=1.0).values[0].tolist()]  # log(1 + e^-0.8), log(1 + e^-0.4)
    [0.3711, 0.513]
    """
    anchor, positive, valid = blocks
    shape = (*embeddings.shape[:-2], *anchor.shape[-2:])
    anchor, positive, paired = (part.expand(shape) for part in blocks)
    gram = embeddings @ embeddings.transpose(-1, -2)
    square = (*shape, shape[-1])
    row, column = anchor.unsqueeze(-1).expand(square), positive.unsqueeze(-2).expand(square)
    found = entries(gram, row.flatten(-3), column.flatten(-3)).view(square)
    logits = found * along(scale, found.ndim)
    own = torch.eye(shape[-1], dtype=torch.bool, device=logits.device)
    against = log_sum_exp(excluded(logits, own | ~paired.unsqueeze(-2)))
    valid = paired & (paired.sum(-1, keepdim=True) > 1)
    values = softplus(against - logits.diagonal(dim1=-2, dim2=-1))
    if isinstance(penalty, Tensor) or penalty:
        squares = embeddings.square().sum(-1)
        norms = [squares.gather(-1, part.flatten(-2)).view(shape) for part in (anchor, positive)]
        values = values + along(penalty, values.ndim) * (norms[0] + norms[1]) / 2
    return LossTerms(values * valid.to(values.dtype), valid)


def n_pair_residual(
    embeddings: Tensor, blocks: Blocks, *, scale: float | Tensor = 10.0, penalty: float | Tensor = 0.0
) -> LossTerms:
    """1 - q of each pair's own positive, whatever the penalty."""
    values, valid = n_pair(embeddings, blocks, scale=scale)
    return LossTerms(-torch.expm1(-values), valid)
