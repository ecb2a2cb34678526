"""InfoNCE with labels.

    ℓ(i, p) = -log e^{s_ip/τ} / (e^{s_ip/τ} + Σ_{n ∈ N(i)} e^{s_in/τ}),        s = z·z'

One term for each positive pair; N(i) holds samples of other classes only, so a positive never competes with another.
Always active. Van den Oord, Li and Vinyals, "Representation Learning with Contrastive Predictive Coding", 2018, for
one positive; τ = 0.07 after He et al., "Momentum Contrast", 2020.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.losses.binding import along
from losscope.losses.reductions import indicator
from losscope.losses.softmax import log_sum_exp, similarities, softplus
from losscope.types import Contrasts, LossTerms


def info_nce(embeddings: Tensor, contrasts: Contrasts, *, temperature: float | Tensor = 0.07) -> LossTerms:
    """Terms (..., anchors, candidates), valid at the positives, for `embeddings` (..., samples, dim); `temperature` > 0.

    An anchor without a negative has no term.

    Relations: pytorch-metric-learning's NTXentLoss is this over all positive pairs; it builds a matrix of positive
    pairs x negative pairs, this one anchors x candidates.

    >>> z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> yes, no = torch.tensor([[False, True, False]]), torch.tensor([[False, False, True]])
    >>> one = Contrasts(torch.tensor([0]), torch.arange(3), yes, no)
    >>> round(info_nce(z, one, temperature=1.0).values[0, 1].item(), 4)  # log(1 + e^-0.8)
    0.3711
    """
    logits = similarities(embeddings, contrasts) / along(temperature, embeddings.ndim)
    against = log_sum_exp(logits, ~contrasts.negative).unsqueeze(-1)
    # As bytes: `any` of booleans is five times slower on a CPU, and an `and` that broadcasts twenty times.
    opposed = contrasts.negative.view(torch.uint8).amax(-1, keepdim=True)
    valid = (contrasts.positive.view(torch.uint8) & opposed).view(torch.bool)
    return LossTerms(softplus(against - logits) * indicator(valid, logits.dtype), valid)


def info_nce_residual(embeddings: Tensor, contrasts: Contrasts, *, temperature: float | Tensor = 0.07) -> LossTerms:
    """1 - q of each positive."""
    values, valid = info_nce(embeddings, contrasts, temperature=temperature)
    return LossTerms(-torch.expm1(-values), valid)
