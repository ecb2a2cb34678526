"""Blocks, contrasts and samples from labels: exactly those of the naive loops, alone and in stacks."""

from __future__ import annotations

from collections import Counter

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import reference_softmax
from losscope.losses import LOSSES
from losscope.losses.tuples import (
    all_blocks,
    all_contrasts,
    all_samples,
    all_tuples,
    for_each_run,
    ranked,
    single_blocks,
)
from losscope.types import BatchBlocks, Blocks, Contrasts, Samples

CLASSES = 4
LABELS = st.lists(st.integers(-1, CLASSES - 1), min_size=1, max_size=9)
STACKS = st.integers(2, 7).flatmap(
    lambda n: st.lists(st.lists(st.integers(-1, CLASSES - 1), min_size=n, max_size=n), min_size=1, max_size=4)
)

Block = tuple[int, int, tuple[int, ...]]
"""Anchor, its positive, the positives of the others in its block."""


def of_batch(blocks: BatchBlocks) -> list[Block]:
    found = []
    for rank, (positives, there) in enumerate(zip(blocks.positive.tolist(), blocks.there.tolist(), strict=True)):
        for anchor, (own, own_rank) in enumerate(zip(blocks.own.tolist(), blocks.rank.tolist(), strict=True)):
            others = [row for place, row in enumerate(positives) if there[place] and place != own]
            if own_rank not in (-1, rank) and there[own] and others:
                found.append((anchor, positives[own], tuple(others)))
    return found


def of_lists(blocks: Blocks) -> list[list[tuple[int, int]]]:
    return [
        [(a, p) for a, p, ok in zip(*(part.tolist() for part in block), strict=True) if ok]
        for block in zip(*blocks, strict=True)
    ]


@settings(max_examples=100, deadline=None)
@given(LABELS, st.integers(0, 2))
def test_all_blocks_are_the_naive_ones(labels: list[int], wider: int) -> None:
    blocks = all_blocks(torch.tensor(labels), CLASSES + wider)
    assert of_batch(blocks) == [(a, p, tuple(others)) for a, p, others in reference_softmax.blocks_of(labels)]
    assert blocks.positive.shape[-1] == min(CLASSES + wider, len(labels))
    every = Counter((anchor, positive) for anchor, positive, _ in of_batch(blocks))
    assert set(every.values()) <= {1}  # an ordered pair is a term once


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_equal_classes_pair_every_sample_with_all_of_its_own(labels: list[int]) -> None:
    """Where classes are as large as each other, no positive pair is lost."""
    even = sorted({*labels, 0, 1} - {-1}) * 3 + [-1]
    found = {(a, p) for a, p, _ in of_batch(all_blocks(torch.tensor(even), CLASSES))}
    pairs = {(a, p) for a in range(len(even)) for p in range(len(even)) if a != p and even[a] == even[p]}
    assert found == pairs


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_single_blocks_use_each_sample_at_most_once(labels: list[int]) -> None:
    blocks = of_lists(single_blocks(torch.tensor(labels), CLASSES))
    used = [row for block in blocks for pair in block for row in pair]
    assert len(set(used)) == len(used)
    for block in blocks:
        classes = [labels[anchor] for anchor, _ in block]
        assert len(set(classes)) == len(classes)
        assert all(labels[anchor] == labels[positive] != -1 for anchor, positive in block)
    counts = Counter(labels)
    expected = Counter({label: 2 * (counts[label] // 2) for label in counts if label != -1 and counts[label] > 1})
    assert Counter(labels[row] for row in used) == expected  # only a class's odd one is left over


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_ranks_count_the_samples_of_a_class(labels: list[int]) -> None:
    place, own, rank = ranked(torch.tensor(labels), CLASSES)
    classes = reference_softmax.classes_of_all(labels)
    assert [[row for row in rows if row >= 0] for rows in place.tolist()][: len(classes)] == classes
    assert not any(row >= 0 for rows in place.tolist()[len(classes) :] for row in rows)
    for row, label in enumerate(labels):
        assert rank[row] == (-1 if label == -1 else labels[:row].count(label))
        assert label == -1 or row in place[own[row]]


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_contrasts_are_the_naive_ones(labels: list[int]) -> None:
    contrasts = all_contrasts(torch.tensor(labels))
    found = [
        (anchor, *(mask[anchor].nonzero().flatten().tolist() for mask in (contrasts.positive, contrasts.negative)))
        for anchor in contrasts.anchor.tolist()
    ]
    naive = {anchor: (positives, negatives) for anchor, positives, negatives in reference_softmax.contrasts_of(labels)}
    for anchor, positives, negatives in found:
        if anchor in naive:
            assert (positives, negatives) == naive[anchor]
        else:
            assert positives == []
        assert labels[anchor] != -1 or negatives == []  # an outlier is a negative, never an anchor


def test_samples_are_all_but_outliers() -> None:
    samples = all_samples(torch.tensor([2, -1, 0]))
    assert samples.valid.tolist() == [True, False, True]
    assert samples.target[[0, 2]].tolist() == [2, 0]
    assert 0 <= samples.target[1] < 3


@settings(max_examples=50, deadline=None)
@given(STACKS)
def test_a_stack_holds_the_tuples_of_each_run(labels: list[list[int]]) -> None:
    stacked = torch.tensor(labels)
    whole, single = all_blocks(stacked, CLASSES), single_blocks(stacked, CLASSES)
    contrasts, samples = all_contrasts(stacked), all_samples(stacked)
    for run, own in enumerate(stacked):
        assert of_batch(BatchBlocks(*(part[run] for part in whole))) == of_batch(all_blocks(own, CLASSES))
        alone = [block for block in of_lists(single_blocks(own, CLASSES)) if block]
        assert [block for block in of_lists(Blocks(*(part[run] for part in single))) if block] == alone
        expected = all_contrasts(own)
        assert torch.equal(contrasts.positive[run], expected.positive)
        assert torch.equal(contrasts.negative[run], expected.negative)
        assert all(torch.equal(part[run], mine) for part, mine in zip(samples, all_samples(own), strict=True))


def test_parts_that_runs_share_are_repeated() -> None:
    labels = torch.tensor([0, 0, 1, 1, -1])
    shapes: dict[type, list[tuple[int, ...]]] = {
        Contrasts: [(3, 5), (3, 5), (3, 5, 5), (3, 5, 5)],
        BatchBlocks: [(3, 2, 2), (3, 2, 2), (3, 5), (3, 5)],
        Blocks: [(3, 1, 2)] * 3,
        Samples: [(3, 5), (3, 5)],
    }
    for tuples in (all_contrasts(labels), all_blocks(labels, 2), single_blocks(labels, 2), all_samples(labels)):
        assert [part.shape for part in for_each_run(tuples, 3)] == shapes[type(tuples)]
    stacked = all_contrasts(labels.expand(3, -1))
    spread = for_each_run(stacked, 3)
    assert isinstance(spread, Contrasts)
    assert spread.positive is stacked.positive
    assert spread.anchor.shape == (3, 5)


def kind_of(name: str, labels: Tensor) -> type:
    return type(all_tuples(LOSSES[name], labels, 2))


def test_each_loss_takes_the_tuples_of_its_kind() -> None:
    labels = torch.tensor([0, 0, 1, 1])
    assert kind_of("n_pair", labels) is BatchBlocks
    assert kind_of("info_nce", labels) is kind_of("sup_con", labels) is Contrasts
    assert kind_of("arcface", labels) is kind_of("center_contrastive", labels) is Samples
