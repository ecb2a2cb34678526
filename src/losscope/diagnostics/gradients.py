"""Sizes of gradients and updates, before any clipping. `runs` leading axes are kept.

The reduction of the loss belongs to every number here: under a sum over a batch of 64 terms all but `update_ratio`
are 64 times larger than under a mean. Class vectors (proxies, center banks) never count.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def _norms(vectors: Tensor) -> Tensor:
    """L2 norms over the last axis."""
    norms: Tensor = torch.linalg.vector_norm(vectors, dim=-1)
    return norms


def tensor_norms(gradients: Sequence[Tensor], *, runs: int = 0) -> Tensor:
    """L2 norm of each parameter tensor's gradient: (*runs, tensors)."""
    return torch.stack([_norms(part.flatten(runs)) for part in gradients], dim=-1)


def gradient_norm(gradients: Sequence[Tensor], *, runs: int = 0) -> Tensor:
    """L2 norm over all encoder parameters."""
    return _norms(tensor_norms(gradients, runs=runs))


def proxy_gradient_norm(gradients: Sequence[Tensor], *, runs: int = 0) -> Tensor:
    """L2 norm over the class vectors, or what else a loss trains of its own."""
    return gradient_norm(gradients, runs=runs)


def gradient_norm_tensor_mean(gradients: Sequence[Tensor], *, runs: int = 0) -> Tensor:
    """Mean over parameter tensors of the tensor's L2 norm: the reading that fits paper A's Table 2."""
    return tensor_norms(gradients, runs=runs).mean(dim=-1)


def gradient_norm_embedding(gradient: Tensor) -> Tensor:
    """Frobenius norm of ∂L/∂Z (..., samples, dim)."""
    return _norms(gradient.flatten(-2))


def tangential_norms(gradient: Tensor, embeddings: Tensor) -> Tensor:
    """|(I - zzᵀ) ∂L/∂z| of each sample, (..., samples): the part that moves an embedding along the unit sphere.

    Both arguments (..., samples, dim); embeddings of unit length.
    """
    radial = (gradient * embeddings).sum(-1, keepdim=True)
    # Projected before the norm: √(|g|² - radial²) would be rounding where a gradient is nearly radial.
    return _norms(torch.addcmul(gradient, radial, embeddings, value=-1))


def by_direction(gradient: Tensor, embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """The gradient with respect to the directions u/|u| of embeddings u of any length, and these directions, so that
    `tangential_norms(*by_direction(...))` compares with embeddings of unit length. Both (..., samples, dim).

    With u = |u| z and the length fixed, ∂L/∂z = |u| ∂L/∂u.
    """
    lengths = torch.linalg.vector_norm(embeddings, dim=-1, keepdim=True)
    return gradient * lengths, embeddings / lengths.clamp_min(torch.finfo(embeddings.dtype).tiny)


def gradient_norm_embedding_tangential(gradient: Tensor, embeddings: Tensor) -> Tensor:
    """Mean over samples of |(I - zzᵀ) ∂L/∂z|, the part that moves an embedding along the sphere (`tangential_norms`)."""
    return tangential_norms(gradient, embeddings).mean(-1)


def gradient_signal_fraction(total: Tensor, squares: Tensor, steps: int) -> Tensor:
    """|mean g|² / mean |g|² over steps: 1 where all steps pull alike, about 1/steps where they are noise.

    From the sum of the gradients (..., parameters) and the sum of their squared norms (...).
    """
    mean = total.double() / steps
    return mean.square().sum(-1) / (squares.double() / steps)


def update_norm(before: Tensor, after: Tensor) -> Tensor:
    """|Δθ| of a step, for parameters (..., parameters)."""
    return _norms(after - before)


def update_ratio(before: Tensor, after: Tensor) -> Tensor:
    """|Δθ| / |θ| of a step, for parameters (..., parameters): under Adam free of the loss's scale."""
    return _norms(after - before) / _norms(before)
