"""What each loss takes from a step: the right rows, as every other loss of the seed, alone as in a stack."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losscope.errors import InvalidStudy
from losscope.losses import LOSSES
from losscope.losses.tuples import for_each_run
from losscope.study import Batch
from losscope.training.batches import Sampler, Step
from losscope.types import BatchBlocks, BatchTriplets, Blocks, Contrasts, Pairs, Samples, Triplets
from stacks import SAMPLINGS

LABELS = np.array([0] * 7 + [1] * 5 + [2] * 2 + [3] + [-1] * 4)
EVEN = np.array([0, 1, 2, 3] * 8 + [-1] * 3)


def sampler(loss: str, labels: np.ndarray = LABELS, seeds: tuple[int, ...] = (0,), **batch: Any) -> Sampler:
    stacked = np.stack([labels] * len(seeds)) if labels.ndim == 1 else labels
    return Sampler(stacked, seeds, Batch(**batch), LOSSES[loss])


def block_of(rows: list[int], anchors: list[int], positives: list[int], valid: list[bool]) -> list[tuple[int, int]]:
    return [(rows[a], rows[p]) for a, p, ok in zip(anchors, positives, valid, strict=True) if ok]


def terms_of(step: Step, run: int = 0) -> list[Any]:
    """What a step asks of a loss, in rows of the split: pairs, triplets, the pairs of each block, (anchor, positives,
    negatives) or (row, class)."""
    assert step.tuples is not None
    rows, tuples = step.rows[run].tolist(), step.tuples
    own = type(tuples)(*(part[run].tolist() for part in for_each_run(tuples, len(step.rows))))
    if isinstance(own, Pairs):
        return [(rows[i], rows[j], same) for i, j, same, ok in zip(*own, strict=True) if ok]
    if isinstance(own, Triplets):
        return [(rows[a], rows[p], rows[n]) for a, p, n, ok in zip(*own, strict=True) if ok]
    if isinstance(own, BatchTriplets):
        slots = zip(own.anchor, own.positive, own.paired, strict=True)
        return [(rows[a], rows[p], rows[n]) for a, p, ok in slots if ok for n in range(len(rows)) if own.differs[a][n]]
    if isinstance(own, Blocks):
        blocks = [block_of(rows, *block) for block in zip(*own, strict=True)]
        return [block for block in blocks if block]
    if isinstance(own, BatchBlocks):
        found = []
        for rank, (positive, there) in enumerate(zip(own.positive, own.there, strict=True)):
            mine = zip(range(len(rows)), own.own, own.rank, strict=True)
            found.append([(rows[a], rows[positive[at]]) for a, at, r in mine if r not in (-1, rank) and there[at]])
        return [block for block in found if block]
    if isinstance(own, Contrasts):
        return [
            (
                rows[anchor],
                sorted(rows[c] for c, yes in zip(own.candidate, own.positive[place], strict=True) if yes),
                sorted(rows[c] for c, yes in zip(own.candidate, own.negative[place], strict=True) if yes),
            )
            for place, anchor in enumerate(own.anchor)
        ]
    assert isinstance(own, Samples)
    return [(row, target) for row, target, ok in zip(rows, own.target, own.valid, strict=True) if ok]


def epoch_of(loss: str, labels: np.ndarray = LABELS, epoch: int = 1, **batch: Any) -> list[list[Any]]:
    return [terms_of(step) for step in sampler(loss, labels, **batch).epoch(epoch)]


# one tuple for each anchor, partners from the whole split ----------------------------------------------------------


def test_partners_from_the_split_are_those_of_the_triplets() -> None:
    """The same anchors in the same order and the same positives for all losses but those of pairs."""
    triplets = epoch_of("triplet", sampling="one_tuple", terms=5)
    pairs = [[(a, p) for a, p, _ in step] for step in triplets]
    for loss in ("info_nce", "sup_con"):
        steps = epoch_of(loss, sampling="one_tuple", terms=5)
        assert [[(a, *positives) for a, positives, _ in step] for step in steps] == pairs
        for step, own in zip(steps, pairs, strict=True):
            for anchor, _, negatives in step:
                others = [positive for _, positive in own if LABELS[positive] != LABELS[anchor]]
                assert negatives == sorted(others)
    blocks = epoch_of("n_pair", sampling="one_tuple", terms=5)
    assert [sorted(pair for block in step for pair in block) for step in blocks] == [sorted(step) for step in pairs]
    for loss in ("arcface", "center_contrastive"):
        steps = epoch_of(loss, sampling="one_tuple", terms=5)
        assert steps == [[(a, LABELS[a]) for a, _ in step] for step in pairs]


def test_a_block_of_partners_has_each_class_once() -> None:
    for block in (block for step in epoch_of("n_pair", sampling="one_tuple", terms=8) for block in step):
        classes = [LABELS[anchor] for anchor, _ in block]
        assert len(set(classes)) == len(classes)
        assert all(LABELS[anchor] == LABELS[positive] and anchor != positive for anchor, positive in block)


# one tuple for each anchor, partners from the batch ----------------------------------------------------------------

IN_BATCH: list[dict[str, Any]] = [
    {"partners": "batch", "samples": 9},
    {"partners": "batch", "classes": 3, "per_class": 5},
]


@pytest.mark.parametrize("batch", IN_BATCH)
def test_partners_from_the_batch_are_those_of_the_triplets(batch: dict[str, Any]) -> None:
    steps = [epoch_of(loss, EVEN, sampling="one_tuple", **batch) for loss in ("triplet", "contrastive", "info_nce")]
    for triplets, pairs, contrasts in zip(*steps, strict=True):
        positive, negative = {a: p for a, p, _ in triplets}, {a: n for a, _, n in triplets}
        assert all(partner == (positive if same else negative)[a] for a, partner, same in pairs if a in positive)
        rows = [a for a, *_ in contrasts]
        for anchor, positives, negatives in contrasts:
            assert positives == ([positive[anchor]] if anchor in positive else [])
            others = [row for row in rows if EVEN[row] != EVEN[anchor] and EVEN[anchor] != -1]
            assert negatives == sorted(others)


@pytest.mark.parametrize("loss", ["contrastive", "triplet", "n_pair", "info_nce", "arcface", "center_contrastive"])
@pytest.mark.parametrize("batch", IN_BATCH)
def test_customary_is_one_tuple_for_all_but_sup_con(loss: str, batch: dict[str, Any]) -> None:
    customary, one_tuple = (epoch_of(loss, EVEN, sampling=sampling, **batch) for sampling in ("customary", "one_tuple"))
    assert customary == one_tuple


def test_customary_is_all_positives_for_sup_con() -> None:
    given: dict[str, Any] = {"classes": 4, "per_class": 4}
    customary = epoch_of("sup_con", EVEN, sampling="customary", partners="batch", **given)
    assert customary == epoch_of("sup_con", EVEN, sampling="all_in_batch", **given)
    for anchor, positives, negatives in (one for step in customary for one in step):
        assert len(positives) == 3
        assert len(negatives) == 12
        assert all(EVEN[row] == EVEN[anchor] for row in [anchor, *positives])
    one_each = epoch_of("sup_con", EVEN, sampling="one_tuple", partners="batch", **given)
    assert {len(positives) for step in one_each for _, positives, _ in step} == {1}


@pytest.mark.parametrize(("per_class", "blocks"), [(4, 2), (5, 2), (2, 1)])
def test_n_pair_uses_each_sample_of_a_batch_once(per_class: int, blocks: int) -> None:
    """Of an odd number one sample of each class is left over; paper B's 51 give 25 blocks."""
    for step in epoch_of("n_pair", EVEN, sampling="customary", partners="batch", classes=4, per_class=per_class):
        assert len(step) == blocks
        rows = [row for block in step for pair in block for row in pair]
        assert len(set(rows)) == len(rows) == 4 * 2 * blocks
        assert all([EVEN[a] for a, _ in block] == [EVEN[p] for _, p in block] == [0, 1, 2, 3] for block in step)


# all tuples of a batch ---------------------------------------------------------------------------------------------


def test_all_in_batch_gives_n_pair_every_ordered_pair_once() -> None:
    for step in epoch_of("n_pair", EVEN, sampling="all_in_batch", classes=4, per_class=4):
        pairs = [pair for block in step for pair in block]
        rows = {row for pair in pairs for row in pair}
        assert len(rows) == 16
        assert sorted(pairs) == sorted((a, p) for a in rows for p in rows if a != p and EVEN[a] == EVEN[p])
        for block in step:  # its positives are one of each class
            assert len({positive for _, positive in block}) == 4


def test_all_in_batch_gives_every_sample_all_positives() -> None:
    for loss in ("info_nce", "sup_con"):
        for step in epoch_of(loss, sampling="all_in_batch", samples=9):
            rows = [anchor for anchor, *_ in step]
            for anchor, positives, negatives in step:
                inlier = LABELS[anchor] != -1
                others = [row for row in rows if row != anchor and inlier]
                assert positives == sorted(row for row in others if LABELS[row] == LABELS[anchor])
                assert negatives == sorted(row for row in others if LABELS[row] != LABELS[anchor])


@pytest.mark.parametrize("sampling", ["one_tuple", "all_in_batch"])
@pytest.mark.parametrize("loss", ["arcface", "center_contrastive"])
def test_samples_are_all_inliers_of_a_batch(loss: str, sampling: str) -> None:
    steps = epoch_of(loss, sampling=sampling, partners="batch", samples=8)
    assert sorted(term for step in steps for term in step) == [
        (row, label) for row, label in enumerate(LABELS) if label != -1
    ]


def test_class_vectors_are_numbered_in_the_order_of_labels() -> None:
    """Whatever the labels are; -1 stays an outlier."""
    made = sampler("arcface", np.array([7, 7, 3, -1, 100, 3]), sampling="all_in_batch", samples=6)
    assert made.classes == 3
    (step,) = made.epoch(1)
    assert sorted(terms_of(step)) == [(0, 1), (1, 1), (2, 0), (4, 2), (5, 0)]


# seeds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("sampling", ["one_tuple", "one_tuple in the batch", "customary", "all_in_batch"])
def test_an_epoch_depends_on_seed_and_number_alone(loss: str, sampling: str) -> None:
    def steps(seeds: tuple[int, ...], epoch: int, run: int = 0) -> list[list[Any]]:
        made = sampler(loss, EVEN, seeds, **SAMPLINGS[sampling])
        list(made.epoch(epoch - 1))  # drawing an earlier one shifts nothing
        return [terms_of(step, run) for step in made.epoch(epoch)]

    assert steps((4,), 2) == steps((9, 4, 1), 2, run=1)
    assert steps((4,), 2) != steps((4,), 3)
    assert steps((4,), 2) != steps((5,), 2)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.permutations([0, 0, 0, 1, 1, 2, 2, 2, -1, -1]), min_size=2, max_size=3),
    st.sampled_from(sorted(LOSSES)),
    st.sampled_from(["one_tuple", "one_tuple in the batch", "all_in_batch"]),
)
def test_runs_with_other_labels_don_t_change_a_run(labels: list[list[int]], loss: str, sampling: str) -> None:
    stacked, options = np.array(labels), SAMPLINGS[sampling] | {"terms": 3, "samples": 4}
    whole = sampler(loss, stacked, tuple(range(len(labels))), **options)
    for run in range(len(labels)):
        alone = sampler(loss, stacked[run : run + 1], (run,), **options)
        both = [[terms_of(step, place) for step in one.epoch(1)] for one, place in ((whole, run), (alone, 0))]
        assert both[0] == both[1]


@pytest.mark.parametrize("loss", LOSSES)
def test_runs_of_other_classes_stack_only_where_classes_are_not_counted(loss: str) -> None:
    labels = np.array([[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 0, 0]])
    if LOSSES[loss].proxies or LOSSES[loss].blocks:
        with pytest.raises(InvalidStudy, match=r"have \[3, 2\] classes, 3 together.*protocol\.chunk=1"):
            sampler(loss, labels, (0, 1), sampling="all_in_batch")
    else:
        assert list(sampler(loss, labels, (0, 1), sampling="all_in_batch", samples=6).epoch(1))
