"""Batches: which rows of the training split meet in a step, and as which tuples.

An epoch is planned at once on the host from (seed, epoch) alone, so a resumed run draws what an uninterrupted one
would have drawn, and every loss of a seed sees the same anchors in the same order with the same partners. A batch
counts anchors, or samples where tuples are formed within the batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from losscope.errors import InvalidStudy
from losscope.losses.tuples import (
    all_contrasts,
    all_samples,
    all_tuples,
    batch_hard,
    different_class,
    ranked,
    semi_hard,
    single_blocks,
)
from losscope.seeds import generator
from losscope.study import Batch
from losscope.training.composition import composed
from losscope.training.partners import ClassIndex, Drawn, InBatch, draw
from losscope.types import OUTLIER, BatchTriplets, Blocks, Contrasts, Loss, Pairs, Triplets, Tuples


class Step(NamedTuple):
    """One batch of each run of a stack."""

    rows: Tensor  # (runs, samples) int64 row of the training split
    tuples: Tuples | None  # None: to be made in the step, by `Sampler.mine`
    labels: Tensor | None = None  # (runs, samples), only where tuples are mined


class Sampler:
    """Plans the epochs of a stack of runs: `labels` (runs, samples) of the training split, one seed for each run.

    `labels` become places 0, 1, ... of the sorted classes of the stack (an outlier stays -1), which class vectors
    share. Raises InvalidStudy where the runs have other classes, so that those would be other ones alone.
    """

    def __init__(
        self,
        labels: np.ndarray,
        seeds: tuple[int, ...],
        batch: Batch,
        loss: Loss,
        device: torch.device | str = "cpu",
    ) -> None:
        self.seeds, self.batch, self.loss, self.device = seeds, batch, loss, device
        known = np.unique(labels[labels != OUTLIER])
        self.classes = len(known)
        own = [len(np.unique(row[row != OUTLIER])) for row in labels]
        if (loss.proxies or loss.blocks or loss.module) and min(own) < self.classes:
            raise InvalidStudy(
                f"the training labels of the seeds of a stack have {own} classes, {self.classes} together; runs of a loss "
                "that counts classes need the same ones to train together: repeat the command with --set protocol.chunk=1"
            )
        self.labels = np.where(labels == OUTLIER, OUTLIER, np.searchsorted(known, labels))
        self.index = [ClassIndex(row) for row in self.labels] if batch.draws_partners else []

    def labels_of(self, rows: Tensor) -> Tensor:
        """Labels (runs, n) of `rows` (runs, n), on their device."""
        return torch.from_numpy(np.take_along_axis(self.labels, rows.cpu().numpy(), axis=1)).to(rows.device)

    def epoch(self, epoch: int) -> Iterator[Step]:
        """The steps of one epoch (0 is the pass before training)."""
        if self.batch.draws_partners:
            return self._partner_steps(epoch)
        return self._batch_steps(epoch)

    # partners from the whole split -------------------------------------------------------------------------------

    def _partner_steps(self, epoch: int) -> Iterator[Step]:
        both_sides = self.batch.sampling == "one_plus_one"
        pairs = self.loss.kind == "pair"
        drawn = [
            draw(
                index,
                seed,
                epoch,
                pairs=pairs,
                both_sides=both_sides,
                copies=self.batch.tuples_per_anchor,
                together=self.batch.counts == "anchors",
            )
            for seed, index in zip(self.seeds, self.index, strict=True)
        ]
        lengths = {len(one.anchor) for one in drawn}
        if len(lengths) > 1:  # padding would give the shorter ones updates that they don't have alone
            raise InvalidStudy(
                f"the seeds of a stack have {sorted(lengths)} terms in an epoch; runs that train together need equal "
                "numbers: repeat the command with --set protocol.chunk=1"
            )
        (length,) = lengths
        stacked = Drawn(*(np.stack([getattr(one, part) for one in drawn]) for part in Drawn._fields))
        size = self.batch.terms
        if self.batch.counts == "anchors":
            size *= self.batch.tuples_per_anchor * (2 if pairs and both_sides else 1)
        for start in range(0, length, size):
            yield self._partner_step(Drawn(*(part[:, start : start + size] for part in stacked)))

    def _partner_step(self, drawn: Drawn) -> Step:
        """A batch of anchors and their partners, each part (runs, anchors), as rows and what the loss takes."""
        anchor, positive, negative, same = map(torch.from_numpy, drawn)
        roles = {
            "pair": (anchor, torch.where(same, positive, negative)),
            "triplet": (anchor, positive, negative),
            "sample": (anchor,),
        }.get(self.loss.kind, (anchor, positive))
        places = torch.arange(len(roles) * anchor.shape[1]).view(len(roles), -1)
        ok = torch.ones_like(same)
        tuples: Tuples
        if self.loss.kind == "pair":
            tuples = Pairs(places[0], places[1], same, ok)
        elif self.loss.kind == "triplet":
            tuples = Triplets(places[0], places[1], places[2], ok)
        else:
            labels = torch.from_numpy(np.take_along_axis(self.labels, drawn.anchor, axis=1))
            if self.loss.kind == "sample":
                tuples = all_samples(labels)
            elif self.loss.blocks:
                tuples = partner_blocks(labels, self.classes)
            else:
                own = torch.eye(labels.shape[1], dtype=torch.bool).expand(len(labels), -1, -1)
                tuples = Contrasts(places[0], places[1], own, different_class(labels))
        return Step(torch.cat(roles, dim=1).to(self.device), _to(tuples, self.device))

    # partners from the batch -------------------------------------------------------------------------------------

    def _batch_steps(self, epoch: int) -> Iterator[Step]:
        planned = [
            composed(labels, self.batch, seed, epoch) for labels, seed in zip(self.labels, self.seeds, strict=True)
        ]
        if len(counts := {len(batches) for batches in planned}) > 1:
            raise InvalidStudy(
                f"the seeds of a stack have {sorted(counts)} batches in an epoch; runs that train together need equal "
                "numbers: repeat the command with --set protocol.chunk=1"
            )
        noise = [generator(seed, "partners", epoch) for seed in self.seeds]
        for batches in zip(*planned, strict=True):
            rows = np.stack(batches)
            if rows.shape[1] < 2:
                return
            labels = torch.from_numpy(np.take_along_axis(self.labels, rows, axis=1))
            step = Step(torch.from_numpy(rows).to(self.device), self._tuples(labels, noise))
            yield step if step.tuples is not None else step._replace(labels=labels.to(self.device))

    def _tuples(self, labels: Tensor, noise: list[np.random.Generator]) -> Tuples | None:
        sampling = self.batch.sampling
        if sampling == "customary" and self.loss.kind == "anchor":
            sampling = "all_in_batch"
        if sampling != "all_in_batch":
            uniform = np.stack([one.random((3, labels.shape[1])) for one in noise])
            one_each = partners_in_batch(labels, uniform, self.loss, self.classes)
            return _to(one_each, self.device)
        if self.batch.mining == "batch_hard" and self.loss.kind == "triplet":
            return None
        return _to(all_tuples(self.loss, labels, self.classes), self.device)

    def mine(self, embeddings: Tensor, step: Step, hyperparameters: Mapping[str, Any]) -> Tuples:
        """The tuples of a step, mined by the distances of its embeddings where the protocol says so."""
        if step.tuples is None:
            assert step.labels is not None
            return batch_hard(embeddings, step.labels)
        if self.batch.mining == "semi_hard" and isinstance(step.tuples, BatchTriplets):
            margin, squared = hyperparameters["margin"], hyperparameters["squared"]
            return semi_hard(embeddings, step.tuples, margin=margin, squared=squared)
        return step.tuples


def partners_in_batch(labels: Tensor, uniform: np.ndarray, loss: Loss, classes: int) -> Tuples:
    """One pair (a fair coin says which side), one triplet or one positive for each sample of a batch, partners from
    the batch; N-pair blocks that use each sample once.

    labels (runs, N) on the host; uniform as in `InBatch`. An anchor without such a partner has no term.
    """
    if loss.kind == "sample":
        return all_samples(labels)
    if loss.blocks:
        return single_blocks(labels, classes)
    found = InBatch(labels.numpy(), uniform)
    anchor = torch.arange(labels.shape[-1])
    if loss.kind == "triplet":
        return Triplets(
            anchor.expand_as(labels), found.positive, found.negative, found.has_positive & found.has_negative
        )
    if loss.kind == "pair":
        wants = found.wants_positive
        return Pairs(
            anchor,
            torch.where(wants, found.positive, found.negative),
            wants,
            torch.where(wants, found.has_positive, found.has_negative),
        )
    every = all_contrasts(labels)
    return every._replace(positive=every.positive & (found.positive.unsqueeze(-1) == anchor))


def partner_blocks(labels: Tensor, classes: int) -> Blocks:
    """N-pair blocks of anchors, labels (runs, anchors), whose positives follow them in the batch in the same order."""
    place = ranked(labels, classes)[0].transpose(-1, -2)
    anchor = place.clamp_min(0)
    return Blocks(anchor, anchor + labels.shape[-1], place >= 0)


def _to(tuples: Tuples, device: torch.device | str) -> Tuples:
    moved = {id(part): part.to(device) for part in tuples}  # what was one tensor stays one, and is known as such
    return type(tuples)(*(moved[id(part)] for part in tuples))
