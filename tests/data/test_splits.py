"""Splits as pure functions of labels: known small answers and properties for any labels."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from losscope.data import load
from losscope.data.splits import (
    DISJOINT,
    Parts,
    class_disjoint,
    class_disjoint_validation,
    first_per_class,
    parts_of,
    rows_of,
    stratified_half,
)
from losscope.errors import InvalidStudy

labels_of_any_kind = arrays(np.int64, st.integers(1, 60), elements=st.integers(-1, 6))


@given(labels_of_any_kind)
def test_stratified_half_has_half_of_each_class(labels: np.ndarray) -> None:
    train = stratified_half(labels)["train"]
    for label in np.unique(labels):
        size = int(np.sum(labels == label))
        assert np.sum(train[labels == label]) == (size + 1) // 2


@given(labels_of_any_kind)
def test_the_half_of_a_class_does_not_depend_on_the_other_classes(labels: np.ndarray) -> None:
    alone = labels[labels == labels[0]]
    among_others = stratified_half(labels)["train"][labels == labels[0]]
    np.testing.assert_array_equal(among_others, stratified_half(alone)["train"])


def test_stratified_half_is_random_by_its_own_seed_only() -> None:
    labels = np.repeat(np.arange(4), 50)
    train = stratified_half(labels)["train"]
    np.testing.assert_array_equal(train, stratified_half(labels)["train"])
    assert (train != stratified_half(labels, seed=1)["train"]).any()
    assert not train[:25].all()


@given(labels_of_any_kind)
def test_class_disjoint_shares_no_class(labels: np.ndarray) -> None:
    parts = class_disjoint(labels)
    seen, unseen = set(labels[parts["train"]]) - {-1}, set(labels[parts["test"]])
    assert not seen & unseen
    assert len(seen) - len(unseen) in (0, 1)
    assert max(seen, default=-1) < min(unseen, default=99)


def test_class_disjoint_of_two_hundred_and_196_classes() -> None:
    for classes in (200, 196):
        assert sizes(class_disjoint(np.arange(classes))) == {"train": classes // 2, "test": classes // 2}


@given(labels_of_any_kind)
def test_validation_classes_are_the_last_third_of_the_seen(labels: np.ndarray) -> None:
    halves, parts = class_disjoint(labels), class_disjoint_validation(labels)
    assert list(parts) == ["train", "validation", "test"]
    np.testing.assert_array_equal(parts["test"], halves["test"])
    np.testing.assert_array_equal(parts["train"] ^ parts["validation"], halves["train"])
    train, validation, _ = (set(labels[part]) for part in parts.values())
    assert -1 not in validation
    assert len(validation) == round(len((train | validation) - {-1}) / 3)
    assert max(train, default=-1) < min(validation, default=99)


def test_validation_of_two_hundred_196_and_ten_classes() -> None:
    assert sizes(class_disjoint_validation(np.arange(200))) == {"train": 67, "validation": 33, "test": 100}
    assert sizes(class_disjoint_validation(np.arange(196))) == {"train": 65, "validation": 33, "test": 98}
    assert sizes(class_disjoint_validation(np.arange(10))) == {"train": 3, "validation": 2, "test": 5}


@given(labels_of_any_kind, st.integers(1, 9))
def test_a_class_split_has_the_same_sizes_with_other_classes(labels: np.ndarray, class_split: int) -> None:
    for cut in DISJOINT.values():
        customary, drawn = cut(labels), cut(labels, class_split=class_split)
        assert np.sum([*drawn.values()], axis=0).tolist() == [1] * len(labels)
        for name, part in drawn.items():
            assert len(set(labels[part]) - {-1}) == len(set(labels[customary[name]]) - {-1})
            others = np.concatenate([labels[other] for other_name, other in drawn.items() if other_name != name])
            assert not (set(labels[part]) & set(others)) - {-1}
        assert drawn["train"][labels == -1].all()


def test_class_splits_are_drawn_from_the_labels_alone() -> None:
    labels = np.repeat(np.arange(200), 3)
    drawn = [class_disjoint_validation(labels, class_split=split) for split in range(1, 5)]
    assert len({parts["test"].tobytes() for parts in drawn}) == 4
    for split, parts in enumerate(drawn, start=1):
        np.testing.assert_array_equal(parts["test"], class_disjoint(labels, class_split=split)["test"])
        shuffled = np.random.default_rng(0).permutation(len(labels))
        again = class_disjoint_validation(labels[shuffled], class_split=split)
        assert all((parts[name][shuffled] == again[name]).all() for name in parts)
        # Half of the classes at random: far from the customary halves, which are the first and the last.
        assert 30 < len(set(labels[parts["test"]]) & set(range(100))) < 70


def test_the_customary_class_split_is_number_0() -> None:
    labels = np.repeat(np.arange(11), 2)
    for cut in DISJOINT.values():
        for name, part in cut(labels).items():
            np.testing.assert_array_equal(part, cut(labels, class_split=0)[name])
    customary, drawn = load("digits", split="class_disjoint"), load("digits", split="class_disjoint", class_split=2)
    assert customary.fingerprint == load("digits", split="class_disjoint", class_split=0).fingerprint
    assert customary.fingerprint == "c81c75a0cd6742db03579c18803ecbb22b06b1b0bc36f677bb861c7b49c99b1d"
    assert "class_split" not in customary.source
    assert (drawn.name, drawn.source["class_split"]) == ("digits/class_disjoint/2", "2")
    assert drawn.fingerprint != customary.fingerprint
    assert not drawn.shares_classes


def test_classes_on_both_sides_have_no_order_to_draw() -> None:
    with pytest.raises(
        InvalidStudy, match="split = 'stratified_half' has the same classes on both sides; set split to"
    ):
        load("digits", class_split=1)
    with pytest.raises(InvalidStudy, match="class_split = -1 is not valid"):
        load("digits", split="class_disjoint", class_split=-1)
    assert parts_of(np.array([0, 1]), "given", 0, lambda labels: {"train": labels == 0})["train"].tolist() == [
        True,
        False,
    ]


def sizes(parts: Parts) -> dict[str, int]:
    return {name: int(part.sum()) for name, part in parts.items()}


@given(labels_of_any_kind, st.integers(1, 5))
def test_limited_rows_are_the_first_of_each_class_in_order(labels: np.ndarray, limit: int) -> None:
    rows = first_per_class(labels, limit)
    assert (np.diff(rows) > 0).all()
    for label in np.unique(labels):
        expected = np.flatnonzero(labels == label)[:limit]
        np.testing.assert_array_equal(rows[labels[rows] == label], expected)


@given(labels_of_any_kind)
def test_rows_of_cover_each_sample_once(labels: np.ndarray) -> None:
    for cut in (stratified_half, class_disjoint_validation):
        rows = rows_of(labels, cut(labels))
        np.testing.assert_array_equal(np.sort(np.concatenate([*rows.values()])), np.arange(len(labels)))


def test_the_limit_holds_in_each_split() -> None:
    labels = np.repeat([5, 9], 10)
    rows = rows_of(labels, stratified_half(labels), limit=2)
    assert [labels[rows[name]].tolist() for name in ("train", "test")] == [[5, 5, 9, 9]] * 2
    labels = np.repeat(np.arange(6), 3)
    rows = rows_of(labels, class_disjoint_validation(labels), limit=2)
    assert {name: labels[kept].tolist() for name, kept in rows.items()} == {
        "train": [0, 0, 1, 1], "validation": [2, 2], "test": [3, 3, 4, 4, 5, 5],
    }  # fmt: skip
