"""Exact nearest neighbors by similarity, in blocks: never an N x N matrix.

Similarities are compared at a resolution of 2⁻²⁰ (about 1e-6), ten times the rounding error of a float32 dot
product: two neighbors nearer than that are tied. What becomes of ties is for the measures to say. The *level* of a
similarity is the whole number of resolutions that it rounds to.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

RESOLUTION = 2.0**-20


def similarity_blocks(queries: Tensor, gallery: Tensor, *, block: int = 512) -> Iterator[tuple[slice, Tensor]]:
    """Blocks `(rows, similarities)` of unit-length queries (n, dim) against a gallery (m, dim); similarities (rows, m)
    are multiples of RESOLUTION."""
    transposed = gallery.T.contiguous()
    for start in range(0, len(queries), block):
        rows = slice(start, min(start + block, len(queries)))
        similarities = (queries[rows] @ transposed).div_(RESOLUTION).round_().mul_(RESOLUTION)
        yield rows, similarities


def level_of(similarities: Tensor) -> Tensor:
    """Levels (float32 whole numbers) of float32 similarities, halves to even.

    >>> level_of(torch.tensor([0.5, 0.5 + 2.0**-22, 0.5 + 2.0**-20])).tolist()
    [524288.0, 524288.0, 524289.0]
    """
    return similarities.div(RESOLUTION).round_()


def floor_of_level(levels: Tensor) -> Tensor:
    """The least float32 similarity that rounds to each of the float32 `levels`: one comparison with it stands for
    rounding and comparing levels. An infinite level has itself as its floor.

    >>> floor = floor_of_level(torch.tensor([7.0, 8.0]))
    >>> level_of(floor).tolist(), level_of(torch.nextafter(floor, torch.tensor(-1.0))).tolist()
    ([7.0, 8.0], [6.0, 7.0])
    """
    halfway = (levels - 0.5) * RESOLUTION  # exact in float32 for |level| up to 2²²; rounds to the even neighbor
    above = torch.nextafter(halfway, torch.full_like(halfway, torch.inf))
    return torch.where(levels % 2 == 0, halfway, above)
