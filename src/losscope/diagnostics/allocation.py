"""Who gets the gradient of a step, and which way it pulls: from embeddings, labels and ∂L/∂Z alone, for any loss.

With u_i the direction of sample i's descent along the sphere, n_i = |(I - zzᵀ) ∂L/∂z_i| its size,
a_i the tangential direction from z_i to the mean of the other samples of its class, and b_i that to the nearest sample
of another class,

    pull = Σ n_i [u_i·a_i]₊ / Σ n_i         push = Σ n_i [-u_i·b_i]₊ / Σ n_i

over samples that have such a partner. They needn't sum to 1: one step can pull and push at once, or do neither.

A sample is the harder, the nearer a wrong sample is compared with its own class: hardness = max_wrong cos - mean_own cos.
Labels -1 are wrong for everybody and have no class of their own. Leading axes, such as steps, pass through.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.diagnostics.gradients import tangential_norms
from losscope.types import OUTLIER

DECILES = 10


def active_rows(gradient: Tensor) -> Tensor:
    """Share of samples with any gradient, from ∂L/∂Z (..., samples, dim): (...).

    A row-level ratio: with all pairs of a batch nearly every sample has some gradient, so it is far above the term's.
    """
    return (gradient != 0).any(-1).double().mean(-1)


def gradient_pull(embeddings: Tensor, gradient: Tensor, labels: Tensor) -> Tensor:
    """Share of the tangential gradient that moves samples towards their own class: (...); NaN without any gradient.

    embeddings of unit length and gradient (..., samples, dim), labels (..., samples).
    """
    same, _ = _relations(labels)
    others = same.to(embeddings.dtype) @ embeddings / same.sum(-1, keepdim=True).clamp_min(1)
    return _share(embeddings, gradient, others, same.any(-1), towards=True)


def gradient_push(embeddings: Tensor, gradient: Tensor, labels: Tensor) -> Tensor:
    """Share of the tangential gradient that moves samples away from the nearest sample of another class: (...)."""
    _, wrong = _relations(labels)
    cosines = embeddings @ embeddings.transpose(-1, -2)
    nearest = torch.where(wrong, cosines, -torch.inf).argmax(-1)
    points = torch.take_along_dim(embeddings, nearest.unsqueeze(-1), dim=-2)
    return _share(embeddings, gradient, points, wrong.any(-1), towards=False)


def gradient_by_hardness(embeddings: Tensor, gradient: Tensor, labels: Tensor) -> Tensor:
    """Share of the tangential gradient norm of each decile of hardness, hardest first: (..., 10); NaN without gradient.

    Samples without a partner or without a wrong sample count with the easiest. 0.1 everywhere: blind to hardness.
    """
    same, wrong = _relations(labels)
    cosines = embeddings @ embeddings.transpose(-1, -2)
    own = (cosines * same).sum(-1) / same.sum(-1)
    nearest = torch.where(wrong, cosines, -torch.inf).amax(-1)
    hardness = torch.where(same.any(-1), nearest - own, -torch.inf)
    order = hardness.argsort(dim=-1, descending=True, stable=True)
    norms = tangential_norms(gradient, embeddings).double().gather(-1, order)
    place = torch.arange(norms.shape[-1], device=norms.device) * DECILES // norms.shape[-1]
    sums = torch.zeros(*norms.shape[:-1], DECILES, dtype=norms.dtype, device=norms.device)
    sums.scatter_add_(-1, place.expand_as(norms), norms)
    return sums / norms.sum(-1, keepdim=True)


def gradient_by_class(embeddings: Tensor, gradient: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """Classes (classes,) of one batch and the share of its tangential gradient norm that each gets: (classes,).

    embeddings and gradient (samples, dim), labels (samples,); outliers are the class -1 here.
    """
    norms = tangential_norms(gradient, embeddings).double()
    classes, place = torch.unique(labels, return_inverse=True)
    sums = torch.zeros(len(classes), dtype=norms.dtype, device=norms.device).index_add_(0, place, norms)
    return classes, sums / norms.sum()


def _relations(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Masks (..., samples, samples): another sample of the same class; a sample of another class or of none."""
    equal = labels.unsqueeze(-1) == labels.unsqueeze(-2)
    classed = (labels != OUTLIER).unsqueeze(-1)
    itself = torch.eye(labels.shape[-1], dtype=torch.bool, device=labels.device)
    return equal & classed & ~itself, ~(equal & classed) & ~itself


def _share(embeddings: Tensor, gradient: Tensor, points: Tensor, has: Tensor, *, towards: bool) -> Tensor:
    descent = -_tangential(gradient, embeddings)
    norms = torch.linalg.vector_norm(descent, dim=-1)
    direction = normalize(_tangential(points - embeddings, embeddings), dim=-1)
    along = (descent * direction).sum(-1)
    moved = torch.where(has, (along if towards else -along).clamp_min(0), 0.0)
    share: Tensor = moved.double().sum(-1) / norms.double().sum(-1)
    return share


def _tangential(vectors: Tensor, embeddings: Tensor) -> Tensor:
    radial = (vectors * embeddings).sum(-1, keepdim=True)
    return torch.addcmul(vectors, radial, embeddings, value=-1)
