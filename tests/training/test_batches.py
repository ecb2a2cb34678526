"""Batches: the right partners, every anchor once, the same draws for every loss of a seed."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import reference
from losscope import data
from losscope.errors import InvalidStudy
from losscope.losses import LOSSES
from losscope.losses.tuples import same_class
from losscope.study import Batch
from losscope.training.batches import Sampler, Step, partners_in_batch
from losscope.training.partners import ClassIndex
from losscope.types import BatchTriplets, Pairs, Triplets
from stacks import SAMPLINGS

LABELS = np.array([0] * 7 + [1] * 5 + [2] * 2 + [3] + [-1] * 4)
HINGES = ("contrastive", "triplet")
SPLIT_LABELS = st.lists(st.integers(-1, 3), min_size=2, max_size=14)


def sampler(loss: str, labels: np.ndarray = LABELS, seeds: tuple[int, ...] = (0,), **batch: Any) -> Sampler:
    stacked = np.stack([labels] * len(seeds)) if labels.ndim == 1 else labels
    return Sampler(stacked, seeds, Batch(**batch), LOSSES[loss])


def terms_of(step: Step, run: int = 0) -> list[tuple[int, ...]]:
    """Rows of the split of each valid term: (anchor, partner, same) or (anchor, positive, negative)."""
    rows, tuples = step.rows[run], step.tuples
    assert isinstance(tuples, Pairs | Triplets)
    parts = [part if part.ndim == 1 else part[run] for part in tuples]
    listed = zip(*(part.tolist() for part in parts), strict=True)
    if isinstance(tuples, Pairs):
        return [(int(rows[i]), int(rows[j]), int(same)) for i, j, same, ok in listed if ok]
    return [(int(rows[a]), int(rows[p]), int(rows[n])) for a, p, n, ok in listed if ok]


def epoch_terms(made: Sampler, epoch: int = 1, run: int = 0) -> list[tuple[int, ...]]:
    return [term for step in made.epoch(epoch) for term in terms_of(step, run)]


# partners ------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(SPLIT_LABELS, st.floats(0, 1, exclude_max=True))
def test_a_partner_is_of_the_right_class_and_never_the_anchor(labels: list[int], uniform: float) -> None:
    index, rows = ClassIndex(np.array(labels)), np.arange(len(labels))
    positives = index.positives(rows, np.full(len(rows), uniform))
    negatives = index.negatives(rows, np.full(len(rows), uniform))
    for row in rows:
        others = [other for other in rows if other != row and labels[other] == labels[row]]
        assert index.has_positive[row] == (bool(others) and labels[row] != -1)
        assert index.has_negative[row] == (len(others) + 1 < len(labels))
        if others:
            assert positives[row] in others
        if index.has_negative[row]:
            assert labels[negatives[row]] != labels[row]


def test_partners_are_drawn_uniformly() -> None:
    index, draws = ClassIndex(LABELS), 20_000
    uniform = (np.arange(draws) + 0.5) / draws
    for row in (0, 3, 6, 8):
        positives = Counter(index.positives(np.full(draws, row), uniform).tolist())
        others = [other for other in np.flatnonzero(LABELS[row] == LABELS) if other != row]
        assert sorted(positives) == others
        assert max(positives.values()) - min(positives.values()) <= 1
        negatives = Counter(index.negatives(np.full(draws, row), uniform).tolist())
        assert sorted(negatives) == np.flatnonzero(LABELS[row] != LABELS).tolist()
        assert max(negatives.values()) - min(negatives.values()) <= 1


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(-1, 2), min_size=2, max_size=9), st.integers(0, 1000), st.sampled_from(HINGES))
def test_partners_in_a_batch(labels: list[int], seed: int, loss: str) -> None:
    own, uniform = torch.tensor([labels]), np.random.default_rng(seed).random((1, 3, len(labels)))
    tuples = partners_in_batch(own, uniform, LOSSES[loss], classes=3)
    found = terms_of(Step(torch.arange(len(labels)).unsqueeze(0), tuples))
    if loss == "triplet":
        offered = reference.triplets_of(labels)
        assert set(found) <= set(offered)
        assert sorted(a for a, *_ in found) == sorted({a for a, *_ in offered})
    else:
        wants_positive = (uniform[0, 2] < 0.5).tolist()
        for anchor, partner, same in found:
            assert anchor != partner
            assert bool(same) == (labels[anchor] == labels[partner] != -1) == wants_positive[anchor]
        sides = {(a, a_is) for i, j, a_is in reference.pairs_of(labels) for a in (i, j)}
        expected = [a for a, wanted in enumerate(wants_positive) if (a, wanted) in sides]
        assert [anchor for anchor, *_ in found] == expected


def test_partners_in_a_batch_are_drawn_uniformly() -> None:
    labels = torch.tensor([[0, 0, 0, 1, 1, -1]])
    grid = (torch.arange(3000) + 0.5) / 3000
    drawn: Counter[tuple[int, ...]] = Counter()
    for value in grid.tolist():
        tuples = partners_in_batch(labels, np.full((1, 3, 6), value), LOSSES["triplet"], classes=2)
        drawn.update(term[:2] for term in terms_of(Step(torch.arange(6).unsqueeze(0), tuples)) if term[0] == 1)
    assert drawn == {(1, 0): 1500, (1, 2): 1500}


# epochs ------------------------------------------------------------


def test_one_tuple_gives_each_anchor_one_pair() -> None:
    terms = epoch_terms(sampler("contrastive", sampling="one_tuple", terms=4))
    assert sorted(anchor for anchor, *_ in terms) == list(range(len(LABELS)))
    for anchor, partner, same in terms:
        assert anchor != partner
        assert bool(same) == (LABELS[anchor] == LABELS[partner] != -1)
    alone = [term for term in terms if LABELS[term[0]] in (3, -1)]
    assert len(alone) == 5
    assert not any(same for *_, same in alone)  # an anchor without a positive gets a negative


def test_the_coin_of_one_tuple_is_fair() -> None:
    made = sampler("contrastive", sampling="one_tuple", terms=64)
    sides = [same for epoch in range(200) for anchor, _, same in epoch_terms(made, epoch) if LABELS[anchor] in (0, 1)]
    assert np.mean(sides) == pytest.approx(0.5, abs=4 * 0.5 / len(sides) ** 0.5)


def test_one_plus_one_gives_each_anchor_a_positive_and_a_negative() -> None:
    terms = epoch_terms(sampler("contrastive", sampling="one_plus_one", terms=4))
    sides = Counter((anchor, same) for anchor, _, same in terms)
    for row, label in enumerate(LABELS):
        expected = {1: 1, 0: 1} if label in (0, 1, 2) else {0: 2}  # without a positive: two negatives
        assert {same: count for (anchor, same), count in sides.items() if anchor == row} == expected
    assert all(bool(same) == (LABELS[a] == LABELS[p] != -1) for a, p, same in terms)


def test_the_two_negatives_of_an_outlier_are_drawn_apart() -> None:
    made = sampler("contrastive", sampling="one_plus_one", terms=4)
    partners: dict[tuple[int, int], list[int]] = {}
    for epoch in range(20):
        for anchor, partner, _ in epoch_terms(made, epoch):
            if LABELS[anchor] == -1:
                partners.setdefault((epoch, anchor), []).append(partner)
    assert all(len(both) == 2 for both in partners.values())
    different = np.mean([first != second for first, second in partners.values()])
    assert different == pytest.approx(1 - 1 / 15, abs=0.1)  # 15 samples to draw from


@pytest.mark.parametrize("sampling", ["one_tuple", "one_plus_one"])
def test_triplets_are_one_for_each_anchor_with_a_positive(sampling: str) -> None:
    terms = epoch_terms(sampler("triplet", sampling=sampling, terms=4))
    assert sorted(anchor for anchor, *_ in terms) == np.flatnonzero((LABELS >= 0) & (LABELS < 3)).tolist()
    assert all(a != p and LABELS[a] == LABELS[p] != LABELS[n] for a, p, n in terms)
    assert any(LABELS[n] == -1 for _, _, n in terms)


def test_an_epoch_of_the_synthetic_data_has_4200_pairs_and_2000_triplets() -> None:
    labels = data.load("synthetic").splits["train"].labels
    pairs = list(sampler("contrastive", labels, sampling="one_plus_one", terms=64).epoch(1))
    terms = [term for step in pairs for term in terms_of(step)]
    assert len(terms) == 4200
    assert len(pairs) == 66
    assert sum(same for *_, same in terms) == 2000
    assert not any(same for anchor, _, same in terms if labels[anchor] == -1)
    triplets = list(sampler("triplet", labels, sampling="one_plus_one", terms=64).epoch(1))
    assert sum(len(terms_of(step)) for step in triplets) == 2000
    assert len(epoch_terms(sampler("contrastive", labels, sampling="one_tuple", terms=64))) == 2100


@pytest.mark.parametrize("sampling", ["one_tuple", "one_plus_one"])
@pytest.mark.parametrize("loss", HINGES)
def test_the_first_of_several_tuples_is_the_only_one_of_one(loss: str, sampling: str) -> None:
    one = epoch_terms(sampler(loss, sampling=sampling))
    three = epoch_terms(sampler(loss, sampling=sampling, tuples_per_anchor=3))
    assert not Counter(one) - Counter(three)
    assert len(three) == 3 * len(one)
    assert Counter(anchor for anchor, *_ in three) == Counter({row: 3 * n for row, n in counted(one).items()})
    assert len(set(three)) > 1.5 * len(one)  # drawn anew, not repeated
    assert sorted(epoch_terms(sampler(loss, sampling=sampling, counts="anchors"))) == sorted(one)


def counted(terms: list[tuple[int, ...]]) -> Counter[int]:
    return Counter(anchor for anchor, *_ in terms)


@pytest.mark.parametrize(("loss", "of_one"), [("contrastive", 2), ("triplet", 1)])
@pytest.mark.parametrize("copies", [1, 3])
def test_a_batch_of_anchors_holds_all_tuples_of_each(loss: str, of_one: int, copies: int) -> None:
    made = sampler(loss, sampling="one_plus_one", counts="anchors", tuples_per_anchor=copies, terms=4)
    batches = [counted(terms_of(step)) for step in made.epoch(1)]
    assert {n for batch in batches for n in batch.values()} == {of_one * copies}
    assert [len(batch) for batch in batches[:-1]] == [4] * (len(batches) - 1)
    met = [anchor for batch in batches for anchor in batch]
    assert len(met) == len(set(met)) == (19 if loss == "contrastive" else 14)  # all, or those with a positive


def test_batches_of_anchors_give_pairs_as_many_updates_as_triplets() -> None:
    labels = data.load("synthetic", seed=0).splits["train"].labels
    steps = {
        (loss, counts): len(list(sampler(loss, labels, sampling="one_plus_one", counts=counts).epoch(1)))
        for loss in HINGES
        for counts in ("terms", "anchors")
    }
    assert steps == {
        ("contrastive", "terms"): 66,
        ("contrastive", "anchors"): 33,  # an outlier is an anchor of two negatives
        ("triplet", "terms"): 32,
        ("triplet", "anchors"): 32,
    }


@pytest.mark.parametrize("loss", HINGES)
@pytest.mark.parametrize("sampling", ["one_tuple", "one_tuple in the batch", "one_plus_one"])
def test_no_outlier_is_half_of_a_positive_pair(loss: str, sampling: str) -> None:
    made = sampler(loss, **SAMPLINGS[sampling])
    for epoch in range(5):
        for term in epoch_terms(made, epoch):
            positive = term[2] == 1 if loss == "contrastive" else True
            assert not (positive and LABELS[term[0]] == -1)
            assert not (positive and LABELS[term[1]] == -1)


@pytest.mark.parametrize("loss", HINGES)
def test_all_in_batch_shows_every_sample_once_and_forms_all_tuples(loss: str) -> None:
    steps = list(sampler(loss, sampling="all_in_batch", samples=5).epoch(3))
    assert [step.rows.shape[1] for step in steps] == [5, 5, 5, 4]
    assert sorted(torch.cat([step.rows[0] for step in steps]).tolist()) == list(range(len(LABELS)))
    for step in steps:
        own = LABELS[step.rows[0].numpy()].tolist()
        if loss == "contrastive":
            assert isinstance(step.tuples, Pairs)
            kept = step.tuples.valid[0]
            found = [
                (int(i), int(j), bool(same))
                for i, j, same in zip(
                    step.tuples.first[kept], step.tuples.second[kept], step.tuples.same[0][kept], strict=True
                )
            ]
            assert found == reference.pairs_of(own)
        else:
            assert isinstance(step.tuples, BatchTriplets)
            assert int(step.tuples.paired.sum()) == int(same_class(torch.tensor(own)).sum())


def test_a_last_batch_of_one_sample_is_left_out() -> None:
    steps = list(sampler("contrastive", LABELS[:11], sampling="all_in_batch", samples=5).epoch(1))
    assert [step.rows.shape[1] for step in steps] == [5, 5]


# seeds ------------------------------------------------------------


@pytest.mark.parametrize("sampling", ["one_tuple", "one_plus_one", "all_in_batch", "one_tuple in the batch"])
def test_an_epoch_depends_on_seed_and_number_alone(sampling: str) -> None:
    def rows(loss: str, seeds: tuple[int, ...], epoch: int, run: int = 0) -> list[list[int]]:
        made = sampler(loss, seeds=seeds, **SAMPLINGS[sampling])
        return [step.rows[run].tolist() for step in made.epoch(epoch)]

    for loss in HINGES:
        assert rows(loss, (4,), 2) == rows(loss, (4,), 2) == rows(loss, (9, 4, 1), 2, run=1)
        assert rows(loss, (4,), 2) != rows(loss, (4,), 3)
        assert rows(loss, (4,), 2) != rows(loss, (5,), 2)
        if sampling != "all_in_batch":
            anchors = [[term[0] for term in epoch_terms(sampler(loss, **SAMPLINGS[sampling]), e)] for e in (1, 2)]
            assert anchors[0] != anchors[1]  # not only the partners change
        made = sampler(loss, seeds=(4,), **SAMPLINGS[sampling])
        list(made.epoch(1))  # drawing an earlier epoch shifts nothing
        assert [step.rows[0].tolist() for step in made.epoch(2)] == rows(loss, (4,), 2)


def test_every_loss_of_a_seed_meets_the_same_partners() -> None:
    """A positive pair of an anchor is the positive of its triplet, a negative pair its negative."""
    for sampling in ("one_tuple", "one_plus_one"):
        triplets = {a: (p, n) for a, p, n in epoch_terms(sampler("triplet", sampling=sampling, terms=4))}
        for anchor, partner, same in epoch_terms(sampler("contrastive", sampling="one_tuple", terms=4)):
            if anchor in triplets:
                assert partner == triplets[anchor][0 if same else 1]


def test_anchors_come_in_the_same_order_for_pairs_and_triplets() -> None:
    pairs = [a for a, *_ in epoch_terms(sampler("contrastive", sampling="one_tuple", terms=4))]
    triplets = [a for a, *_ in epoch_terms(sampler("triplet", sampling="one_tuple", terms=4))]
    assert triplets == [a for a in pairs if a in set(triplets)]
    for sampling in ("all_in_batch", "one_tuple in the batch"):
        orders = [[step.rows.tolist() for step in sampler(loss, **SAMPLINGS[sampling]).epoch(1)] for loss in HINGES]
        assert orders[0] == orders[1]


@settings(max_examples=25, deadline=None)
@given(
    st.integers(4, 12).flatmap(
        lambda n: st.lists(st.lists(st.integers(-1, 2), min_size=n, max_size=n), min_size=2, max_size=3)
    ),
    st.sampled_from(HINGES),
    st.sampled_from(["one_tuple", "one_plus_one", "one_tuple in the batch"]),
)
def test_runs_with_other_labels_don_t_change_a_run(labels: list[list[int]], loss: str, sampling: str) -> None:
    assume(all(len(set(own)) > 1 and len(set(own) - {-1}) < len([x for x in own if x != -1]) for own in labels))
    stacked, options = np.array(labels), SAMPLINGS[sampling] | {"terms": 3, "samples": 4}
    whole = sampler(loss, stacked, tuple(range(len(labels))), **options)
    alone = [sampler(loss, stacked[run : run + 1], (run,), **options) for run in range(len(labels))]
    if sampling != "one_tuple in the batch" and len({len(epoch_terms(one, 1)) for one in alone}) > 1:
        with pytest.raises(InvalidStudy, match=r"protocol\.chunk=1"):
            epoch_terms(whole, 1)
        return
    for run, one in enumerate(alone):
        assert epoch_terms(whole, 1, run) == epoch_terms(one, 1)
