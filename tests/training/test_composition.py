"""Batches of classes x samples: exactly so many of each, classes equally often, the same for every loss."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from losscope.errors import InvalidStudy
from losscope.losses import LOSSES
from losscope.study import Batch
from losscope.training.batches import Sampler
from losscope.training.composition import composed

SIZES = st.lists(st.integers(1, 9), min_size=2, max_size=7)


def batch(classes: int, per_class: int) -> Batch:
    return Batch(sampling="all_in_batch", classes=classes, per_class=per_class)


def labels_of(sizes: list[int], outliers: int = 0) -> np.ndarray:
    """Classes of these sizes in a fixed disorder, and some outliers."""
    labels = np.concatenate([np.repeat(np.arange(len(sizes)), sizes), np.full(outliers, -1)])
    return np.random.default_rng(0).permutation(labels)


@settings(max_examples=100, deadline=None)
@given(SIZES, st.integers(2, 4), st.integers(2, 4), st.integers(0, 3))
def test_each_batch_has_so_many_classes_with_so_many_samples_each(
    sizes: list[int], classes: int, per_class: int, outliers: int
) -> None:
    labels, large = labels_of(sizes, outliers), [size for size in sizes if size >= per_class]
    if len(large) < classes:
        with pytest.raises(InvalidStudy, match=f"has {len(large)} of its {len(sizes)} classes with that many"):
            composed(labels, batch(classes, per_class), 0, 1)
        return
    batches = composed(labels, batch(classes, per_class), 0, 1)
    assert len(batches) == max(sum(large) // (classes * per_class), 1)
    for rows in batches:
        assert len(set(rows.tolist())) == len(rows) == classes * per_class
        assert list(Counter(labels[rows].tolist()).values()) == [per_class] * classes
        assert -1 not in labels[rows]


def test_classes_come_equally_often_whatever_their_size() -> None:
    labels, often = labels_of([40, 12, 6, 5]), Counter[int]()
    for rows in composed(labels, batch(2, 3), 0, 1):
        often.update(set(labels[rows].tolist()))
    assert max(often.values()) - min(often.values()) <= 1
    often.clear()
    for epoch in range(300):  # three of four classes in a batch: the one left over is another in each round
        for rows in composed(labels, batch(3, 3), 0, epoch):
            often.update(set(labels[rows].tolist()))
    shares = np.array(sorted(often.values())) / sum(often.values())
    assert shares == pytest.approx(0.25, abs=0.01)


def test_a_sample_returns_only_after_the_others_of_its_class() -> None:
    labels = labels_of([12, 12, 12])
    seen = np.concatenate(composed(labels, batch(3, 4), 0, 1))
    assert sorted(seen.tolist()) == list(range(36))  # three batches are one pass
    small = labels_of([6, 40])
    rows = [row for rows in composed(small, batch(2, 3), 0, 1) for row in rows.tolist() if small[row] == 0]
    for start in range(0, len(rows) - 5, 6):
        assert len(set(rows[start : start + 6])) == 6


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    labels = labels_of([12, 12, 12])

    def rows(seed: int, epoch: int) -> list[list[int]]:
        return [one.tolist() for one in composed(labels, batch(3, 4), seed, epoch)]

    assert rows(1, 1) == rows(1, 1)
    assert rows(1, 1) != rows(1, 2)
    assert rows(1, 1) != rows(2, 1)
    assert any(sorted(one) not in map(sorted, rows(1, 2)) for one in rows(1, 1))  # not only the order of batches
    in_batch = labels[rows(1, 1)[0]].tolist()
    assert in_batch != sorted(in_batch)


@pytest.mark.parametrize("classes", [None, 3])
def test_every_loss_of_a_seed_sees_the_same_rows(classes: int | None) -> None:
    labels, seen = labels_of([12, 9, 7, 5], outliers=4), set()
    for loss in LOSSES.values():
        for sampling in ("all_in_batch", "one_tuple", "customary"):
            given = Batch(sampling=sampling, partners="batch", samples=9, classes=classes,  # type: ignore[arg-type]
                          per_class=classes and 4)  # fmt: skip
            made = Sampler(np.stack([labels, labels]), (5, 6), given, loss)
            seen.add(repr([step.rows.tolist() for step in made.epoch(2)]))
    assert len(seen) == 1


def test_outliers_alone_fill_no_batch() -> None:
    with pytest.raises(InvalidStudy, match="has 0 of its 0 classes"):
        composed(np.full(5, -1), batch(2, 2), 0, 1)


def test_classes_too_small_are_refused_with_the_numbers() -> None:
    message = "batches of 3 classes x 4 samples need 3 classes with at least 4 samples; .* has 1 of its 3 classes"
    with pytest.raises(InvalidStudy, match=message):
        composed(labels_of([3, 2, 9]), batch(3, 4), 0, 1)


def test_runs_whose_batches_differ_in_number_don_t_stack() -> None:
    """The second has a class that is too small to be in a batch."""
    labels = np.stack([labels_of([4, 4, 4]), labels_of([5, 5, 2])])
    made = Sampler(labels, (0, 1), batch(2, 3), LOSSES["triplet"])
    with pytest.raises(InvalidStudy, match=r"\[1, 2\] batches in an epoch.*protocol\.chunk=1"):
        list(made.epoch(1))
