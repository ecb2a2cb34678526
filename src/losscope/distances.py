"""Distances that are safe to differentiate. Leading run axes `...` pass through everything here.

Two forms. The direct form takes differences: exact for near points, one row of differences for each pair. The Gram
form |a - b|² = |a|² + |b|² - 2 a·b costs one matrix product for all pairs of a batch (40 times faster at 512
samples) but rounds at about 1e-7 of the squared norms, also on the diagonal. `pair_squared_distances` takes the
direct form where there are about as many pairs as samples, the Gram form where there are many more.
"""

from __future__ import annotations

import functools
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn.functional import relu, threshold

EPSILON = 1e-12
"""Floor of a squared distance under a square root: keeps the gradient finite, and exactly 0, for equal points."""


def gram(points: Tensor) -> Tensor:
    """All dot products (..., samples, samples) of the rows of `points` (..., samples, dim)."""
    products: Tensor = _Gram.apply(points)  # type: ignore[no-untyped-call]
    return products


class _Gram(torch.autograd.Function):
    """ZZᵀ, whose gradient (G + Gᵀ)Z is one product where autograd's own takes two."""

    @staticmethod
    def forward(ctx: Any, points: Tensor) -> Tensor:
        ctx.save_for_backward(points)
        return points @ points.transpose(-1, -2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (points,) = ctx.saved_tensors
        # Under autocast the product has a narrower type than the points.
        together: Tensor = (gradient + gradient.transpose(-1, -2)).to(points.dtype) @ points
        return together


def gram_squared_distances(embeddings: Tensor) -> Tensor:
    """All squared distances (..., samples, samples) of the rows of `embeddings` (..., samples, dim), >= 0."""
    squares = embeddings.square().sum(-1)
    products = embeddings @ embeddings.transpose(-1, -2)  # plain, so that torch.func.vmap passes
    return relu(torch.sub(squares.unsqueeze(-1) + squares.unsqueeze(-2), products, alpha=2))


@functools.cache
def every_row(samples: int, device: torch.device) -> Tensor:
    """0, 1, ... `samples` - 1. One and the same tensor for each size and device, to be known by identity; not to be
    written to."""
    return torch.arange(samples, device=device)


def rows(matrix: Tensor, index: Tensor) -> Tensor:
    """Rows (..., n, dim) of `matrix` (..., samples, dim) at `index`, (n,) for all runs or (..., n)."""
    runs, (samples, dim) = matrix.shape[:-2], matrix.shape[-2:]
    offset = torch.arange(0, runs.numel() * samples, samples, device=matrix.device).view(*runs, 1)
    flat = (index + offset).expand(*runs, index.shape[-1])
    return matrix.reshape(-1, dim).index_select(0, flat.flatten()).view(*flat.shape, dim)


def entries(matrix: Tensor, row: Tensor, column: Tensor) -> Tensor:
    """Entries (..., n) of `matrix` (..., samples, samples) at (`row`, `column`), each (n,) or (..., n)."""
    flat = row * matrix.shape[-1] + column
    return torch.gather(matrix.flatten(-2), -1, flat.expand(*matrix.shape[:-2], flat.shape[-1]))


def pair_squared_distances(embeddings: Tensor, first: Tensor, second: Tensor) -> Tensor:
    """Squared distances (..., pairs) between the rows `first` and `second` of a batch (..., samples, dim)."""
    if first.shape[-1] <= 2 * embeddings.shape[-2]:
        return (rows(embeddings, first) - rows(embeddings, second)).square().sum(-1)
    return entries(gram_squared_distances(embeddings), first, second)


def distances(squared: Tensor) -> Tensor:
    """Square root with a zero gradient at 0 (a bare root gives NaN there).

    `threshold` is `clamp_min` with a vectorized backward pass, which counts in all pairs of a batch.
    """
    return threshold(squared, EPSILON, EPSILON).sqrt()


def unit_length(points: Tensor) -> Tensor:
    """z = x / |x| for each row of `points` (..., dim); 0 stays 0, with the gradient passed on unchanged."""
    unit: Tensor = _UnitLength.apply(points)  # type: ignore[no-untyped-call]
    return unit


class _UnitLength(torch.autograd.Function):
    """The gradient is the tangential part, (g - z (z·g)) / |x|, in one pass."""

    @staticmethod
    def forward(ctx: Any, points: Tensor) -> Tensor:
        length = torch.linalg.vector_norm(points, dim=-1, keepdim=True)
        length += length == 0
        unit: Tensor = points / length
        ctx.save_for_backward(unit, length)
        return unit

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        unit, length = ctx.saved_tensors
        radial = (gradient * unit).sum(-1, keepdim=True)
        tangential: Tensor = torch.addcmul(gradient, unit, radial, value=-1).div_(length)
        return tangential
