"""What the softmax losses share: masked log-sum-exp without NaN, similarities, cosines with class vectors."""

from __future__ import annotations

import torch
from torch import Tensor

from losscope.distances import rows, unit_length
from losscope.losses.binding import along
from losscope.types import Contrasts, Samples

NEVER = -1e30
"""Logit of an excluded candidate. Finite, so that a row without any candidate has a gradient, and it is 0."""


def excluded(logits: Tensor, where: Tensor) -> Tensor:
    """Logits with the candidates `where` taken out of any softmax."""
    return logits.masked_fill(where, NEVER)


def log_sum_exp(logits: Tensor) -> Tensor:
    """log Σ exp over the last axis; about `NEVER` where all candidates are excluded."""
    return torch.logsumexp(logits, dim=-1)


def similarities(embeddings: Tensor, contrasts: Contrasts) -> Tensor:
    """Dot products (..., anchors, candidates) of the rows of a batch (..., samples, dim)."""
    return rows(embeddings, contrasts.anchor) @ rows(embeddings, contrasts.candidate).transpose(-1, -2)


def class_cosines(
    embeddings: Tensor, samples: Samples, proxies: Tensor, scale: float | Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Cosine of each sample with its own class vector, log Σ exp of `scale` times those with the others, validity.

    embeddings (..., samples, dim), proxies (..., classes, dim); each part of the result (..., samples).
    """
    cosines = unit_length(embeddings) @ unit_length(proxies).transpose(-1, -2)
    target = samples.target.expand(cosines.shape[:-1]).unsqueeze(-1)
    own = cosines.gather(-1, target).squeeze(-1)
    others = (cosines * along(scale, cosines.ndim)).scatter(-1, target, NEVER)
    return own, log_sum_exp(others), samples.valid.expand(own.shape)
