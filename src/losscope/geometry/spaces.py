"""Comparing two spaces over the same rows: how alike they are, and how alike their neighborhoods.

    CKA        ‖XᵀY‖² / (‖XᵀX‖ ‖YᵀY‖), columns centered          0 unrelated, 1 equal up to rotation and scale
    unbiased   the same with the unbiased estimate of each HSIC   around 0 for unrelated spaces, also with few rows
    overlap    share of a row's k nearest others that both spaces name

Kornblith, Norouzi, Lee and Hinton, "Similarity of neural network representations revisited", 2019; unbiased: Song et
al. 2012, in Nguyen, Raghu and Kornblith 2021. Both in feature space, linear in the number of rows.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.geometry.estimate import Estimate, over_units
from losscope.geometry.nearest import Nearest
from losscope.geometry.pairs import draw_queries, watch
from losscope.geometry.rows import Rows, Similarity, check_dim


@dataclass(frozen=True)
class SpaceComparison:
    """Two spaces over the same rows. Intervals over queries where these are a sample."""

    cka: float
    cka_unbiased: float
    neighborhood_overlap: Estimate
    queries: np.ndarray  # (queries,) row numbers
    query_overlap: np.ndarray  # (queries,)
    k: int
    exact: bool


def compare_spaces(
    first: Any,
    second: Any,
    labels: Any,
    *,
    similarity: Similarity = "cosine",
    k: int = 10,
    chunk: int = 16_384,
    sample: int = 2_000,
    exact_up_to: int = 20_000,
    seed: int = 0,
    device: torch.device | str | None = None,
) -> SpaceComparison:
    """Compare embeddings (rows, dim) and (rows, other dim) of the same rows with integer labels (rows,).

    Raises InvalidInput for different numbers of rows, and as `describe`.
    """
    if k < 1 or sample < 1:
        raise InvalidInput(f"k is {k} and sample is {sample}; expected 1 or more")
    if first.shape[0] != second.shape[0]:
        raise InvalidInput(f"{first.shape[0]} and {second.shape[0]} rows; expected the same rows in both spaces")
    spaces = [Rows(one, labels, similarity=similarity, chunk=chunk, device=device) for one in (first, second)]
    near = []
    for rows in spaces:
        check_dim(rows.dim)
        queries = draw_queries(rows, sample=sample, exact_up_to=exact_up_to, seed=seed)
        found = Nearest(queries, k)
        watch(rows, queries, [found])
        near.append(found)
    there = near[0].rows >= 0
    shared = (near[0].rows.unsqueeze(2) == near[1].rows.unsqueeze(1)).any(2) & there
    overlap = _share(shared, there)
    biased, unbiased = cka(*spaces)
    return SpaceComparison(
        cka=biased,
        cka_unbiased=unbiased,
        neighborhood_overlap=over_units(overlap.cpu().numpy()),
        queries=queries.rows.cpu().numpy(),
        query_overlap=overlap.cpu().numpy(),
        k=k,
        exact=queries.exact,
    )


def cka(first: Rows, second: Rows) -> tuple[float, float]:
    """Linear CKA and its unbiased variant; NaN where a space has no spread, the second also below four rows."""
    means = [_mean(rows) for rows in (first, second)]
    cross = torch.zeros(first.dim, second.dim, dtype=torch.float64, device=first.device)
    own = [torch.zeros(rows.dim, rows.dim, dtype=torch.float64, device=rows.device) for rows in (first, second)]
    # With centered columns, the sums of rows vanish: (K̃1)ᵢ = -|xᵢ|², and 1ᵀK̃1 = -Σ|xᵢ|².
    lengths: list[list[Tensor]] = [[], []]
    for (_, x), (_, y) in zip(first.chunks(), second.chunks(), strict=True):
        points = [x.double() - means[0], y.double() - means[1]]
        cross += points[0].T @ points[1]
        for place, one in enumerate(points):
            own[place] += one.T @ one
            lengths[place].append(one.square().sum(1))
    norms = [torch.cat(parts) for parts in lengths]
    products = [float(one.square().sum()) for one in (cross, *own)]
    biased = products[0] / math.sqrt(products[1] * products[2]) if min(products[1:]) > 0 else math.nan
    if len(first) < 4:
        return biased, math.nan
    h_xy, h_xx, h_yy = (
        _unbiased(product, a, b)
        for product, a, b in zip(products, (norms[0], norms[0], norms[1]), (norms[1], norms[0], norms[1]), strict=True)
    )
    return biased, h_xy / math.sqrt(h_xx * h_yy) if min(h_xx, h_yy) > 0 else math.nan


def _unbiased(product: float, a: Tensor, b: Tensor) -> float:
    """Unbiased HSIC but for its common factor, from ‖XᵀY‖² of centered columns and the squared lengths of the rows."""
    n, both = len(a), float((a * b).sum())
    return product - both + float(a.sum()) * float(b.sum()) / ((n - 1) * (n - 2)) - 2 / (n - 2) * both


def _mean(rows: Rows) -> Tensor:
    total = torch.zeros(rows.dim, dtype=torch.float64, device=rows.device)
    for _, points in rows.chunks():
        total += points.sum(0, dtype=torch.float64)
    return total / len(rows)


def _share(which: Tensor, of: Tensor) -> Tensor:
    return which.sum(1).double() / of.sum(1).clamp_min(1)
