"""The tuples of one batch with their roles taken apart, so that one role's gradient can be seen alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from losscope.types import BatchBlocks, BatchTriplets, Blocks, Contrasts, LossTerms, Pairs, Samples, Triplets, Tuples


@dataclass(frozen=True)
class Apart:
    """Tuples over the rows [anchors, batch]: an anchor's row of its own for each term (or group of terms)."""

    anchor: Tensor  # (anchors,) row of the batch that each anchor is a copy of
    tuples: Tuples


def anchors_apart(tuples: Tuples) -> Iterator[Apart]:
    """The tuples of a batch without run axes, in parts, so that every term has its first member to itself."""
    if isinstance(tuples, BatchTriplets):
        tuples = listed(tuples)
    if isinstance(tuples, BatchBlocks):
        for rank in range(len(tuples.positive)):
            yield _one_rank(tuples, rank)
        return
    if isinstance(tuples, Samples):  # nobody but the class vectors meets a sample, and these are fixed
        anchor = torch.arange(len(tuples.target), device=tuples.target.device)
        nobody = torch.zeros_like(tuples.valid)
        yield Apart(anchor, Samples(torch.cat([tuples.target] * 2), torch.cat([tuples.valid, nobody])))
        return
    first = tuples.first if isinstance(tuples, Pairs) else tuples.anchor
    anchor = first.flatten()
    count = len(anchor)
    own = torch.arange(count, device=anchor.device).view(first.shape)
    if isinstance(tuples, Pairs):
        yield Apart(anchor, tuples._replace(first=own, second=tuples.second + count))
    elif isinstance(tuples, Triplets):
        shifted = {"positive": tuples.positive + count, "negative": tuples.negative + count}
        yield Apart(anchor, tuples._replace(anchor=own, **shifted))
    elif isinstance(tuples, Blocks):
        yield Apart(anchor, tuples._replace(anchor=own, positive=tuples.positive + count))
    else:
        yield Apart(anchor, tuples._replace(anchor=own, candidate=tuples.candidate + count))


def _one_rank(tuples: BatchBlocks, rank: int) -> Apart:
    """Block `rank` of a batch's blocks."""
    count = len(tuples.rank)
    anchor = torch.arange(count, device=tuples.rank.device)
    # As rank 0 the samples that the block holds are no anchors, and those of no class stay out.
    relative = torch.where(tuples.rank < 0, -1, (tuples.rank != rank).long())
    nobody = torch.full_like(relative, -1)
    only = slice(rank, rank + 1)
    return Apart(
        anchor,
        BatchBlocks(
            tuples.positive[only] + count,
            tuples.there[only],
            torch.cat([tuples.own, tuples.own]),
            torch.cat([relative, nobody]),
        ),
    )


def by_anchor(terms: LossTerms, anchors: int) -> LossTerms:
    """One value for each anchor, the mean of its valid terms: (anchors,) from the terms of tuples taken apart."""
    values, valid = terms
    if values.numel() == anchors:
        return LossTerms(values.flatten(), valid.flatten())
    if values.shape[0] == 1 or values.ndim == 1:  # samples or blocks: the rows of the batch follow the anchors
        return LossTerms(values.flatten()[:anchors], valid.flatten()[:anchors])
    count = valid.sum(-1)
    return LossTerms(values.sum(-1) / count.clamp_min(1), count > 0)


def roles_apart(tuples: Tuples, samples: int) -> Tuples:
    """The tuples over the rows [anchors, candidates], each a copy of the whole batch of `samples`."""
    if isinstance(tuples, Pairs):
        return tuples._replace(second=tuples.second + samples)
    if isinstance(tuples, BatchTriplets):
        differs = tuples.differs.new_zeros(2 * samples, 2 * samples)
        differs[:samples, samples:] = tuples.differs
        return tuples._replace(positive=tuples.positive + samples, differs=differs)
    if isinstance(tuples, Triplets):
        return tuples._replace(positive=tuples.positive + samples, negative=tuples.negative + samples)
    if isinstance(tuples, Blocks):
        return tuples._replace(positive=tuples.positive + samples)
    if isinstance(tuples, BatchBlocks):
        return tuples._replace(
            positive=tuples.positive + samples,
            own=torch.cat([tuples.own, tuples.own]),
            rank=torch.cat([tuples.rank, torch.full_like(tuples.rank, -1)]),
        )
    if isinstance(tuples, Contrasts):
        return tuples._replace(candidate=tuples.candidate + samples)
    return tuples


def listed(tuples: BatchTriplets) -> Triplets:
    """The valid triplets of a batch as a list."""
    offered = tuples.differs[tuples.anchor] & tuples.paired.unsqueeze(-1)
    pair, negative = offered.nonzero().unbind(-1)
    return Triplets(tuples.anchor[pair], tuples.positive[pair], negative, torch.ones_like(pair, dtype=torch.bool))
