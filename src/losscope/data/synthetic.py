"""Gaussian classes with label noise and outliers: the toy data of "Comparing Contrastive and Triplet Loss".

    μ_c = 5 n,   Σ_c = A_c A_cᵀ + 10⁻³ I = L_c L_cᵀ,   x = μ_c + 1.4 · difficulty · L_c n,   n ~ N(0, I)

A_c is a full standard normal matrix. The label of each inlier is replaced with probability 0.1 by a class
drawn uniformly, its own included, so 9 % become wrong. Outliers are 15 n and have label -1. Section 3.1 of
arXiv 2510.02161. At difficulty 1 the noise (norm ≈ 179) drowns the centers (norm ≈ 57).

With one covariance for all classes there is something to learn that holds for other classes too: the directions in
which samples of a class vary least. A class-disjoint split, whose classes each seed draws anew, measures that.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from losscope.data.dataset import OUTLIER, Dataset, Split
from losscope.data.notes import joined_notes
from losscope.data.splits import DISJOINT, Disjoint
from losscope.seeds import generator

CENTER_SCALE, NOISE_SCALE, OUTLIER_SCALE, JITTER = 5.0, 1.4, 15.0, 1e-3


def synthetic(
    *,
    seed: int = 0,
    data_seed: Annotated[int, Field(ge=0)] | None = None,
    difficulty: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0,
    classes: Annotated[int, Field(ge=2)] = 10,
    samples_per_class: Annotated[int, Field(ge=1)] = 200,
    dim: Annotated[int, Field(ge=1)] = 128,
    outliers: Annotated[int, Field(ge=0)] = 100,
    label_noise: Annotated[float, Field(ge=0, le=1)] = 0.1,
    covariance: Literal["per_class", "shared"] = "per_class",
    split: Literal["fresh_draw", Disjoint] = "fresh_draw",
) -> Dataset:
    """Splits `train` (noisy labels), `train_clean` (same inputs), `heldout` (fresh draw, clean labels).

    Inputs are (classes * samples_per_class + outliers, dim), inliers first, class by class. `data_seed` fixes
    the draw for all runs; without it each run's `seed` draws centers, covariances and samples of its own.
    A class-disjoint split has `validation` and `test` in place of `heldout`, with the samples of their own classes; the
    noise of labels and the outliers are in `train` alone.
    """
    draw = seed if data_seed is None else data_seed
    centers, factors = _classes(draw, classes, dim, shared=covariance == "shared")
    clean = np.repeat(np.arange(classes), samples_per_class)
    labels = np.concatenate([clean, np.full(outliers, OUTLIER)])

    def inputs(split: str) -> np.ndarray:
        normal = generator(draw, "synthetic", split, "noise").standard_normal
        noise = _product(normal((classes, samples_per_class, dim)), factors.transpose(0, 2, 1))
        inliers = centers[:, None] + NOISE_SCALE * difficulty * noise
        far = OUTLIER_SCALE * generator(draw, "synthetic", split, "outliers").standard_normal((outliers, dim))
        return np.concatenate([inliers.reshape(-1, dim), far]).astype(np.float32)

    chance = generator(draw, "synthetic", "label noise")
    train = inputs("train")
    parts = {} if split == "fresh_draw" else DISJOINT[split](labels)
    seen = parts.get("train", np.ones(len(labels), dtype=bool))
    known = np.unique(labels[seen & (labels != OUTLIER)])
    replaced = chance.random(len(clean)) < label_noise
    noisy = labels.copy()
    noisy[: len(clean)] = np.where(replaced, known[chance.integers(len(known), size=len(clean))], clean)
    unseen = {name: Split(train[part], labels[part]) for name, part in parts.items() if name != "train"}
    told = train[seen] if parts else train
    return Dataset(
        name="/".join(["synthetic", *([split] if parts else [])]),
        splits={
            "train": Split(told, noisy[seen]),
            "train_clean": Split(told, labels[seen]),
            **(unseen or {"heldout": Split(inputs("heldout"), labels)}),
        },
        split_protocol=split,
        class_names=tuple(str(label) for label in range(classes)),
        note=joined_notes(
            "" if difficulty == 1 else f"noise is the paper's times {difficulty:g}",
            "" if covariance == "per_class" else "all classes share one covariance",
        ),
        shares_classes=not parts,
        source={"generator": "synthetic", "data_seed": str(draw)},
    )


def _classes(draw: int, classes: int, dim: int, *, shared: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Centers (classes, dim) and Cholesky factors of the covariances: (classes, dim, dim), or (1, dim, dim) `shared`."""
    centers = CENTER_SCALE * generator(draw, "synthetic", "centers").standard_normal((classes, dim))
    mixing = generator(draw, "synthetic", "covariances").standard_normal((1 if shared else classes, dim, dim))
    return centers, _cholesky(_product(mixing, mixing.transpose(0, 2, 1)) + JITTER * np.eye(dim))


# Both are written with elementwise operations: these give the same bits on every machine, BLAS and LAPACK do
# not, and equal data must have equal fingerprints wherever a study runs.


def _product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Matrix product (classes, i, k) x (classes, k, j) -> (classes, i, j)."""
    total = np.zeros((*left.shape[:2], right.shape[2]))
    for k in range(left.shape[2]):
        total += left[:, :, k, None] * right[:, None, k]
    return total


def _cholesky(matrices: np.ndarray) -> np.ndarray:
    """Lower factors of positive definite matrices (classes, dim, dim)."""
    rest, factors = matrices.copy(), np.zeros_like(matrices)
    for j in range(matrices.shape[1]):
        column = rest[:, j:, j] / np.sqrt(rest[:, j, j, None])
        factors[:, j:, j] = column
        rest[:, j:, j:] -= column[:, :, None] * column[:, None]
    return factors
