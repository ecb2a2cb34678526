"""The common probe: one P x K batch of the training split, the same for every loss of a seed, with all of its terms.

Samplers differ between losses, and so do the samples that a step sees; on the probe every loss is asked about the same
samples; labels are those that are trained on, also where a protocol shuffles them. Everything is computed in float64 from embeddings that are handed in: nothing of a run is touched. Three views of
the gradient:

    by sample    |tangential ∂L/∂z_i| of L = mean over valid terms, in all roles of a sample: who is moved
    by term      |tangential ∂ℓ_t/∂z| with respect to the term's first member, the others fixed: what still pulls
    by pair      |∂L/∂s_ij| for every similarity: how hard a pair is weighted
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from losscope.diagnostics import (
    active_ratio,
    active_ratio_negative,
    active_ratio_positive,
    gradient_effective_share,
    gradient_participation,
    gradient_share_90,
    gradient_share_curve,
    greedy_fraction,
    greedy_ratio,
    pair_weight,
    pair_weight_mean,
    pair_weight_positive,
    relative_activity,
    residual_mass,
    satisfied,
    satisfied_share,
    tangential_norms,
)
from losscope.diagnostics.concentration import CURVE
from losscope.diagnostics.gradients import by_direction
from losscope.diagnostics.greediness import EXPONENTS
from losscope.diagnostics.pair_weights import DECADES
from losscope.distances import unit_length
from losscope.losses.reductions import mean_over_sides, mean_over_valid
from losscope.seeds import generator
from losscope.training.records import Row
from losscope.training.roles import anchors_apart, by_anchor, roles_apart
from losscope.types import OUTLIER, LossTerms, Pairs, Samples, Tuples

CLASSES, PER_CLASS = 16, 4
"""Of a probe batch; all triplets of 64 samples are 11,520."""

NUDGE = 1e-5
"""Length of the coordinate by which similarities are varied; squared distances shift by its square."""

Terms = Callable[[Tensor, Tuples, Tensor | None], LossTerms]


@dataclass(frozen=True)
class Probed:
    """A loss on the probe batch of one run, in float64.

    terms     `(embeddings, tuples, proxies) -> LossTerms`, masked
    residual  the same for each term's distance from its goal, 0 to 1; None where none is known
    bound     of the tangential gradient of one term; None where none is known
    roles     whether a row's roles can be taken apart: terms that are a function of similarities, in any dimension
    sides     whether positive and negative pairs are averaged apart, as in the protocol
    """

    terms: Terms
    residual: Terms | None
    bound: float | None
    embeddings: Tensor  # (samples, dim), unit length unless the loss takes others
    labels: Tensor  # (samples,)
    tuples: Tuples
    proxies: Tensor | None  # (classes, dim)
    roles: bool = True
    sides: bool = False

    def reduced(self, terms: LossTerms, tuples: Tuples) -> Tensor:
        """The loss as the protocol reduces it, a scalar."""
        return (
            mean_over_sides(terms, tuples.same) if self.sides and isinstance(tuples, Pairs) else mean_over_valid(terms)
        )


def probe_batch(labels: np.ndarray, seed: int) -> np.ndarray | None:
    """Rows of the probe of one seed; labels (samples,) of the training split. Fewer classes where fewer have enough
    samples; None where less than two have."""
    places = [np.flatnonzero(labels == label) for label in np.unique(labels[labels != OUTLIER])]
    large = [rows for rows in places if len(rows) >= PER_CLASS]
    if len(large) < 2:
        return None
    random = generator(seed, "probe")
    chosen = random.permutation(len(large))[:CLASSES]
    return np.concatenate([random.choice(large[place], PER_CLASS, replace=False) for place in chosen])


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
        yield "residual_mass", None, residual_mass(left).item()
    norms = sample_norms(probed)
    yield "gradient_norm_embedding_tangential", None, norms.mean().item()
    yield "gradient_share_90", None, gradient_share_90(norms).item()
    yield "gradient_participation", None, gradient_participation(norms).item()
    yield "gradient_effective_share", None, gradient_effective_share(norms).item()
    yield from _items("gradient_share_curve", CURVE, gradient_share_curve(norms))
    happy = satisfied(probed.embeddings, probed.labels)
    yield "greedy_fraction", None, greedy_fraction(norms, happy).item()
    yield "satisfied_share", None, satisfied_share(happy).item()
    yield "greedy_ratio", None, greedy_ratio(norms, happy).item()
    if probed.bound is not None:
        yield from _items("relative_activity", EXPONENTS, relative_activity(*term_norms(probed), probed.bound))
    if probed.roles:
        weights, positive = pair_weights(probed)
        yield "pair_weight_mean", None, pair_weight_mean(weights).item()
        yield "pair_weight_positive", None, pair_weight_positive(weights, positive).item()
        yield from _items("pair_weight", DECADES, pair_weight(weights))


def _items(name: str, items: Iterable[int], values: Tensor) -> Iterator[tuple[str, int, float]]:
    for item, value in zip(items, values.tolist(), strict=True):
        yield name, item, value


def sample_norms(probed: Probed) -> Tensor:
    """|tangential ∂L/∂z_i| (samples,), z_i the direction of a sample."""
    leaf = probed.embeddings.detach().requires_grad_()
    with torch.enable_grad():
        loss = probed.reduced(probed.terms(leaf, probed.tuples, probed.proxies), probed.tuples)
    return _along_the_sphere(loss, leaf)


def term_norms(probed: Probed) -> tuple[Tensor, Tensor]:
    """|tangential gradient| of each term with respect to its first member, the others fixed, and which terms are valid:
    both (terms,). Where an anchor has several terms against the same candidates it counts once, with their mean."""
    norms, valid = [], []
    for part in anchors_apart(probed.tuples):
        leaf = probed.embeddings[part.anchor].detach().requires_grad_()
        with torch.enable_grad():
            everything = torch.cat([leaf, probed.embeddings.detach()])
            terms = by_anchor(probed.terms(everything, part.tuples, probed.proxies), len(leaf))
        norms.append(_along_the_sphere(terms.values.sum(), leaf))
        valid.append(terms.valid)
    return torch.cat(norms), torch.cat(valid)


def pair_weights(probed: Probed) -> tuple[Tensor, Tensor]:
    """|∂L/∂s_ij| of all pairs i < j of samples, or of all samples and class vectors; and which pairs are positive.

    For any loss that is a function of similarities or distances: an anchor's row is [z_i, α_i], a candidate's
    [z_j, ε e_j], so that their similarity is s_ij + ε α_ij, and ∂L/∂α_ij at α = 0 is ε ∂L/∂s_ij. A pair that meets in
    both roles has one similarity, and the two derivatives add up. s_ij are cosines: of embeddings of any length, whose
    products are |z_i||z_j| s_ij, the derivative takes that factor.
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
        loss = probed.reduced(terms, tuples)
    lengths = torch.linalg.vector_norm(points, dim=1, keepdim=True) * torch.linalg.vector_norm(keys, dim=1)
    slopes = _gradient(loss, varied) * lengths / NUDGE
    if isinstance(probed.tuples, Samples):
        place = torch.arange(len(keys), device=keys.device)
        kept = probed.tuples.valid
        return slopes[kept].flatten().abs(), (probed.tuples.target.unsqueeze(1) == place)[kept].flatten()
    first, second = torch.triu_indices(len(points), len(points), offset=1, device=points.device)
    same = probed.labels[first] == probed.labels[second]
    return (slopes + slopes.T)[first, second].abs(), same


def _along_the_sphere(loss: Tensor, leaf: Tensor) -> Tensor:
    """Norms (rows,) of the gradient with respect to the directions of the rows of `leaf`."""
    return tangential_norms(*by_direction(_gradient(loss, leaf), leaf.detach()))


def _gradient(loss: Tensor, leaf: Tensor) -> Tensor:
    """∂loss/∂leaf, zeros where the loss doesn't depend on it."""
    if not loss.requires_grad:
        return torch.zeros_like(leaf)
    (found,) = torch.autograd.grad(loss, leaf, allow_unused=True, materialize_grads=True)
    return found
