"""Splits as pure functions of labels: known small answers and properties for any labels."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from losscope.data.splits import class_disjoint, first_per_class, rows_of, stratified_half

labels_of_any_kind = arrays(np.int64, st.integers(1, 60), elements=st.integers(-1, 6))


@given(labels_of_any_kind)
def test_stratified_half_has_half_of_each_class(labels: np.ndarray) -> None:
    train = stratified_half(labels)
    for label in np.unique(labels):
        size = int(np.sum(labels == label))
        assert np.sum(train[labels == label]) == (size + 1) // 2


@given(labels_of_any_kind)
def test_the_half_of_a_class_does_not_depend_on_the_other_classes(labels: np.ndarray) -> None:
    alone = labels[labels == labels[0]]
    np.testing.assert_array_equal(stratified_half(labels)[labels == labels[0]], stratified_half(alone))


def test_stratified_half_is_random_by_its_own_seed_only() -> None:
    labels = np.repeat(np.arange(4), 50)
    np.testing.assert_array_equal(stratified_half(labels), stratified_half(labels))
    assert (stratified_half(labels) != stratified_half(labels, seed=1)).any()
    assert not stratified_half(labels)[:25].all()


@given(labels_of_any_kind)
def test_class_disjoint_shares_no_class(labels: np.ndarray) -> None:
    train = class_disjoint(labels)
    seen, unseen = set(labels[train]) - {-1}, set(labels[~train])
    assert not seen & unseen
    assert len(seen) - len(unseen) in (0, 1)
    assert max(seen, default=-1) < min(unseen, default=99)


def test_class_disjoint_of_two_hundred_and_196_classes() -> None:
    assert class_disjoint(np.arange(200)).sum() == 100
    assert class_disjoint(np.arange(196)).sum() == 98


@given(labels_of_any_kind, st.integers(1, 5))
def test_limited_rows_are_the_first_of_each_class_in_order(labels: np.ndarray, limit: int) -> None:
    rows = first_per_class(labels, limit)
    assert (np.diff(rows) > 0).all()
    for label in np.unique(labels):
        expected = np.flatnonzero(labels == label)[:limit]
        np.testing.assert_array_equal(rows[labels[rows] == label], expected)


@given(labels_of_any_kind)
def test_rows_of_cover_each_sample_once(labels: np.ndarray) -> None:
    rows = rows_of(labels, stratified_half(labels))
    np.testing.assert_array_equal(np.sort(np.concatenate([*rows.values()])), np.arange(len(labels)))


def test_the_limit_holds_in_each_split() -> None:
    labels = np.repeat([5, 9], 10)
    rows = rows_of(labels, stratified_half(labels), limit=2)
    assert [labels[rows[name]].tolist() for name in ("train", "test")] == [[5, 5, 9, 9]] * 2
