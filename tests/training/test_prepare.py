"""From a data set as read to what a protocol's runs see: scaling and outliers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from losscope.data import OUTLIER, Dataset, Split
from losscope.errors import InvalidStudy
from losscope.study import Batch, Protocol
from losscope.training.prepare import noisy, prepare, shuffled, stack, told
from losscope.training.run import Place, load_datasets
from stacks import build, cell

INPUTS = np.array([[3.0, 4.0, 1.0], [0.0, 0.0, 1.0], [6.0, 8.0, 1.0], [1.0, 0.0, 1.0]], dtype=np.float32)
LABELS = np.array([0, 1, 0, OUTLIER])


def dataset(inputs: np.ndarray = INPUTS) -> Dataset:
    return Dataset(
        name="d",
        splits={
            "train": Split(inputs, LABELS),
            "train_clean": Split(inputs, LABELS[[1, 0, 2, 3]]),
            "test": Split(inputs + 1, np.array([4, OUTLIER, 0, 1])),
        },
        split_protocol="p",
    )


def seen(inputs: str = "raw", outliers: str = "negatives", of: Dataset | None = None) -> Dataset:
    batch: Any = {"outliers": outliers}
    return prepare(of or dataset(), Protocol(name="p", inputs=inputs, batch=Batch(**batch)))  # type: ignore[arg-type]


def test_raw_inputs_are_the_inputs() -> None:
    given = dataset()
    assert seen(of=given).splits["train"].inputs is given.splits["train"].inputs


def test_unit_length_is_per_sample_over_all_of_its_axes() -> None:
    lengths = np.linalg.norm(seen("unit_length").splits["test"].inputs, axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    images = dataset(INPUTS.reshape(4, 1, 3, 1))
    scaled = seen("unit_length", of=images).splits["train"].inputs
    assert scaled.shape == (4, 1, 3, 1)
    np.testing.assert_allclose(np.sqrt((scaled**2).sum((1, 2, 3))), 1, rtol=1e-6)
    assert scaled.dtype == np.float32


def test_a_sample_of_zeros_stays_zeros() -> None:
    blank = np.vstack([INPUTS[:3], np.zeros((1, 3), dtype=np.float32)])
    assert not seen("unit_length", of=dataset(blank)).splits["train"].inputs[3].any()


def test_standardizing_takes_center_and_spread_of_the_training_split() -> None:
    splits = seen("standardized").splits
    train = splits["train"].inputs
    np.testing.assert_allclose(train[:, :2].mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(train[:, :2].std(0), 1, rtol=1e-6)
    assert not train[:, 2].any()  # a constant feature says nothing
    expected = (INPUTS[:, 0] + 1 - INPUTS[:, 0].mean()) / INPUTS[:, 0].std()
    np.testing.assert_allclose(splits["test"].inputs[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("inputs", ["raw", "unit_length", "standardized"])
def test_splits_that_share_inputs_go_on_sharing_them(inputs: str) -> None:
    splits = seen(inputs).splits
    assert splits["train"].inputs is splits["train_clean"].inputs
    assert splits["test"].inputs is not splits["train"].inputs


def test_outliers_stay_become_a_class_or_leave_training() -> None:
    assert seen(outliers="negatives").splits["train"].labels.tolist() == [0, 1, 0, -1]
    as_class = seen(outliers="class").splits
    assert as_class["train"].labels.tolist() == [0, 1, 0, 5]
    assert as_class["test"].labels.tolist() == [4, 5, 0, 1]  # one class of its own in every split
    dropped = seen(outliers="drop").splits
    assert dropped["train"].labels.tolist() == [0, 1, 0]
    assert dropped["train_clean"].labels.tolist() == [1, 0, 0]
    assert dropped["train"].inputs.shape == (3, 3)
    assert dropped["test"].labels.tolist() == [4, -1, 0, 1]


def test_seeds_are_stacked_and_shared_inputs_are_kept_once() -> None:
    one = dataset()
    inputs, labels, shared = stack([one, one, one], "train")
    assert shared
    assert inputs is one.splits["train"].inputs
    assert labels.shape == (3, 4)
    inputs, labels, shared = stack([one, dataset(INPUTS + 1)], "train")
    assert not shared
    assert inputs.shape == (2, 4, 3)


def test_seeds_of_different_sizes_don_t_stack() -> None:
    smaller = Dataset(name="d", splits={"train": Split(INPUTS[:3], LABELS[:3])}, split_protocol="p")
    with pytest.raises(InvalidStudy, match=r"sizes \[3, 4\].*chunk=1"):
        stack([dataset(), smaller], "train")


# shuffled labels --------------------------------------------------------------------------------------------


def test_shuffled_labels_keep_the_size_of_every_class() -> None:
    labels = np.array([[0] * 7 + [1] * 5 + [OUTLIER] * 3, [2] * 9 + [1] * 5 + [0]])
    found = shuffled(labels, (4, 4))
    assert [sorted(row) for row in found.tolist()] == [sorted(row) for row in labels.tolist()]
    assert not np.array_equal(found, labels)
    alone = shuffled(labels[1:], (4,))
    assert np.array_equal(alone[0], found[1])  # by the seed alone
    assert not np.array_equal(shuffled(labels, (5, 4))[0], found[0])


def test_labels_are_shuffled_for_training_only() -> None:
    given = cell((0, 3), "sup_con", "customary", labels="shuffled")
    trained, datasets = build(given), load_datasets(given, Place())
    told = build(cell((0, 3), "sup_con", "customary"))
    for run, dataset in enumerate(datasets):
        labels = dataset.splits["train"].labels
        assert np.array_equal(told.sampler.labels[run], labels)
        assert sorted(trained.sampler.labels[run]) == sorted(labels)
        assert np.mean(trained.sampler.labels[run] == labels) < 0.5
    assert np.array_equal(trained.inputs.values, told.inputs.values)
    assert np.array_equal(trained.parameters.detach(), told.parameters.detach())
    other = build(cell((3,), "arcface", "one_tuple", labels="shuffled"))
    assert np.array_equal(other.sampler.labels[0], trained.sampler.labels[1])  # the same for every loss of a seed


# clean and noisy labels -------------------------------------------------------------------------------------


def test_training_is_told_the_labels_of_its_protocol() -> None:
    both = [dataset(), dataset()]

    def labels(which: str) -> list[list[int]]:
        protocol: Any = {"name": "p", "labels": which}
        return told(both, Protocol(**protocol), (0, 1)).tolist()  # type: ignore[no-any-return]

    assert labels("given") == [[0, 1, 0, -1]] * 2
    assert labels("clean") == [[1, 0, 0, -1]] * 2
    assert labels("shuffled") == shuffled(np.stack([LABELS] * 2), (0, 1)).tolist()
    assert labels("noisy") == noisy(np.stack([LABELS] * 2), (0, 1)).tolist()


def test_clean_labels_need_a_clean_split() -> None:
    without = Dataset(name="d", splits={"train": Split(INPUTS, LABELS)}, split_protocol="p")
    with pytest.raises(
        InvalidStudy, match=r"'p' trains on clean labels, but d has no split 'train_clean' \(it has train\)"
    ):
        told([without], Protocol(name="p", labels="clean"), (0,))


def test_a_tenth_of_noisy_labels_is_drawn_anew_and_outliers_stay() -> None:
    labels = np.concatenate([np.repeat([2, 3, 7, 9], 5000), np.full(300, OUTLIER)])
    found = noisy(np.stack([labels, labels]), (4, 5))
    assert np.array_equal(found == OUTLIER, np.stack([labels, labels]) == OUTLIER)
    assert set(found.flatten().tolist()) == {OUTLIER, 2, 3, 7, 9}
    wrong = np.mean(found[:, :20000] != labels[:20000])
    assert abs(wrong - 0.075) < 4 * np.sqrt(0.075 * 0.925 / 40000)  # 0.1, but a quarter draws its own class
    replaced = found[0, :20000][found[0, :20000] != labels[:20000]]
    shares = [np.mean(replaced == label) for label in (2, 3, 7, 9)]
    assert max(shares) - min(shares) < 0.1
    assert not np.array_equal(found[0], found[1])
    assert np.array_equal(noisy(labels[None], (5,))[0], found[1])  # by the seed alone


def test_clean_labels_are_told_and_the_given_ones_measured() -> None:
    given, clean = cell((0, 1), labels="clean"), build(cell((0, 1), labels="clean"))
    for run, found in enumerate(load_datasets(given, Place())):
        assert np.array_equal(clean.sampler.labels[run], found.splits["train_clean"].labels)
        assert not np.array_equal(found.splits["train"].labels, found.splits["train_clean"].labels)
