"""Which samples are in which split: pure functions from labels to parts, one per split protocol.

Parts are masks (samples,) bool by split name, and each sample is in one. `stratified_half` keeps all classes on
both sides (closed set); `class_disjoint` trains on the first half of the classes and evaluates on the others, as
metric learning does (Oh Song et al., CVPR 2016); `class_disjoint_validation` takes some of the former for the
choice of hyper-parameters. Which classes come first is what `class_split` draws: 0 is the order of the labels, as in
the literature, any other number an order of its own, so that a comparison can be repeated on other classes. A split
depends on the labels and on that number alone, never on the seed of a run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np

from losscope.data.dataset import OUTLIER
from losscope.errors import InvalidStudy
from losscope.seeds import generator

Parts = Mapping[str, np.ndarray]
"""Masks (samples,) bool by the name of their split."""

Disjoint = Literal["class_disjoint", "class_disjoint_validation"]
"""The protocols of DISJOINT."""


def train_and_test(train: np.ndarray) -> Parts:
    """The parts of a given split: train (samples,) bool, all else is `test`."""
    return {"train": train, "test": ~train}


def stratified_half(labels: np.ndarray, *, seed: int = 0) -> Parts:
    """Half of each class at random: labels (samples,) -> `train` and `test`.

    Of an odd number the larger half is trained on, so a class with one sample is in `train` only.

    >>> int(stratified_half(np.array([7, 7, 7, 7, 9, 9, 9]))["train"].sum())
    4
    """
    train = np.zeros(len(labels), dtype=bool)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        order = generator(seed, "stratified_half", int(label)).permutation(len(rows))
        train[rows[order[: (len(rows) + 1) // 2]]] = True
    return train_and_test(train)


def ordered_classes(labels: np.ndarray, class_split: int) -> np.ndarray:
    """The classes of labels (samples,) in the order of a class split: 0 as they are numbered, k drawn from k.

    >>> ordered_classes(np.array([2, 0, 1, -1]), 0).tolist()
    [0, 1, 2]
    """
    classes: np.ndarray = np.unique(labels[labels != OUTLIER])
    if class_split:
        classes = classes[generator(class_split, "class split").permutation(len(classes))]
    return classes


def class_disjoint(labels: np.ndarray, *, class_split: int = 0) -> Parts:
    """The first half of the classes to train: labels (samples,) -> `train` and `test`.

    Of an odd number of classes the larger half is trained on. Outliers belong to no class and are trained on.

    >>> class_disjoint(np.array([4, 2, 0, 2, -1]))["train"].tolist()
    [False, True, True, True, True]
    """
    classes = ordered_classes(labels, class_split)
    return train_and_test(np.isin(labels, classes[: (len(classes) + 1) // 2]) | (labels == OUTLIER))


def class_disjoint_validation(labels: np.ndarray, *, class_split: int = 0) -> Parts:
    """The same `test` as `class_disjoint`; the last third (rounded) of the other classes is `validation`.

    A hyper-parameter is chosen on `validation`, whose classes nothing was trained on, and reported on `test`.

    >>> class_disjoint_validation(np.array([0, 1, 2, 3, 4, 5, 1]))["validation"].tolist()
    [False, False, True, False, False, False, False]
    """
    halves = class_disjoint(labels, class_split=class_split)
    classes = ordered_classes(labels, class_split)
    seen = classes[: (len(classes) + 1) // 2]
    validation = np.isin(labels, seen[len(seen) - round(len(seen) / 3) :])
    return {"train": halves["train"] & ~validation, "validation": validation, "test": halves["test"]}


DISJOINT: Mapping[str, Callable[..., Parts]] = {
    "class_disjoint": class_disjoint,
    "class_disjoint_validation": class_disjoint_validation,
}
"""Protocols that evaluate on classes that were not trained on, by name: functions of labels and `class_split`."""


def parts_of(
    labels: np.ndarray, split: str, class_split: int, otherwise: Callable[[np.ndarray], Parts] = stratified_half
) -> Parts:
    """The parts of labels (samples,) under a split protocol by name; `otherwise` cuts where it is none of DISJOINT.

    Raises InvalidStudy for a `class_split` there: classes that are on both sides have no order to draw.

    >>> sorted(parts_of(np.array([0, 1, 2, 3]), "class_disjoint", 1))
    ['test', 'train']
    """
    if split in DISJOINT:
        return DISJOINT[split](labels, class_split=class_split)
    if class_split:
        raise InvalidStudy(
            f"class_split = {class_split} draws which classes are trained on, but split = '{split}' has the same classes on "
            f"both sides; set split to {' or '.join(DISJOINT)}, or leave class_split out"
        )
    return otherwise(labels)


def first_per_class(labels: np.ndarray, limit: int) -> np.ndarray:
    """The first `limit` rows of each class, in their order: labels (samples,) -> rows (kept,) int64.

    >>> first_per_class(np.array([1, 0, 1, 1, 0]), 2).tolist()
    [0, 1, 2, 4]
    """
    kept = [np.flatnonzero(labels == label)[:limit] for label in np.unique(labels)]
    return np.sort(np.concatenate(kept)) if kept else np.zeros(0, dtype=np.int64)


def rows_of(labels: np.ndarray, parts: Parts, limit: int | None = None) -> dict[str, np.ndarray]:
    """Rows of each part, cut to the first `limit` of each class of each part.

    >>> rows = rows_of(np.array([0, 0, 1, 1]), train_and_test(np.array([True, False, True, False])))
    >>> rows["test"].tolist()
    [1, 3]
    """
    rows = {name: np.flatnonzero(part) for name, part in parts.items()}
    if limit is None:
        return rows
    return {name: kept[first_per_class(labels[kept], limit)] for name, kept in rows.items()}
