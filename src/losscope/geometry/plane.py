"""A map of the space: a sample of rows in the plane, by principal components or by UMAP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from losscope.errors import InvalidInput
from losscope.geometry.rows import Rows, Similarity
from losscope.seeds import generator


@dataclass(frozen=True)
class Plane:
    """Positions of some rows; `explained` is the share of the variance along x and y, None for UMAP."""

    rows: np.ndarray  # (sample,) row numbers, rising
    x: np.ndarray
    y: np.ndarray
    explained: tuple[float, float] | None


def plane(
    embeddings: Any,
    labels: Any,
    *,
    method: Literal["pca", "umap"] = "pca",
    similarity: Similarity = "cosine",
    sample: int = 2_000,
    seed: int = 0,
) -> Plane:
    """Positions of at most `sample` seeded rows of the embeddings (rows, dim).

    Raises InvalidInput for an unknown method or bad rows, MissingDependency for UMAP without the package umap-learn.
    """
    if method not in ("pca", "umap"):
        raise InvalidInput(f"the map's method is {method!r}; expected 'pca' or 'umap'")
    rows = Rows(embeddings, labels, similarity=similarity)
    chosen = draw_rows(len(rows), sample, seed).to(rows.device)
    points = rows.take(chosen)
    if method == "pca":
        return principal_plane(points, chosen)
    from losscope.geometry.umap import umap_plane

    return umap_plane(points, chosen, seed)


def draw_rows(count: int, sample: int, seed: int) -> Tensor:
    """At most `sample` of `count` row numbers, rising."""
    if count <= sample:
        return torch.arange(count)
    drawn = generator(seed, "geometry", "plane").choice(count, size=sample, replace=False)
    return torch.from_numpy(np.sort(drawn))


def principal_plane(points: Tensor, rows: Tensor) -> Plane:
    """The two principal components of points (sample, dim) with the row numbers `rows` (sample,).

    The sign of each axis is such that its largest loading is positive, so that equal points give equal maps.
    """
    centered = points.double() - points.double().mean(0)
    values, vectors = torch.linalg.eigh(centered.T @ centered)
    axes = vectors.flip(1)[:, :2]
    axes = axes * torch.where(axes.gather(0, axes.abs().argmax(0, keepdim=True)) < 0, -1.0, 1.0)
    places = (centered @ axes).cpu().numpy()
    total = float(values.clamp_min(0).sum())
    shares = [float(value) / total if total > 0 else 0.0 for value in values.flip(0)[:2].clamp_min(0)]
    if places.shape[1] == 1:  # rows of one number
        places, shares = np.pad(places, ((0, 0), (0, 1))), [*shares, 0.0]
    return Plane(rows.cpu().numpy(), places[:, 0], places[:, 1], (shares[0], shares[1]))
