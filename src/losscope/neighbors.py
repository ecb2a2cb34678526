"""Exact nearest neighbors by cosine similarity, in blocks of queries: never an N x N matrix.

Similarities are compared at a resolution of 2⁻²⁰ (about 1e-6), ten times the rounding error of a float32 dot
product: two neighbors nearer than that are tied. What becomes of ties is for the measures to say.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

RESOLUTION = 2.0**-20


def similarity_blocks(
    queries: Tensor, gallery: Tensor, *, exclude_self: bool = False, block: int = 512
) -> Iterator[tuple[slice, Tensor]]:
    """Blocks `(rows, similarities)` of unit-length queries (n, dim) against a gallery (m, dim).

    Similarities (rows, m) are multiples of RESOLUTION. With `exclude_self` query i is gallery row i, and its
    similarity with itself is -inf: removed by row id, never as "the first result".
    """
    transposed = gallery.T.contiguous()
    for start in range(0, len(queries), block):
        rows = slice(start, min(start + block, len(queries)))
        similarities = (queries[rows] @ transposed).div_(RESOLUTION).round_().mul_(RESOLUTION)
        if exclude_self:
            own = torch.arange(rows.start, rows.stop, device=queries.device)
            similarities[own - start, own] = -torch.inf
        yield rows, similarities
