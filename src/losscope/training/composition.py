"""Which samples meet in a batch: in random order, or so many classes with so many samples each (P x K)."""

from __future__ import annotations

import numpy as np

from losscope.errors import InvalidStudy
from losscope.seeds import generator
from losscope.study import Batch
from losscope.types import OUTLIER


def composed(labels: np.ndarray, batch: Batch, seed: int, epoch: int) -> list[np.ndarray]:
    """Rows of the batches of one epoch of one seed; labels (samples,). A last batch may be smaller.

    Raises InvalidStudy if the classes don't suffice for batches of classes x per_class.
    """
    random = generator(seed, "order", epoch)
    if batch.classes is None or batch.per_class is None:
        order = random.permutation(len(labels))
        return [order[start : start + batch.samples] for start in range(0, len(order), batch.samples)]
    return balanced(labels, batch.classes, batch.per_class, random)


def balanced(labels: np.ndarray, classes: int, per_class: int, random: np.random.Generator) -> list[np.ndarray]:
    """As many batches as the split fills. Outliers, and classes with less than `per_class` samples, are in none.

    The classes come in shuffled rounds, the samples of a class as well; what a round leaves over is not used in it, so
    that classes come equally often in the mean over epochs, not in each.
    """
    order = np.argsort(labels, kind="stable")
    order = order[labels[order] != OUTLIER]
    rows = np.split(order, np.flatnonzero(np.diff(labels[order])) + 1) if len(order) else []
    large = [one for one in rows if len(one) >= per_class]
    if len(large) < classes:
        raise InvalidStudy(
            f"batches of {classes} classes x {per_class} samples need {classes} classes with at least {per_class} "
            f"samples; the training split has {len(large)} of its {len(rows)} classes with that many: set "
            "batch.classes and batch.per_class lower"
        )
    count = max(sum(map(len, large)) // (classes * per_class), 1)
    waiting = [one[:0] for one in large]
    batches: list[np.ndarray] = []
    while len(batches) < count:
        round_ = random.permutation(len(large))
        for start in range(0, len(large) - classes + 1, classes):
            chosen = []
            for place in round_[start : start + classes]:
                if len(waiting[place]) < per_class:
                    waiting[place] = random.permutation(large[place])
                chosen.append(waiting[place][:per_class])
                waiting[place] = waiting[place][per_class:]
            batches.append(random.permutation(np.concatenate(chosen)))
    return batches[:count]
