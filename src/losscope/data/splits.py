"""Which samples are trained on: pure functions from labels to masks, one per split protocol.

A mask is True where the sample is in `train`. `stratified_half` keeps all classes on both sides (closed set);
`class_disjoint` trains on the first half of the classes and evaluates on the others, as metric learning does
(Oh Song et al., CVPR 2016). A split depends on the labels alone, never on the seed of a run.
"""

from __future__ import annotations

import numpy as np

from losscope.data.dataset import OUTLIER
from losscope.seeds import generator


def stratified_half(labels: np.ndarray, *, seed: int = 0) -> np.ndarray:
    """Half of each class at random: labels (samples,) -> train (samples,) bool.

    Of an odd number the larger half is trained on, so a class with one sample is in `train` only.

    >>> int(stratified_half(np.array([7, 7, 7, 7, 9, 9, 9])).sum())
    4
    """
    train = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = generator(seed, "stratified_half", int(label)).permutation(len(rows))
        train[rows[order[: (len(rows) + 1) // 2]]] = True
    return train


def class_disjoint(labels: np.ndarray) -> np.ndarray:
    """The first half of the classes: labels (samples,) -> train (samples,) bool.

    Of an odd number of classes the larger half is trained on. Outliers belong to no class and are trained on.

    >>> class_disjoint(np.array([4, 2, 0, 2, -1])).tolist()
    [False, True, True, True, True]
    """
    classes = np.unique(labels[labels != OUTLIER])
    seen: np.ndarray = np.isin(labels, classes[: (len(classes) + 1) // 2]) | (labels == OUTLIER)
    return seen


def first_per_class(labels: np.ndarray, limit: int) -> np.ndarray:
    """The first `limit` rows of each class, in their order: labels (samples,) -> rows (kept,) int64.

    >>> first_per_class(np.array([1, 0, 1, 1, 0]), 2).tolist()
    [0, 1, 2, 4]
    """
    kept = [np.flatnonzero(labels == label)[:limit] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)


def rows_of(labels: np.ndarray, train: np.ndarray, limit: int | None = None) -> dict[str, np.ndarray]:
    """Rows of `train` and `test`, cut to the first `limit` of each class of each split.

    >>> rows = rows_of(np.array([0, 0, 1, 1]), np.array([True, False, True, False]))
    >>> rows["test"].tolist()
    [1, 3]
    """
    rows = {"train": np.flatnonzero(train), "test": np.flatnonzero(~train)}
    if limit is None:
        return rows
    return {name: kept[first_per_class(labels[kept], limit)] for name, kept in rows.items()}
