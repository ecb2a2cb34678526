"""The common probe: one P x K batch of the training split, the same for every loss of a seed, with all of its terms.

Samplers differ between losses, and so do the samples that a step sees; on the probe every loss is asked about the same
samples. Everything is computed in float64 from embeddings that are handed in: nothing of a run is touched. Three views of
the gradient:

    by sample    |tangential ∂L/∂z_i| of L = mean over valid terms, in all roles of a sample: who is moved
    by term      |tangential ∂ℓ_t/∂z| with respect to the term's first member, the others fixed: what still pulls
    by pair      |∂L/∂s_ij| for every similarity: how hard a pair is weighted
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.diagnostics.concentration import (
    CURVE,
    gradient_effective_share,
    gradient_participation,
    gradient_share_90,
    gradient_share_curve,
)
from losscope.diagnostics.gradients import tangential_norms
from losscope.diagnostics.greediness import active_ratio, active_ratio_negative, active_ratio_positive
from losscope.distances import unit_length
from losscope.errors import InvalidStudy
from losscope.losses.reductions import mean_over_valid
from losscope.seeds import generator
from losscope.training.composition import balanced
from losscope.training.records import Row
from losscope.training.roles import anchors_apart, by_anchor, roles_apart
from losscope.types import LossTerms, Pairs, Samples, Tuples

CLASSES, PER_CLASS = 16, 4
"""Of a probe batch; all triplets of 64 samples are 11,520."""

NUDGE = 1e-5
"""Length of the coordinate by which similarities are varied; squared distances shift by its square."""

THRESHOLDS = (1, 2, 3)
"""Negative powers of ten: shares of the largest possible gradient above which a term counts as active."""

DECADES = range(-5, 3)
"""Powers of ten of a pair's weight over the mean weight; the first takes everything below the second."""

Terms = Callable[[Tensor, Tuples, Tensor | None], LossTerms]


@dataclass(frozen=True)
class Probed:
    """A loss on the probe batch of one run, in float64.

    terms     `(embeddings, tuples, proxies) -> LossTerms`, masked
    residual  the same for each term's distance from its goal, 0 to 1
    bound     of the tangential gradient of one term; None where none is known
    """

    terms: Terms
    residual: Terms | None
    bound: float | None
    embeddings: Tensor  # (samples, dim), unit length unless the loss takes others
    labels: Tensor  # (samples,)
    tuples: Tuples
    proxies: Tensor | None  # (classes, dim)


def probe_batch(labels: np.ndarray, seed: int) -> np.ndarray | None:
    """Rows of the probe of one seed; labels (samples,) of the training split. None where classes are too small."""
    counts = np.unique(labels[labels >= 0], return_counts=True)[1]
    classes = min(CLASSES, int((counts >= PER_CLASS).sum()))
    try:
        return balanced(labels, classes, PER_CLASS, generator(seed, "probe"))[0]
    except InvalidStudy:
        return None


def probe_rows(probed: Probed, run: int, epoch: int) -> Iterator[Row]:
    """Everything that is measured on the probe of one run, in the split "probe"."""
    for name, item, value in _measured(probed):
        yield run, "probe", epoch, name, item, value


def _measured(probed: Probed) -> Iterator[tuple[str, int | None, float]]:
    terms = probed.terms(probed.embeddings, probed.tuples, probed.proxies)
    yield "active_ratio", None, active_ratio(terms).item()
    if isinstance(probed.tuples, Pairs):
        yield "active_ratio_positive", None, active_ratio_positive(terms, probed.tuples.same).item()
        yield "active_ratio_negative", None, active_ratio_negative(terms, probed.tuples.same).item()
    if probed.residual is not None:
        left = probed.residual(probed.embeddings, probed.tuples, probed.proxies)
        yield "residual_mass", None, mean_over_valid(left).item()
    norms = sample_norms(probed)
    yield "gradient_norm_embedding_tangential", None, norms.mean().item()
    yield "gradient_share_90", None, gradient_share_90(norms).item()
    yield "gradient_participation", None, gradient_participation(norms).item()
    yield "gradient_effective_share", None, gradient_effective_share(norms).item()
    for percent, share in zip(CURVE, gradient_share_curve(norms).tolist(), strict=True):
        yield "gradient_share_curve", percent, share
    right = satisfied(probed.embeddings, probed.labels)
    fraction, base = (norms[right].sum() / norms.sum()).item(), right.double().mean().item()
    yield "greedy_fraction", None, fraction
    yield "satisfied_share", None, base
    yield "greedy_ratio", None, fraction / base if base else float("nan")
    if probed.bound is not None:
        pulls = term_norms(probed) / probed.bound
        for power in THRESHOLDS:
            yield "relative_activity", power, (pulls > 10.0**-power).double().mean().item()
    weights, positive = pair_weights(probed)
    total = weights.sum()
    yield "pair_weight_mean", None, weights.mean().item()
    yield "pair_weight_positive", None, (weights[positive].sum() / total).item()
    decade = (weights / weights.mean()).log10().floor().nan_to_num(nan=DECADES[0], neginf=DECADES[0])
    for power in DECADES:
        yield "pair_weight", power, (decade.clamp(DECADES[0], DECADES[-1]) == power).double().mean().item()


def sample_norms(probed: Probed) -> Tensor:
    """|tangential ∂L/∂z_i| (samples,)."""
    leaf = probed.embeddings.detach().requires_grad_()
    with torch.enable_grad():
        loss = mean_over_valid(probed.terms(leaf, probed.tuples, probed.proxies))
    return tangential_norms(_gradient(loss, leaf), unit_length(probed.embeddings))


def term_norms(probed: Probed) -> Tensor:
    """|tangential gradient| of each valid term with respect to its first member, the others fixed. Where an anchor has
    several terms against the same candidates it counts once, with their mean."""
    found = []
    for part in anchors_apart(probed.tuples):
        leaf = probed.embeddings[part.anchor].detach().requires_grad_()
        with torch.enable_grad():
            everything = torch.cat([leaf, probed.embeddings.detach()])
            values, valid = by_anchor(probed.terms(everything, part.tuples, probed.proxies), len(leaf))
        norms = tangential_norms(_gradient(values.sum(), leaf), unit_length(leaf.detach()))
        found.append(norms[valid])
    return torch.cat(found)


def pair_weights(probed: Probed) -> tuple[Tensor, Tensor]:
    """|∂L/∂s_ij| of all pairs i < j of samples, or of all samples and class vectors; and which pairs are positive.

    For any loss that is a function of similarities or distances: an anchor's row is [z_i, α_i], a candidate's
    [z_j, ε e_j], so that their similarity is s_ij + ε α_ij, and ∂L/∂α_ij at α = 0 is ε ∂L/∂s_ij.
    """
    points, proxies = probed.embeddings.detach(), probed.proxies
    keys = points if proxies is None else unit_length(proxies)
    varied = points.new_zeros(len(points), len(keys)).requires_grad_()
    marked = torch.cat([keys, NUDGE * torch.eye(len(keys), dtype=keys.dtype, device=keys.device)], dim=1)
    with torch.enable_grad():
        anchors, tuples = torch.cat([points, varied], dim=1), roles_apart(probed.tuples, len(points))
        if proxies is None:
            terms = probed.terms(torch.cat([anchors, marked]), tuples, None)
        else:
            terms = probed.terms(anchors, tuples, marked)
        loss = mean_over_valid(terms)
    weights = (_gradient(loss, varied) / NUDGE).abs()
    if isinstance(probed.tuples, Samples):
        place = torch.arange(len(keys), device=keys.device)
        return weights.flatten(), (probed.tuples.target.unsqueeze(1) == place).flatten()
    first, second = torch.triu_indices(len(points), len(points), offset=1, device=points.device)
    same = probed.labels[first] == probed.labels[second]
    return (weights + weights.T)[first, second], same


def satisfied(embeddings: Tensor, labels: Tensor) -> Tensor:
    """Which samples (samples,) of a probe have their own class nearest, by cosine and without themselves; the first of
    several equally near ones counts."""
    points = unit_length(embeddings)
    similarities = (points @ points.T).fill_diagonal_(-torch.inf)
    return labels[similarities.argmax(1)] == labels


def _gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    """∂loss/∂leaf, zeros where the loss doesn't depend on it."""
    if not loss.requires_grad:
        return torch.zeros_like(leaf)
    (found,) = torch.autograd.grad(loss, leaf, allow_unused=True, materialize_grads=True)
    return found
