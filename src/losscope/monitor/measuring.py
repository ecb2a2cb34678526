"""What a run of steps of one shape says: scalars for every step, shares by decile and class for those in full."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from losscope import diagnostics
from losscope.diagnostics.gradients import by_direction
from losscope.monitor.buffer import Step
from losscope.types import OUTLIER

Scalars = dict[str, Tensor]
"""Diagnostic -> value of each step (steps,)."""


class Item(NamedTuple):
    """One value of a diagnostic with items (a decile, a class), of one step."""

    step: Step
    diagnostic: str
    item: int
    value: float


@torch.no_grad()
def scalars(steps: Sequence[Step]) -> Scalars:
    """All scalars of steps of one shape, on their device: nothing is read here."""
    found: Scalars = {}
    for name in dict.fromkeys(name for step in steps for name in step.scalars):
        found[name] = torch.stack([step.scalars.get(name, _missing(step)).double() for step in steps])
    if all(step.loss is not None for step in steps):
        found["loss"] = torch.stack([step.loss for step in steps if step.loss is not None]).double()
    points, gradient, labels = (_stacked(steps, part) for part in ("embeddings", "gradient", "labels"))
    if labels is not None:
        found["batch_classes"] = diagnostics.batch_classes(labels).double()
        found["batch_positive_share"] = diagnostics.batch_positive_share(labels)
        found["batch_negative_share"] = diagnostics.batch_negative_share(labels)
    if points is None:
        return found
    size = points.shape[-2]
    found["batch_size"] = torch.full((len(steps),), float(size), dtype=torch.float64, device=points.device)
    points = points.to(torch.promote_types(points.dtype, torch.float32))
    lengths = torch.linalg.vector_norm(points, dim=-1)
    found["embedding_norm_mean"] = lengths.mean(-1).double()
    if labels is not None:
        found |= _variance(points, labels)
    if gradient is not None:
        gradient = gradient.to(points.dtype)
        found["gradient_norm_embedding"] = diagnostics.gradient_norm_embedding(gradient).double()
        found["active_rows"] = diagnostics.active_rows(gradient)
        norms = diagnostics.tangential_norms(*by_direction(gradient, points))
        found["gradient_norm_embedding_tangential"] = norms.mean(-1).double()
        found["gradient_share_90"] = diagnostics.gradient_share_90(norms)
    return found


@torch.no_grad()
def costly(step: Step) -> tuple[dict[str, float], list[Item]]:
    """What one step in full says beyond its scalars."""
    if step.embeddings is None:
        return {}, []
    points = step.embeddings.to(torch.promote_types(step.embeddings.dtype, torch.float32))
    if not bool(points.isfinite().all()) or len(points) < 2:
        return {}, []
    found = {"effective_rank_batch": diagnostics.effective_rank(points).item()}
    items: list[Item] = []
    if step.gradient is None or not bool(step.gradient.isfinite().all()):
        return found, items
    gradient, unit = by_direction(step.gradient.to(points.dtype), points)
    norms = diagnostics.tangential_norms(gradient, unit)
    curve = diagnostics.gradient_share_curve(norms).tolist()
    items += [Item(step, "gradient_share_curve", 10 * (place + 1), value) for place, value in enumerate(curve)]
    if step.labels is None:
        return found, items
    found["gradient_pull"] = diagnostics.gradient_pull(unit, gradient, step.labels).item()
    found["gradient_push"] = diagnostics.gradient_push(unit, gradient, step.labels).item()
    satisfied = diagnostics.satisfied(unit, step.labels)
    found["greedy_fraction"] = diagnostics.greedy_fraction(norms, satisfied).item()
    found["satisfied_share"] = diagnostics.satisfied_share(satisfied).item()
    deciles = diagnostics.gradient_by_hardness(unit, gradient, step.labels).tolist()
    items += [Item(step, "gradient_by_hardness", place + 1, value) for place, value in enumerate(deciles)]
    classes, shares = diagnostics.gradient_by_class(unit, gradient, step.labels)
    items += _by_class(step, classes, shares)
    return found, items


def _by_class(step: Step, classes: Tensor, shares: Tensor) -> Iterator[Item]:
    for label, share in zip(classes.tolist(), shares.tolist(), strict=True):
        yield Item(step, "gradient_by_class", label, share)


def _missing(step: Step) -> Tensor:
    """Of a scalar that other steps have: undefined, on the device of the step's own."""
    one = next(iter(step.scalars.values()), step.loss)
    return torch.tensor(torch.nan, device=one.device if one is not None else None)


def _stacked(steps: Sequence[Step], part: str) -> Tensor | None:
    tensors = [getattr(step, part) for step in steps]
    return None if any(one is None for one in tensors) else torch.stack(tensors)


def _variance(points: Tensor, labels: Tensor) -> Scalars:
    """Intra-class variance and inter-class distance of each batch, over its classes with two samples or more.

    Each step has classes of its own, so classes are places in the sorted batch: (steps, slots), as many as samples.
    """
    unit = torch.nn.functional.normalize(points, dim=-1).double()
    steps, samples, dim = unit.shape
    ordered, order = labels.sort(dim=-1, stable=True)
    fresh = torch.zeros_like(ordered)
    fresh[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    slot = fresh.cumsum(-1)
    rows = torch.take_along_dim(unit, order.unsqueeze(-1), dim=1)
    offset = torch.arange(steps, device=points.device).unsqueeze(-1) * samples
    flat = (slot + offset).flatten()
    counts = unit.new_zeros(steps * samples).index_add_(0, flat, unit.new_ones(steps * samples))
    sums = unit.new_zeros(steps * samples, dim).index_add_(0, flat, rows.flatten(0, 1))
    centroids = sums / counts.clamp_min(1).unsqueeze(-1)
    squares = (rows.flatten(0, 1) - centroids[flat]).square().sum(-1)
    variances = unit.new_zeros(steps * samples).index_add_(0, flat, squares) / counts.clamp_min(1)
    outlier = torch.zeros_like(counts, dtype=torch.bool).index_fill_(0, flat[(ordered == OUTLIER).flatten()], True)
    kept = ((counts >= 2) & ~outlier).view(steps, samples)
    classes = kept.sum(-1)
    intra = torch.where(kept, variances.view(steps, samples), 0.0).sum(-1) / classes
    within = torch.where(kept, (variances * counts).view(steps, samples), 0.0).sum(-1)
    degrees = torch.where(kept, counts.view(steps, samples) - 1, 0.0).sum(-1)
    # Mean of |μ_c - μ_c'|² over pairs in closed form: 2 (C Σ|μ|² - |Σμ|²) / (C (C - 1)).
    means = torch.where(kept.unsqueeze(-1), centroids.view(steps, samples, dim), 0.0)
    spread = classes * means.square().sum((-1, -2)) - means.sum(1).square().sum(-1)
    return {
        "intra_class_variance_batch": intra,
        "intra_class_variance_batch_unbiased": within / degrees,
        "inter_class_squared_distance_batch": torch.where(
            classes > 1, 2 * spread / (classes * (classes - 1)), torch.nan
        ),
    }
