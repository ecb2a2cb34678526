"""Who gets the gradient: against loops over samples in float64, and known answers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from losscope import Criterion
from losscope.diagnostics import (
    active_rows,
    gradient_by_class,
    gradient_by_hardness,
    gradient_pull,
    gradient_push,
)


def scene(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    points = torch.nn.functional.normalize(torch.randn(23, 5, generator=random, dtype=torch.float64), dim=-1)
    gradient = torch.randn(23, 5, generator=random, dtype=torch.float64)
    labels = torch.randint(-1, 5, (23,), generator=random)
    return points, gradient, labels


def tangential(vector: Tensor, point: Tensor) -> Tensor:
    return vector - (vector @ point) * point


def naive(points: Tensor, gradient: Tensor, labels: Tensor) -> tuple[float, float, list[float]]:
    """Pull, push and shares by decile of hardness, sample by sample."""
    count, total, pull, push = len(points), 0.0, 0.0, 0.0
    hardness, norms = [], []
    for i in range(count):
        down = -tangential(gradient[i], points[i])
        norm = down.norm().item()
        total += norm
        norms.append(norm)
        own = [j for j in range(count) if j != i and labels[j] == labels[i] != -1]
        wrong = [j for j in range(count) if j != i and (labels[j] != labels[i] or labels[i] == -1)]
        if own:
            towards = tangential(points[own].mean(0) - points[i], points[i])
            pull += max(0.0, (down @ towards / towards.norm()).item())
        if wrong:
            nearest = max(wrong, key=lambda j: (points[i] @ points[j]).item())
            towards = tangential(points[nearest] - points[i], points[i])
            push += max(0.0, -(down @ towards / towards.norm()).item())
        hard = -math.inf
        if own and wrong:
            hard = max((points[i] @ points[j]).item() for j in wrong) - (points[own] @ points[i]).mean().item()
        hardness.append(hard)
    order = sorted(range(count), key=lambda i: -hardness[i])
    deciles = [0.0] * 10
    for place, i in enumerate(order):
        deciles[place * 10 // count] += norms[i] / total
    return pull / total, push / total, deciles


@pytest.mark.parametrize("seed", range(5))
def test_shares_equal_a_loop_over_samples(seed: int) -> None:
    points, gradient, labels = scene(seed)
    pull, push, deciles = naive(points, gradient, labels)
    assert gradient_pull(points, gradient, labels).item() == pytest.approx(pull, abs=1e-12)
    assert gradient_push(points, gradient, labels).item() == pytest.approx(push, abs=1e-12)
    assert gradient_by_hardness(points, gradient, labels).tolist() == pytest.approx(deciles, abs=1e-12)
    classes, shares = gradient_by_class(points, gradient, labels)
    norms = torch.stack([tangential(g, z).norm() for g, z in zip(gradient, points, strict=True)])
    for label, share in zip(classes.tolist(), shares.tolist(), strict=True):
        assert share == pytest.approx((norms[labels == label].sum() / norms.sum()).item(), abs=1e-12)


def test_steps_are_measured_apart() -> None:
    scenes = [scene(seed) for seed in range(3)]
    stacked = [torch.stack(parts) for parts in zip(*scenes, strict=True)]
    for measure in (gradient_pull, gradient_push, gradient_by_hardness):
        alone = torch.stack([measure(*one) for one in scenes])
        assert torch.allclose(measure(*stacked), alone, atol=1e-12)


@pytest.mark.parametrize(("side", "measure"), [("pull", gradient_pull), ("push", gradient_push)])
def test_a_loss_of_one_side_only_pulls_or_only_pushes(side: str, measure: object) -> None:
    points = torch.nn.functional.normalize(torch.randn(12, 4, dtype=torch.float64), dim=-1).requires_grad_()
    labels = torch.arange(12) // 6
    means = torch.stack([(points[labels == c].sum(0) - 0) for c in labels])  # of own class, itself included
    cosines = points @ points.T
    wrong = torch.where(labels.unsqueeze(1) == labels, -torch.inf, cosines.detach())
    nearest = points.detach()[wrong.argmax(1)]
    others = (means.detach() - points.detach()) / 5
    loss = -(points * others).sum() if side == "pull" else (points * nearest).sum()
    loss.backward()
    assert points.grad is not None
    found = measure(points.detach(), points.grad, labels)  # type: ignore[operator]
    assert found.item() == pytest.approx(1.0, abs=1e-9)


def test_rows_without_gradient_are_not_active() -> None:
    gradient = torch.zeros(2, 4, 3)
    gradient[0, 1, 2] = 1e-30
    assert active_rows(gradient).tolist() == [0.25, 0.0]


def test_without_gradient_nothing_is_shared() -> None:
    points, gradient, labels = scene(0)
    none = torch.zeros_like(gradient)
    assert gradient_pull(points, none, labels).isnan()
    assert gradient_by_hardness(points, none, labels).isnan().all()


def test_hard_samples_get_most_of_a_triplet_loss_whose_easy_terms_are_done() -> None:
    random = torch.Generator().manual_seed(0)
    labels = torch.arange(60) % 6
    noise = torch.where(torch.arange(60) < 12, 0.8, 0.05).unsqueeze(1)  # a fifth of the samples is hard
    points = torch.eye(6)[labels] + noise * torch.randn(60, 6, generator=random)
    points = torch.nn.functional.normalize(points, dim=-1).requires_grad_()
    Criterion("triplet", margin=0.2)(points, labels).backward()
    assert points.grad is not None
    deciles = gradient_by_hardness(points.detach(), points.grad, labels)
    assert deciles[:3].sum() > 2 * deciles[-3:].sum()
