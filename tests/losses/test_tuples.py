"""Tuples from labels: exactly those of the naive loops, alone and in stacks, and what mining leaves."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import reference
from losscope.losses.tuples import (
    all_pairs,
    all_triplets,
    batch_hard,
    for_each_run,
    positive_pairs,
    semi_hard,
)
from losscope.types import BatchTriplets, Triplets

LABELS = st.lists(st.integers(-1, 3), min_size=1, max_size=9)
STACKS = st.integers(2, 7).flatmap(
    lambda n: st.lists(st.lists(st.integers(-1, 2), min_size=n, max_size=n), min_size=1, max_size=4)
)


def listed(triplets: BatchTriplets) -> list[tuple[int, int, int]]:
    slots = zip(*(part.tolist() for part in triplets[:3]), strict=True)
    return [(a, p, q) for a, p, ok in slots if ok for q in triplets.differs[a].nonzero().flatten().tolist()]


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_all_pairs_are_the_naive_ones(labels: list[int]) -> None:
    pairs = all_pairs(torch.tensor(labels))
    found = [(i, j, same) for i, j, same, ok in zip(*(part.tolist() for part in pairs), strict=True) if ok]
    assert found == reference.pairs_of(labels)


@settings(max_examples=100, deadline=None)
@given(LABELS)
def test_all_triplets_are_the_naive_ones_each_once(labels: list[int]) -> None:
    found = listed(all_triplets(torch.tensor(labels)))
    assert sorted(found) == sorted(reference.triplets_of(labels))


@settings(max_examples=50, deadline=None)
@given(STACKS)
def test_a_stack_holds_the_tuples_of_each_run(labels: list[list[int]]) -> None:
    stacked = torch.tensor(labels)
    triplets, pairs = all_triplets(stacked), all_pairs(stacked)
    for run, own in enumerate(stacked):
        assert listed(BatchTriplets(*(part[run] for part in triplets))) == listed(all_triplets(own))
        assert torch.equal(pairs.same[run], all_pairs(own).same)
        assert torch.equal(pairs.valid[run], all_pairs(own).valid)
    most = max(len(positive_pairs(own)[0]) for own in stacked)
    assert triplets.anchor.shape == (len(labels), most)


def test_parts_that_runs_share_are_repeated() -> None:
    labels = torch.tensor([[0, 0, 1, 1]] * 3)
    pairs = for_each_run(all_pairs(labels), 3)
    assert {part.shape for part in pairs} == {(3, 6)}
    alone = for_each_run(all_triplets(labels[0]), 5)
    assert [part.shape for part in alone] == [(5, 4), (5, 4), (5, 4), (5, 4, 4)]
    triplets = all_triplets(labels)
    assert all(part is given for part, given in zip(for_each_run(triplets, 3), triplets, strict=True))


def batch(seed: int, samples: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(seed)
    z = torch.nn.functional.normalize(torch.randn(samples, 3, generator=random, dtype=torch.float64), dim=1)
    return z, torch.randint(-1, 3, (samples,), generator=random)


def chosen(triplets: Triplets) -> list[tuple[int, int, int]]:
    return [(a, p, q) for a, p, q, ok in zip(*(part.tolist() for part in triplets), strict=True) if ok]


@pytest.mark.parametrize("seed", range(10))
def test_batch_hard_equals_the_naive_loop(seed: int) -> None:
    z, labels = batch(seed)
    expected = reference.hardest_triplets(z.numpy(), labels.tolist())
    assert chosen(batch_hard(z, labels)) == [(a, *partners) for a, partners in sorted(expected.items())]


@pytest.mark.parametrize("squared", [False, True])
@pytest.mark.parametrize("seed", range(10))
def test_semi_hard_equals_the_naive_loop(seed: int, squared: bool) -> None:
    z, labels = batch(seed)
    expected = reference.semi_hard_triplets(z.numpy(), labels.tolist(), 0.3, squared)
    found = chosen(semi_hard(z, all_triplets(labels), margin=0.3, squared=squared))
    assert {(a, p): q for a, p, q in found} == expected
    assert len(found) == len(expected)


def test_the_semi_hard_choice_depends_on_the_loss_own_distance() -> None:
    """d(a, p) = 0.2 and d(a, n) = 1.01: farther by less than 0.9, squared by more."""
    z = torch.tensor([[0.0, 0.0], [0.2, 0.0], [0.0, 1.01]], dtype=torch.float64)
    triplets = all_triplets(torch.tensor([0, 0, 1]))
    assert (0, 1, 2) in chosen(semi_hard(z, triplets, margin=0.9, squared=False))
    assert (0, 1, 2) not in chosen(semi_hard(z, triplets, margin=0.9, squared=True))


def test_a_pair_without_a_semi_hard_negative_has_no_term() -> None:
    z = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.99, 0.14], [-1.0, 0.0]])  # one too near, one too far
    found = semi_hard(z, all_triplets(torch.tensor([0, 0, 1, 2])), margin=0.3, squared=False)
    assert not found.valid[0]
    assert torch.equal(found.anchor[:1], torch.tensor([0]))


def test_an_anchor_without_positive_or_negative_has_no_hardest_triplet() -> None:
    z, _ = batch(0, 4)
    assert chosen(batch_hard(z, torch.tensor([0, 1, 2, -1]))) == []
    assert chosen(batch_hard(z, torch.tensor([0, 0, 0, 0]))) == []
    assert {a for a, *_ in chosen(batch_hard(z, torch.tensor([0, 0, -1, -1])))} == {0, 1}


@pytest.mark.parametrize("seed", range(3))
def test_mining_a_stack_equals_mining_each_run(seed: int) -> None:
    runs = [batch(seed * 10 + run) for run in range(3)]
    z, labels = (torch.stack(parts) for parts in zip(*runs, strict=True))
    hard, semi = batch_hard(z, labels), semi_hard(z, all_triplets(labels), margin=0.4, squared=False)
    for run, (own, own_labels) in enumerate(runs):
        assert chosen(Triplets(*(part[run] for part in hard))) == chosen(batch_hard(own, own_labels))
        alone = semi_hard(own, all_triplets(own_labels), margin=0.4, squared=False)
        assert chosen(Triplets(*(part[run] for part in semi))) == chosen(alone)


def test_mining_sees_no_gradient() -> None:
    z, labels = batch(0)
    z.requires_grad_()
    for mined in (batch_hard(z, labels), semi_hard(z, all_triplets(labels), margin=0.3, squared=False)):
        assert not any(part.requires_grad for part in mined)
