"""Centers by moving average: each class's own mean, in training mode alone, and nothing else."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.criterion import Criterion
from losscope.losses.centers import moved_centers
from losscope.losses.tuples import all_samples

LABELS = torch.tensor([0, 2, 2, 0, -1, 2])


def drawn(*shape: int, seed: int = 0) -> Tensor:
    points = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return normalize(points, dim=-1)


@pytest.mark.parametrize("momentum", [0.0, 0.5, 0.9])
def test_a_center_moves_to_the_mean_of_its_class(momentum: float) -> None:
    z, centers = drawn(6, 3), drawn(4, 3, seed=1)
    lengths = torch.arange(1.0, 7.0, dtype=torch.float64).unsqueeze(1)
    moved = moved_centers(centers, z * lengths, all_samples(LABELS), momentum)  # by their directions
    for label in range(4):
        rows = [row for row, own in enumerate(LABELS.tolist()) if own == label]
        if rows:
            expected = momentum * centers[label] + (1 - momentum) * sum(z[row] for row in rows) / len(rows)
            torch.testing.assert_close(moved[label], expected / expected.norm())
        else:
            assert torch.equal(moved[label], centers[label])


def test_runs_of_a_stack_move_their_own() -> None:
    z, centers = drawn(3, 6, 3), drawn(3, 4, 3, seed=1)
    labels = torch.stack([LABELS, LABELS.flip(0), torch.full_like(LABELS, -1)])
    moved = moved_centers(centers, z, all_samples(labels), 0.9)
    for run in range(3):
        alone = moved_centers(centers[run], z[run], all_samples(labels[run]), 0.9)
        torch.testing.assert_close(moved[run], alone)
    assert torch.equal(moved[2], centers[2])  # outliers move none


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_center_never_becomes_nan(value: float) -> None:
    z, centers = drawn(6, 3), drawn(4, 3, seed=1)
    z[1, 1] = value
    moved = moved_centers(centers, z, all_samples(LABELS), 0.9)
    assert torch.equal(moved[[1, 2, 3]], centers[[1, 2, 3]])
    assert moved[0].isfinite().all()


def test_criterion_moves_centers_in_training_mode_alone() -> None:
    criterion = Criterion("center_contrastive", classes=4, dim=3, momentum=0.9).double()
    assert criterion.proxies is not None
    assert not criterion.proxies.requires_grad
    z, before = drawn(6, 3), criterion.proxies.detach().clone()
    criterion.eval()
    value = criterion(z, LABELS)
    assert torch.equal(criterion.proxies, before)
    criterion.train()
    leaf = z.clone().requires_grad_()
    loss = criterion(leaf, LABELS)
    assert torch.equal(loss, value)  # the batch meets the centers as they were
    loss.backward()
    assert leaf.grad is not None
    assert leaf.grad.any()
    torch.testing.assert_close(criterion.proxies, moved_centers(before, z, all_samples(LABELS), 0.9))
    assert "proxies" in criterion.state_dict()
