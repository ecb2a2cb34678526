"""Classes that look like two: whether a class splits better than a single Gaussian of its size would.

A class's rows are projected on their leading principal direction and cut in two where the sum of squares within the
halves is least, each half with at least a tenth of the rows. The gain is the share of the sum of squares that the cut
takes away: 2/π = 0.637 for a large Gaussian, 1 for two points. The null is the gain of a Gaussian with as many rows,
measured in the same way on draws: with the spectrum of all classes together, round, and along a single line. The
largest p decides, Holm's correction over classes follows. After SigClust (Liu, Hayes, Nobel and Marron, 2008), in one
dimension. Heavy tails can pass for two groups; two groups that differ little along the widest direction are missed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from losscope.seeds import generator

SIZES = (8, 10, 12, 16, 20, 24, 32, 40, 48, 64, 80, 96, 128)
"""Rows of a class that are looked at: the largest of these that it has, so that few nulls are needed."""

DRAWS = 600
DIRECTIONS = 256
"""Eigenvalues of the null's spectrum; the smaller ones spread evenly and don't turn the leading direction."""


def looked_at(count: int) -> int:
    """How many rows of a class with `count` are looked at; 0 if there are too few to tell."""
    return max((size for size in SIZES if size <= count), default=0)


def split_gain(points: Tensor) -> Tensor:
    """The gain (classes,) of each class of equally many points (classes, rows, dim); 0 where all are equal.

    >>> split_gain(torch.tensor([[[0.0], [0.0], [0.0], [0.0], [1.0], [1.0], [1.0], [1.0]]])).tolist()
    [1.0]
    """
    centered = points.double() - points.double().mean(1, keepdim=True)
    return _gain_of_gram(centered @ centered.transpose(1, 2))


def split_nulls(size: int, spectrum: Tensor, seed: int) -> list[Tensor]:
    """Gains (draws,) of single Gaussians of `size` rows: with this spectrum (dim,), round, and along a line."""
    draw = generator(seed, "geometry", "split", size)
    values = spectrum[:DIRECTIONS].double().clamp_min(0).cpu()
    found = []
    for scales in (values.sqrt(), torch.ones_like(values), torch.ones_like(values[:1])):
        rows = torch.from_numpy(draw.standard_normal((DRAWS, size, len(scales)))) * scales
        found.append(torch.cat([split_gain(part) for part in torch.split(rows, 50)]))
    return found


def split_p(gains: Tensor, nulls: Sequence[Tensor]) -> Tensor:
    """Chance (classes,) of a gain as large under the null, the largest over nulls.

    The tail of -log(1 - gain) is that of a Pearson type III distribution with the mean, variance and skewness of the
    draws: a normal one is too thin there.
    """
    return torch.stack([_tail(_log(gains), _log(null)) for null in nulls]).amax(0)


def _tail(values: Tensor, draws: Tensor) -> Tensor:
    standard = (draws - draws.mean()) / draws.std()
    at = (values - draws.mean()) / draws.std()
    skewness = float((standard**3).mean())
    if skewness < 0.01:
        normal: Tensor = torch.special.ndtr(-at)
        return normal
    shape = 4 / skewness**2
    tail: Tensor = torch.special.gammaincc(torch.full_like(at, shape), (shape + shape**0.5 * at).clamp_min(0))
    return tail


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's adjusted p (tests,); NaN stays, and is no test."""
    adjusted = np.full_like(p, np.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted[order] = np.minimum(np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)), 1)
    return adjusted


def _log(gains: Tensor) -> Tensor:
    return -(1 - gains.double().cpu()).clamp_min(1e-12).log()


def _gain_of_gram(gram: Tensor) -> Tensor:
    values, vectors = torch.linalg.eigh(gram)
    along = (vectors[..., -1] * values[..., -1:].clamp_min(0).sqrt()).sort(dim=1).values
    size = along.shape[1]
    sums, total = along.cumsum(1), along.sum(1, keepdim=True)
    left = torch.arange(1, size + 1, device=gram.device, dtype=gram.dtype)
    mean = total / size
    between = (
        left[:-1]
        * (size - left[:-1])
        / size
        * (sums[:, :-1] / left[:-1] - (total - sums[:, :-1]) / (size - left[:-1])).square()
    )
    least = max(size // 10, 1)
    best = between[:, least - 1 : size - least].amax(1)
    squares = (along - mean).square().sum(1)
    return torch.where(squares > 0, best / torch.where(squares > 0, squares, 1), 0).clamp(0, 1)
