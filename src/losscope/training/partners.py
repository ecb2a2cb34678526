"""Partners of anchors: drawn from the whole training split, or from a batch."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch

from losscope.seeds import generator
from losscope.types import OUTLIER


class Drawn(NamedTuple):
    """What one seed draws for one epoch from the whole split, before it is cut into batches. Shapes (terms,)."""

    anchor: np.ndarray
    positive: np.ndarray
    negative: np.ndarray
    same: np.ndarray  # pairs only: is the partner the positive?


class ClassIndex:
    """Rows of a split sorted by class, to draw partners without a loop."""

    def __init__(self, labels: np.ndarray) -> None:
        self.labels = labels
        self.order = np.argsort(labels, kind="stable")
        _, self.of, count = np.unique(labels, return_inverse=True, return_counts=True)
        self.start, self.count = (np.cumsum(count) - count)[self.of], count[self.of]
        self.rank = np.empty(len(labels), dtype=np.int64)
        self.rank[self.order] = np.arange(len(labels))
        self.has_positive = (self.count > 1) & (labels != OUTLIER)
        self.has_negative = self.count < len(labels)

    def positives(self, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """A partner of the same class, never the row itself; the row itself where its class has no other."""
        others = np.maximum(self.count[rows] - 1, 1)
        place = self.start[rows] + (uniform * others).astype(np.int64)
        place += (place >= self.rank[rows]) & (self.count[rows] > 1)
        chosen: np.ndarray = self.order[place]
        return chosen

    def negatives(self, rows: np.ndarray, uniform: np.ndarray) -> np.ndarray:
        """A partner of any other class (for a class also an outlier; for an outlier any sample of a class)."""
        place = (uniform * (len(self.labels) - self.count[rows])).astype(np.int64)
        place += np.where(place >= self.start[rows], self.count[rows], 0)
        chosen: np.ndarray = self.order[place % len(self.labels)]
        return chosen


def draw(
    index: ClassIndex, seed: int, epoch: int, *, pairs: bool, both_sides: bool, copies: int = 1, together: bool = False
) -> Drawn:
    """Partners for every row by row number, then the order: the same for all losses of one seed (but for the order
    with `both_sides`, where there are twice as many pairs).

    pairs       one pair for each anchor, a fair coin says which side; else a positive and a negative for each
    both_sides  a positive and a negative pair for each anchor; an anchor without positive gives two negatives
    copies      how many times all of this is drawn for each anchor
    together    an anchor's tuples follow one another; else all tuples are in random order
    """
    samples = len(index.labels)
    uniform = generator(seed, "partners", epoch).random((copies, 3, samples))
    rows = np.arange(samples)
    positive, negative = index.positives(rows, uniform[:, 0]), index.negatives(rows, uniform[:, 1])
    if not pairs:
        same = np.ones((copies, samples), dtype=bool)
        possible = index.has_positive & index.has_negative
    elif not both_sides:
        coin = generator(seed, "coin", epoch).random((copies, samples)) < 0.5
        same = np.where(index.has_positive & index.has_negative, coin, index.has_positive)
        possible = index.has_positive | index.has_negative
    else:
        second = index.negatives(rows, uniform[:, 2])
        positive = np.concatenate([positive, positive])
        negative = np.concatenate([negative, second])
        same = np.zeros_like(negative, dtype=bool)
        same[copies:] = index.has_positive
        possible = same | index.has_negative
    tuples = len(negative)  # of each anchor
    random = generator(seed, "order", epoch).permutation
    order = (random(samples)[:, None] + samples * np.arange(tuples)).ravel() if together else random(tuples * samples)
    kept = order[np.broadcast_to(possible, negative.shape).ravel()[order]]
    return Drawn(kept % samples, positive.ravel()[kept], negative.ravel()[kept], same.ravel()[kept])


class InBatch:
    """One positive and one negative for each sample of a batch, and a fair coin between them; each part (runs, N).

    labels (runs, N); uniform (runs, 3, N) in [0, 1): for the positive, the negative and the coin.
    """

    def __init__(self, labels: np.ndarray, uniform: np.ndarray) -> None:
        drawn = [_in_batch(row, noise) for row, noise in zip(labels, uniform, strict=True)]
        self.positive, self.has_positive, self.negative, self.has_negative = (
            torch.from_numpy(np.stack(parts)) for parts in zip(*drawn, strict=True)
        )
        self.wants_positive = torch.from_numpy(uniform[:, 2] < 0.5)


def _in_batch(labels: np.ndarray, uniform: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Positive, whether there is one, negative, whether there is one, for each sample of one run's batch: the k-th
    possible partner in the order of rows, k = ⌊u n⌋. Linear in the batch, class by class."""
    samples = len(labels)
    positive, negative = np.zeros((2, samples), dtype=np.int64)
    has_positive, has_negative = np.zeros((2, samples), dtype=bool)
    order = np.argsort(labels, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(labels[order])) + 1):
        rank, others = np.arange(len(members)), samples - len(members)
        if len(members) > 1 and labels[members[0]] != OUTLIER:
            nth = (uniform[0, members] * (len(members) - 1)).astype(np.int64)
            positive[members], has_positive[members] = members[nth + (nth >= rank)], True
        if others:
            nth = (uniform[1, members] * others).astype(np.int64)
            skipped = np.searchsorted(members - rank, nth, side="right")  # own class's rows before the nth other
            negative[members], has_negative[members] = nth + skipped, True
    return positive, has_positive, negative, has_negative
