"""PCA-whitened inputs (Jégou and Chum, ECCV 2012): frozen features in which no direction outweighs another.

    y = Λ^(-1/2) Vᵀ (x - μ),   then y / ‖y‖

μ, V and Λ are the mean, the principal axes and the variances along them of the training inputs alone. A baseline
between raw features and trained embeddings: it needs no label and no loss, and a linear layer can express it.
"""

from __future__ import annotations

import numpy as np

from losscope.errors import InvalidInput

TOLERANCE = 1e-6
"""Axes whose variance is below this share of the largest are dropped: their noise would be blown up to 1."""


def pca_whitened(train: np.ndarray, *others: np.ndarray, dim: int | None = None) -> tuple[np.ndarray, ...]:
    """`train` and `others`, (samples, ...) each, as rows (samples, axes) float32 of unit length, in this order.

    Axes are sorted by variance, the largest first, at most `dim` of them; the sign of each is arbitrary. A row that
    equals the mean of `train` stays zero. All is computed in float64. Raises InvalidInput if the rows of `train` are
    all equal, if shapes differ, or if `dim` is below 1.
    """
    shapes = {inputs.shape[1:] for inputs in (train, *others)}
    if len(shapes) > 1:
        raise InvalidInput(f"the samples to whiten have the shapes {sorted(shapes)}; expected one shape")
    if dim is not None and dim < 1:
        raise InvalidInput(f"dim = {dim} axes to whiten; expected at least 1, or None for all")
    rows = _rows(train)
    if (rows == rows[0]).all():
        raise InvalidInput(f"all {len(rows)} training inputs are equal; expected inputs that vary, to whiten them")
    mean = rows.mean(axis=0)
    axes, variances = _principal_axes(rows - mean)
    scaled = (axes / np.sqrt(variances))[:, :dim]
    return tuple(_unit((_rows(inputs) - mean) @ scaled) for inputs in (train, *others))


def _principal_axes(centered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Axes (dim, axes) with norm 1, and the variances along them (axes,), descending, without those near 0."""
    samples, dim = centered.shape
    few = samples < dim  # then the products of samples have the same variances, and are the smaller matrix
    products = (centered @ centered.T if few else centered.T @ centered) / (samples - 1)
    variances, vectors = np.linalg.eigh(products)
    kept = np.flatnonzero(variances > TOLERANCE * variances[-1])[::-1]
    variances, vectors = variances[kept], vectors[:, kept]
    if few:
        vectors = centered.T @ vectors
        vectors /= np.linalg.norm(vectors, axis=0)
    return vectors, variances


def _rows(inputs: np.ndarray) -> np.ndarray:
    """Inputs (samples, ...) as rows (samples, dim) float64."""
    rows: np.ndarray = inputs.reshape(len(inputs), -1).astype(np.float64)
    return rows


def _unit(rows: np.ndarray) -> np.ndarray:
    """Rows scaled to length 1, as float32; a row of zeros stays one."""
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: np.ndarray = np.divide(rows, lengths, out=np.zeros_like(rows), where=lengths > 0).astype(np.float32)
    return unit
