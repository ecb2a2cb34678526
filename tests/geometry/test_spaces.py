"""Comparing two spaces: CKA against its definition on kernels, neighborhoods by loops, gains of classes."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.errors import InvalidInput
from losscope.geometry import compare_spaces, describe
from losscope.geometry import rows as rows_module


def naive_cka(x: np.ndarray, y: np.ndarray) -> tuple[float, float]:
    """Biased from centered kernels, unbiased from kernels without a diagonal (Song et al. 2012, eq. 4)."""
    n = len(x)
    center = np.eye(n) - 1 / n

    def biased(k: np.ndarray, other: np.ndarray) -> float:
        return float(np.trace(center @ k @ center @ other))

    def unbiased(k: np.ndarray, other: np.ndarray) -> float:
        a, b = k - np.diag(np.diag(k)), other - np.diag(np.diag(other))
        rest = a.sum() * b.sum() / (n - 1) / (n - 2) - 2 / (n - 2) * (a.sum(0) @ b.sum(0))
        return float(np.trace(a @ b) + rest) / n / (n - 3)

    k, other = x @ x.T, y @ y.T
    first, second = (
        measure(k, other) / math.sqrt(measure(k, k) * measure(other, other)) for measure in (biased, unbiased)
    )
    return first, second


def test_cka_is_that_of_the_kernels(space: tuple[Tensor, Tensor]) -> None:
    first, labels = space
    second = torch.cat([first[:, :3] ** 2, first[:, :5] + 4], dim=1)
    found = compare_spaces(first, second, labels, similarity="euclidean", chunk=40)
    assert (found.cka, found.cka_unbiased) == pytest.approx(naive_cka(first.numpy(), second.numpy()), rel=1e-9)


def test_cka_of_rotated_and_of_unrelated_spaces() -> None:
    generator = torch.Generator().manual_seed(0)
    first, second = (torch.randn(40, 30, generator=generator, dtype=torch.float64) for _ in range(2))
    labels = torch.arange(40) % 4
    rotation = torch.linalg.qr(torch.randn(30, 30, generator=generator, dtype=torch.float64)).Q
    same = compare_spaces(first, 3 * first @ rotation, labels)
    assert (same.cka, same.cka_unbiased) == pytest.approx((1, 1))
    assert same.neighborhood_overlap.value == 1
    other = compare_spaces(first, second, labels, similarity="euclidean")
    assert other.cka > 0.3  # few rows: the biased form sees likeness everywhere
    assert abs(other.cka_unbiased) < 0.15


def test_neighborhoods_are_the_naive_ones(space: tuple[Tensor, Tensor]) -> None:
    first, labels = space
    second = first[:, :4]
    found = compare_spaces(first, second, labels, k=6, chunk=50)
    near = []
    for one in (first, second):
        cosines = normalize(one, dim=1) @ normalize(one, dim=1).T
        near.append(cosines.fill_diagonal_(-2).argsort(1, descending=True)[:, :6])
    shared = [len({*a} & {*b}) / 6 for a, b in zip(near[0].tolist(), near[1].tolist(), strict=True)]
    np.testing.assert_allclose(found.query_overlap, shared)
    assert found.neighborhood_overlap.value == pytest.approx(np.mean(shared))
    sampled = compare_spaces(first, second, labels, sample=60, exact_up_to=50)
    assert not sampled.exact
    assert len(sampled.queries) == len(sampled.query_overlap) == 60


def test_rows_too_long_for_matrices_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rows_module, "LARGEST", 3)
    long, labels = torch.eye(6)[:, :4], torch.arange(6) % 2
    for ask in (lambda: describe(long, labels), lambda: compare_spaces(long[:, :2], long, labels)):
        with pytest.raises(InvalidInput, match="rows of 4 numbers; expected at most 3"):
            ask()
