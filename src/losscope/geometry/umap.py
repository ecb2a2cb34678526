"""UMAP maps, from the package umap-learn (McInnes, Healy and Melville 2018)."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from losscope.errors import MissingDependency
from losscope.geometry.plane import Plane


def umap_plane(points: Tensor, rows: Tensor, seed: int) -> Plane:
    """The UMAP of points (sample, dim) with the row numbers `rows`, the same for the same seed.

    Raises MissingDependency without umap-learn.
    """
    try:
        from umap import UMAP
    except ImportError as error:
        raise MissingDependency.of("umap-learn", "umap", "a UMAP map") from error
    neighbors = max(2, min(15, len(points) - 1))
    found = UMAP(n_neighbors=neighbors, random_state=seed, n_jobs=1).fit_transform(points.cpu().numpy())
    places = np.asarray(found, dtype=np.float64)
    return Plane(rows.cpu().numpy(), places[:, 0], places[:, 1], None)
