"""The map: every row on the first two principal components, which are fitted on a sample where rows are many."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from losscope.diagnosis.embeddings import CHUNK
from losscope.diagnosis.space import Similarity, measured_by
from losscope.seeds import generator

FITTED_ON = 20_000


class Projection(NamedTuple):
    """Places of all rows, and the share of the variance that each of the two components holds."""

    x: np.ndarray
    y: np.ndarray
    explained: tuple[float, float]
    method: str


def project(embeddings: np.ndarray, similarity: Similarity, seed: int) -> Projection:
    """Principal components of the rows, of unit length under cosine. Signs make the largest weight positive."""
    count = len(embeddings)
    rows = np.arange(count) if count <= FITTED_ON else np.sort(generator(seed, "map").choice(count, FITTED_ON, False))
    sample = _points(embeddings[rows], similarity)
    center = sample.mean(0)
    values, axes = _components(sample - center)
    axes = axes * np.sign(axes[np.abs(axes).argmax(0), np.arange(axes.shape[1])])
    places = np.zeros((count, 2))
    for start in range(0, count, CHUNK):
        part = slice(start, start + CHUNK)
        places[part, : axes.shape[1]] = (_points(embeddings[part], similarity) - center) @ axes
    total = max(float(values.sum()), np.finfo(float).tiny)
    shares = [max(float(value), 0.0) / total for value in values[:2]] + [0.0]
    return Projection(places[:, 0], places[:, 1], (shares[0], shares[1]), "PCA")


def _components(centered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances, decreasing, and the first two axes (dim, 2 or fewer), by the smaller of the two Gram matrices."""
    count, dim = centered.shape
    if dim <= count:
        values, vectors = np.linalg.eigh(centered.T @ centered / count)
        return values[::-1], vectors[:, ::-1][:, :2]
    values, vectors = np.linalg.eigh(centered @ centered.T / count)
    axes = centered.T @ vectors[:, ::-1][:, :2]
    length = np.sqrt(np.square(axes).sum(0))
    return values[::-1], axes / np.where(length > 0, length, 1.0)


def project_umap(embeddings: np.ndarray, similarity: Similarity, seed: int, sample: int) -> Projection:
    """UMAP of a sample of the rows; the others have no place (NaN). Raises MissingDependency without umap-learn."""
    from losscope.geometry import plane

    labels = np.zeros(len(embeddings), np.int64)  # a map doesn't look at them
    found = plane(embeddings, labels, method="umap", similarity=measured_by(similarity), seed=seed, sample=sample)
    x, y = np.full(len(embeddings), np.nan), np.full(len(embeddings), np.nan)
    x[found.rows], y[found.rows] = found.x, found.y
    return Projection(x, y, (np.nan, np.nan), "UMAP")


def _points(rows: np.ndarray, similarity: Similarity) -> np.ndarray:
    points = rows.astype(np.float64)
    if similarity != "cosine":
        return points
    length = np.sqrt(np.square(points).sum(1, keepdims=True))
    unit: np.ndarray = points / np.where(length == 0, 1.0, length)
    return unit
