"""Spaces that the tests of the geometry share."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor


def gaussian_classes(
    classes: int, rows: int, dim: int, *, apart: float = 2.0, seed: int = 0, dtype: torch.dtype = torch.float64
) -> tuple[Tensor, Tensor]:
    """Rows around random centers with a spread of 1 in each direction, in order of their class."""
    generator = torch.Generator().manual_seed(seed)
    centers = apart * torch.randn(classes, dim, generator=generator, dtype=torch.float64)
    labels = torch.arange(classes).repeat_interleave(rows)
    noise = torch.randn(len(labels), dim, generator=generator, dtype=torch.float64)
    return (centers[labels] + noise).to(dtype), labels


@pytest.fixture(scope="session")
def space() -> tuple[Tensor, Tensor]:
    """Seven classes of unequal size, one with a single row, and some rows without a class; float64."""
    embeddings, labels = gaussian_classes(7, 40, 12, apart=0.8, seed=5)
    labels = labels * 3 + 1
    labels[::17] = -1
    labels[labels == 19] = torch.where(torch.arange(int((labels == 19).sum())) == 0, 19, -1)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(2))
    return embeddings[order], labels[order]
