"""Supervised contrastive loss (SupCon; paper B calls it SCL).

    L_out:  ℓᵢ = -1/|P(i)| Σ_{p ∈ P(i)} log q_ip                q_ia = e^{s_ia/τ} / Σ_{a' ≠ i} e^{s_ia'/τ}
    L_in:   ℓᵢ = -log 1/|P(i)| Σ_{p ∈ P(i)} q_ip  <=  L_out

Positives stand in the denominator too: with |P| positives L_out never falls below log |P|, and a positive with
q_ip > 1/|P| is pushed away; L_in never repels a positive. Always active. Khosla et al., "Supervised Contrastive
Learning", NeurIPS 2020, eqs. (2) and (3), τ = 0.1. With one positive for each anchor both are InfoNCE.
"""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.losses.binding import along
from losscope.losses.reductions import indicator
from losscope.losses.softmax import NEVER, cross_entropy, log_sum_exp, similarities
from losscope.types import Contrasts, LossTerms


def sup_con(
    embeddings: Tensor, contrasts: Contrasts, *, temperature: float | Tensor = 0.1, sum_outside: bool = True
) -> LossTerms:
    """Terms (..., anchors) for `embeddings` (..., samples, dim); `temperature` > 0; L_out if `sum_outside`, else L_in.

    An anchor without a positive has no term.

    Relations: the authors' code multiplies by τ/0.07 and keeps anchors without positives in the mean;
    pytorch-metric-learning averages the anchors whose loss is above 0.

    >>> z = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0]])
    >>> yes, no = torch.tensor([[False, True, False]]), torch.tensor([[False, False, True]])
    >>> one = Contrasts(torch.tensor([0]), torch.arange(3), yes, no)
    >>> round(sup_con(z, one, temperature=1.0).values.item(), 4)  # log(1 + e^-0.8)
    0.3711
    """
    logits = similarities(embeddings, contrasts) / along(temperature, embeddings.ndim)
    excluded = ~(contrasts.positive | contrasts.negative)
    positive = indicator(contrasts.positive, logits.dtype)
    count = positive.sum(-1)
    valid = count > 0
    if sum_outside:
        values = cross_entropy(logits, positive / count.clamp_min(1).unsqueeze(-1), excluded)
    else:
        attracted = log_sum_exp(logits, ~contrasts.positive) - count.clamp_min(1).log()
        values = log_sum_exp(logits, excluded) - attracted
    return LossTerms(values * indicator(valid, logits.dtype), valid)


def sup_con_residual(
    embeddings: Tensor, contrasts: Contrasts, *, temperature: float | Tensor = 0.1, sum_outside: bool = True
) -> LossTerms:
    """Total variation between q and its target: uniform over P(i) for L_out, all on P(i) for L_in."""
    logits = similarities(embeddings, contrasts) / along(temperature, embeddings.ndim)
    share = logits.masked_fill(~(contrasts.positive | contrasts.negative), NEVER).softmax(-1)
    positive = indicator(contrasts.positive, share.dtype)
    count = positive.sum(-1, keepdim=True)
    if sum_outside:
        missed = (share - positive / count.clamp_min(1)).abs().sum(-1) / 2
    else:
        missed = 1 - (share * positive).sum(-1)
    valid = count.squeeze(-1) > 0
    return LossTerms(torch.where(valid, missed, 0.0), valid)
