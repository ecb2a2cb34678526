"""The digits shipped with the package are scikit-learn's, split the same way for every run."""

from __future__ import annotations

import numpy as np
from sklearn.datasets import load_digits

from losscope.data import load


def test_they_are_scikit_learns() -> None:
    splits = load("digits").splits
    ours = np.concatenate([splits["train"].inputs, splits["test"].inputs]).reshape(-1, 64)
    labels = np.concatenate([splits["train"].labels, splits["test"].labels])
    theirs = load_digits()
    assert (len(splits["train"]), len(splits["test"])) == (901, 896)
    assert ours.max() == 1
    rows, expected = np.column_stack([ours * 16, labels]), np.column_stack([theirs.data, theirs.target])
    np.testing.assert_array_equal(rows[np.lexsort(rows.T)], expected[np.lexsort(expected.T)])


def test_the_split_is_stratified_and_the_same_for_all_seeds() -> None:
    digits = load("digits", seed=0)
    assert digits.fingerprint == load("digits", seed=5).fingerprint
    assert (digits.name, digits.split_protocol, digits.shares_classes) == ("digits", "stratified_half", True)
    counts = [np.bincount(digits.splits[name].labels) for name in ("train", "test")]
    assert np.isin(counts[0] - counts[1], [0, 1]).all()


def test_class_disjoint_trains_on_the_first_five() -> None:
    digits = load("digits", split="class_disjoint")
    assert (digits.name, digits.shares_classes) == ("digits/class_disjoint", False)
    assert set(digits.splits["train"].labels) == {0, 1, 2, 3, 4}
    assert set(digits.splits["test"].labels) == {5, 6, 7, 8, 9}
    three = load("digits", split="class_disjoint_validation")
    assert (three.name, three.shares_classes) == ("digits/class_disjoint_validation", False)
    assert {name: set(split.labels) for name, split in three.splits.items()} == {
        "train": {0, 1, 2}, "validation": {3, 4}, "test": {5, 6, 7, 8, 9},
    }  # fmt: skip


def test_a_limit_is_noted() -> None:
    digits = load("digits", limit=3)
    assert [len(split) for split in digits.splits.values()] == [30, 30]
    assert "at most 3 samples" in digits.note
