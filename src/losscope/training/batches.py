"""Batches: which rows of the training split meet in a step, and as which tuples.

An epoch is planned at once on the host from (seed, epoch) alone, so a resumed run draws what an uninterrupted one
would have drawn, and every loss of a seed sees the same anchors in the same order with the same partners. A batch
counts terms (pairs or triplets), or samples where all tuples of the batch are formed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from losscope.errors import InvalidStudy
from losscope.losses.tuples import all_pairs, batch_hard, different_class, positive_pairs, same_class, semi_hard
from losscope.seeds import generator
from losscope.study import Batch
from losscope.types import OUTLIER, BatchTriplets, Pairs, TermKind, Triplets, Tuples


class Step(NamedTuple):
    """One batch of each run of a stack."""

    rows: Tensor  # (runs, samples) int64 row of the training split
    tuples: Tuples | None  # None: to be made in the step, by `Sampler.mine`
    labels: Tensor | None = None  # (runs, samples), only where tuples are mined


@dataclass(frozen=True)
class Drawn:
    """What one seed draws for one epoch, before it is cut into batches. Shapes (terms,)."""

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


class Sampler:
    """Plans the epochs of a stack of runs: `labels` (runs, samples) of the training split, one seed for each run."""

    def __init__(
        self,
        labels: np.ndarray,
        seeds: tuple[int, ...],
        batch: Batch,
        kind: TermKind,
        hyperparameters: dict[str, object],
        device: torch.device | str = "cpu",
    ) -> None:
        self.labels, self.seeds, self.batch, self.kind, self.device = labels, seeds, batch, kind, device
        self.hyperparameters = hyperparameters
        self.whole_split = batch.sampling != "all_in_batch" and batch.partners == "dataset"
        self.classes = [ClassIndex(row) for row in labels] if self.whole_split else []

    def epoch(self, epoch: int) -> Iterator[Step]:
        """The steps of one epoch (0 is the pass before training)."""
        if self.whole_split:
            return self._tuple_steps(epoch)
        return self._sample_steps(epoch)

    # partners from the whole split -------------------------------------------------------------------------------

    def _tuple_steps(self, epoch: int) -> Iterator[Step]:
        drawn = [self._draw(seed, index, epoch) for seed, index in zip(self.seeds, self.classes, strict=True)]
        lengths = {len(one.anchor) for one in drawn}
        if len(lengths) > 1:  # padding would give the shorter ones updates that they don't have alone
            raise InvalidStudy(
                f"the seeds of a stack have {sorted(lengths)} terms in an epoch; runs that train together need equal "
                "numbers: repeat the command with --set protocol.chunk=1"
            )
        (length,) = lengths
        anchor, positive, negative, same = (
            torch.from_numpy(np.stack([getattr(one, part) for one in drawn]))
            for part in ("anchor", "positive", "negative", "same")
        )
        partner = torch.where(same, positive, negative)
        parts = (anchor, partner) if self.kind == "pair" else (anchor, positive, negative)
        for start in range(0, length, self.batch.terms):
            cut = slice(start, start + self.batch.terms)
            terms = anchor[:, cut].shape[1]
            rows = torch.cat([part[:, cut] for part in parts], dim=1).to(self.device)
            places = torch.arange(len(parts) * terms, device=self.device).view(len(parts), terms)
            ok = torch.ones_like(rows[:, :terms], dtype=torch.bool)
            if self.kind == "pair":
                yield Step(rows, Pairs(places[0], places[1], same[:, cut].to(self.device), ok))
            else:
                yield Step(rows, Triplets(places[0], places[1], places[2], ok))

    def _draw(self, seed: int, index: ClassIndex, epoch: int) -> Drawn:
        """Partners for every row by row number, then the order: the same for pairs and triplets of one seed (but for
        the order under one_plus_one, where there are twice as many pairs)."""
        samples = len(index.labels)
        uniform = generator(seed, "partners", epoch).random((3, samples))
        anchor = np.arange(samples)
        positive, negative = index.positives(anchor, uniform[0]), index.negatives(anchor, uniform[1])
        if self.kind == "triplet":
            same, possible = np.ones(samples, dtype=bool), index.has_positive & index.has_negative
        elif self.batch.sampling == "one_tuple":
            coin = generator(seed, "coin", epoch).random(samples) < 0.5
            same = np.where(index.has_positive & index.has_negative, coin, index.has_positive)
            possible = index.has_positive | index.has_negative
        else:  # one positive and one negative pair for each anchor; an anchor without positive gives two negatives
            second = index.negatives(anchor, uniform[2])
            anchor, positive = np.tile(anchor, 2), np.tile(positive, 2)
            negative = np.concatenate([negative, second])
            same = np.concatenate([np.zeros(samples, dtype=bool), index.has_positive])
            possible = same | np.tile(index.has_negative, 2)
        order = generator(seed, "order", epoch).permutation(len(anchor))
        kept = order[possible[order]]
        return Drawn(anchor[kept], positive[kept], negative[kept], same[kept])

    # partners from the batch -------------------------------------------------------------------------------------

    def _sample_steps(self, epoch: int) -> Iterator[Step]:
        samples = self.labels.shape[1]
        order = np.stack([generator(seed, "order", epoch).permutation(samples) for seed in self.seeds])
        labels = torch.from_numpy(np.take_along_axis(self.labels, order, axis=1))
        rows = torch.from_numpy(order)
        noise = [generator(seed, "partners", epoch) for seed in self.seeds]
        for start in range(0, samples, self.batch.samples):
            cut = slice(start, start + self.batch.samples)
            batch = labels[:, cut]
            if batch.shape[1] < 2:
                return
            step = Step(rows[:, cut].to(self.device), self._tuples(batch, noise), None)
            yield step if step.tuples is not None else step._replace(labels=batch.to(self.device))

    def _tuples(self, labels: Tensor, noise: list[np.random.Generator]) -> Tuples | None:
        if self.batch.sampling == "one_tuple":
            uniform = np.stack([one.random((3, labels.shape[1])) for one in noise])
            return _to(partners_in_batch(labels, torch.from_numpy(uniform), self.kind), self.device)
        if self.kind == "pair":
            return all_pairs(labels.to(self.device))
        if self.batch.mining == "batch_hard":
            return None
        anchor, positive, valid = (part.to(self.device) for part in positive_pairs(labels))
        return BatchTriplets(anchor, positive, valid, different_class(labels.to(self.device)))

    def mine(self, embeddings: Tensor, step: Step) -> Tuples:
        """The tuples of a step, mined by the distances of its embeddings where the protocol says so."""
        if step.tuples is None:
            assert step.labels is not None
            return batch_hard(embeddings, step.labels)
        if self.batch.mining == "semi_hard" and isinstance(step.tuples, BatchTriplets):
            margin, squared = self.hyperparameters["margin"], self.hyperparameters["squared"]
            return semi_hard(embeddings, step.tuples, margin=float(margin), squared=bool(squared))  # type: ignore[arg-type]
        return step.tuples


def partners_in_batch(labels: Tensor, uniform: Tensor, kind: TermKind) -> Tuples:
    """One pair (a fair coin says which side) or one triplet for each sample of a batch, partners from the batch.

    labels (runs, N); uniform (runs, 3, N) in [0, 1): for the positive, the negative and the coin. An anchor without
    such a partner has no term.
    """
    positive, has_positive = _choose(same_class(labels), uniform[:, 0])
    negative, has_negative = _choose(different_class(labels), uniform[:, 1])
    anchor = torch.arange(labels.shape[-1])
    if kind == "triplet":
        return Triplets(anchor.expand_as(labels), positive, negative, has_positive & has_negative)
    wants_positive = uniform[:, 2] < 0.5
    return Pairs(
        anchor,
        torch.where(wants_positive, positive, negative),
        wants_positive,
        torch.where(wants_positive, has_positive, has_negative),
    )


def _choose(allowed: Tensor, uniform: Tensor) -> tuple[Tensor, Tensor]:
    """For each row of `allowed` (..., N, N) one allowed column at random, and whether there is one."""
    count = allowed.sum(-1)
    wanted = (uniform * count).long() + 1
    return (allowed.cumsum(-1) < wanted.unsqueeze(-1)).sum(-1).clamp_max(allowed.shape[-1] - 1), count > 0


def _to(tuples: Tuples, device: torch.device | str) -> Tuples:
    return type(tuples)(*(part.to(device) for part in tuples))
