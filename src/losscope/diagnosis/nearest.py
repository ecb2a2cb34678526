"""The nearest gallery rows of some queries, in blocks of both: a page shows them, no measure is made of them.

Candidates come from float32 products of rows that are centered and scaled, so that no offset and no scale drowns them;
their order and their distances are then found in float64, from the rows themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from losscope.diagnosis.embeddings import CHUNK
from losscope.diagnosis.space import Similarity

QUERIES, GALLERY = 2048, 8192
"""Rows of a block."""
NUMBERS = 2**21
"""Numbers of candidates that are compared again at a time: 16 MB in float64."""


class _Frame(NamedTuple):
    """What is taken from all rows, and what they are divided by."""

    center: np.ndarray  # (dim,)
    scale: float


def nearest(
    queries: np.ndarray,
    gallery: np.ndarray,
    k: int,
    similarity: Similarity,
    own: np.ndarray | None = None,
    *,
    device: str = "cpu",
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (queries, k) of the gallery, nearest first, and their distance: 1 - cosine, Euclidean, or - inner product.

    `own` is the row of the gallery that each query is, never its own neighbor. Fewer than k where the gallery is small.
    """
    others = len(gallery) - (own is not None)
    k, pool = min(k, others), min(2 * k + 10, others)
    frame = _frame(gallery, similarity)
    rows, values = np.empty((len(queries), k), np.int64), np.empty((len(queries), k))
    for start in range(0, len(queries), QUERIES):
        part = slice(start, min(start + QUERIES, len(queries)))
        here = None if own is None else own[part]
        found = _candidates(queries[part], gallery, pool, similarity, frame, here, device)
        step = max(1, NUMBERS // (max(pool, 1) * gallery.shape[1]))
        for at in range(0, len(found), step):
            some, to = found[at : at + step], slice(start + at, min(start + at + step, part.stop))
            rows[to], values[to] = _ordered(queries[to], gallery, some, k, similarity)
        if progress is not None:
            progress("neighbors", part.stop, len(queries))
    return rows, values


def _frame(gallery: np.ndarray, similarity: Similarity) -> _Frame:
    center = np.zeros(gallery.shape[1])
    if similarity == "cosine":
        return _Frame(center, 1.0)
    blocks = [slice(start, start + CHUNK) for start in range(0, len(gallery), CHUNK)]
    if similarity == "euclidean":
        center = sum(gallery[block].sum(0, dtype=np.float64) for block in blocks) / len(gallery)
    return _Frame(center, max(float(np.abs(gallery[block] - center).max()) for block in blocks) or 1.0)


def _candidates(
    queries: np.ndarray, gallery: np.ndarray, pool: int, similarity: Similarity, frame: _Frame,
    own: np.ndarray | None, device: str,
) -> np.ndarray:  # fmt: skip
    """Rows (queries, pool) that are nearest to rounding in float32."""
    points = _points(queries, similarity, frame, device, asks=True)
    best, place = points.new_empty(len(points), 0), torch.empty(len(points), 0, dtype=torch.int64, device=device)
    for start in range(0, len(gallery), GALLERY):
        others = _points(gallery[start : start + GALLERY], similarity, frame, device, asks=False)
        scores = points @ others.T
        if similarity == "euclidean":
            scores = 2 * scores - others.square().sum(1)
        if own is not None:
            here = np.flatnonzero((own >= start) & (own < start + GALLERY))
            scores[torch.from_numpy(here), torch.from_numpy(own[here] - start)] = -torch.inf
        values, at = _above(scores, best[:, -1:]) if best.shape[1] == pool else scores.topk(min(pool, scores.shape[1]))
        best, place = torch.cat([best, values], 1), torch.cat([place, at + start], 1)
        best, kept = best.topk(min(pool, best.shape[1]), dim=1)
        place = place.gather(1, kept)
    candidates: np.ndarray = place.cpu().numpy()
    return candidates


def _above(scores: Tensor, least: Tensor) -> tuple[Tensor, Tensor]:
    """Scores (queries, most) above the `least` (queries, 1) and their columns; -inf where a query has fewer."""
    row, column = (scores > least).nonzero().unbind(1)
    count = torch.bincount(row, minlength=len(scores))
    slot = torch.arange(len(row), device=row.device) - (count.cumsum(0) - count)[row]
    values = scores.new_full((len(scores), int(count.max())), -torch.inf)
    columns = torch.zeros_like(values, dtype=torch.int64)
    values[row, slot], columns[row, slot] = scores[row, column], column
    return values, columns


def _points(rows: np.ndarray, similarity: Similarity, frame: _Frame, device: str, *, asks: bool) -> Tensor:
    """Float32 points; the length of a query decides nothing about inner products, so it may be its own scale."""
    points = rows.astype(np.float64)
    if similarity == "cosine":
        points = _unit(points)
    elif similarity == "inner_product" and asks:
        points = _moderate(points)
    else:
        points = (points - frame.center) / frame.scale
    return torch.from_numpy(points.astype(np.float32)).to(device)


def _ordered(
    queries: np.ndarray, gallery: np.ndarray, found: np.ndarray, k: int, similarity: Similarity
) -> tuple[np.ndarray, np.ndarray]:
    """The first k of the candidates (queries, pool) by distance, then by row; distances by difference, in float64."""
    asking = queries.astype(np.float64)[:, None]
    shown = gallery[found.ravel()].astype(np.float64).reshape(*found.shape, gallery.shape[1])
    if similarity == "inner_product":
        values = -(asking * shown).sum(2)
    elif similarity == "euclidean":
        values = np.sqrt(np.square(asking - shown).sum(2))
    else:
        asking, shown = _unit(asking), _unit(shown)
        values = np.square(asking - shown).sum(2) / 2
        values[~(asking.any(2) & shown.any(2))] = 1.0  # a zero row has no direction: similarity 0
    order = np.lexsort((found, values))[:, :k]
    return np.take_along_axis(found, order, 1), np.take_along_axis(values, order, 1)


def _moderate(points: np.ndarray) -> np.ndarray:
    """Each row over its largest number, so that no square overflows or vanishes."""
    largest = np.abs(points).max(-1, keepdims=True)
    scaled: np.ndarray = points / np.where(largest > 0, largest, 1.0)
    return scaled


def _unit(points: np.ndarray) -> np.ndarray:
    points = _moderate(points)
    length = np.sqrt(np.square(points).sum(-1, keepdims=True))
    unit: np.ndarray = points / np.where(length > 0, length, 1.0)
    return unit
