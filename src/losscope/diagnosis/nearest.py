"""The nearest gallery rows of some queries, exact, in blocks of both: a page shows them, no measure is made of them."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from losscope.diagnosis.space import Similarity

QUERIES, GALLERY = 1024, 32_768
"""Rows of a block."""


def nearest(
    queries: np.ndarray, gallery: np.ndarray, k: int, similarity: Similarity, own: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Rows (queries, k) of the gallery, nearest first, and their distance: 1 - cosine, Euclidean, or - inner product.

    `own` is the row of the gallery that each query is, never its own neighbor. Fewer than k where the gallery is small.
    """
    k = min(k, len(gallery) - (own is not None))
    rows, values = np.empty((len(queries), k), np.int64), np.empty((len(queries), k), np.float32)
    for start in range(0, len(queries), QUERIES):
        part = slice(start, start + QUERIES)
        best, place = _nearest(queries[part], gallery, k, similarity, None if own is None else own[part])
        rows[part], values[part] = place.numpy(), best.numpy()
    if similarity == "euclidean":
        return rows, np.sqrt(np.maximum(-values, 0))
    return rows, 1 - values if similarity == "cosine" else -values


def _nearest(
    queries: np.ndarray, gallery: np.ndarray, k: int, similarity: Similarity, own: np.ndarray | None
) -> tuple[Tensor, Tensor]:
    points = _points(queries, similarity)
    best, place = torch.empty(len(points), 0), torch.empty(len(points), 0, dtype=torch.int64)
    for start in range(0, len(gallery), GALLERY):
        others = _points(gallery[start : start + GALLERY], similarity)
        scores = points @ others.T
        if similarity == "euclidean":
            scores = 2 * scores - others.square().sum(1) - points.square().sum(1, keepdim=True)
        if own is not None:
            here = torch.from_numpy(np.flatnonzero((own >= start) & (own < start + GALLERY)))
            scores[here, torch.from_numpy(own)[here] - start] = -torch.inf
        found = scores.topk(min(k, scores.shape[1]), dim=1)
        best = torch.cat([best, found.values], 1)
        place = torch.cat([place, found.indices + start], 1)
        best, kept = best.topk(min(k, best.shape[1]), dim=1)
        place = place.gather(1, kept)
    return best, place


def _points(rows: np.ndarray, similarity: Similarity) -> Tensor:
    points = torch.from_numpy(np.ascontiguousarray(rows, np.float32))
    return normalize(points, dim=-1) if similarity == "cosine" else points
