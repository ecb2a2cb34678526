"""The border: what a data set refuses, what it converts, and when two fingerprints are equal."""

from __future__ import annotations

import numpy as np
import pytest

from losscope.data import OUTLIER, Dataset, Split
from losscope.errors import InvalidInput

INPUTS = np.arange(12, dtype=np.float32).reshape(6, 2)
LABELS = np.array([0, 0, 1, 1, 2, OUTLIER])


def dataset(labels: np.ndarray = LABELS, inputs: np.ndarray = INPUTS, **fields: object) -> Dataset:
    return Dataset(name="d", splits={"train": Split(inputs, labels)}, split_protocol="p", **fields)  # type: ignore[arg-type]


def test_other_number_types_become_float32_and_int64() -> None:
    split = Split(INPUTS.astype(np.uint8), LABELS.astype(np.int8))
    assert split.inputs.dtype == np.float32
    assert split.labels.dtype == np.int64
    np.testing.assert_array_equal(split.inputs, INPUTS)
    np.testing.assert_array_equal(split.labels, LABELS)


def test_float32_inputs_are_kept_not_copied() -> None:
    assert Split(INPUTS, LABELS).inputs is INPUTS


@pytest.mark.parametrize(
    ("inputs", "labels", "message"),
    [
        (INPUTS, LABELS[:5], r"\(6, 2\) and labels \(5,\)"),
        (INPUTS[:, 0], LABELS, r"shape \(6,\)"),
        (INPUTS[:0], LABELS[:0], "at least one sample"),
        (INPUTS[:, :0], LABELS, "at least one sample"),
        (np.where(INPUTS == 5, np.nan, INPUTS), LABELS, "1 of 6 samples, first in row 2"),
        (np.where(INPUTS > 8, np.inf, INPUTS), LABELS, "2 of 6 samples, first in row 4"),
        (INPUTS.astype(np.float64) + 1e300, LABELS, "6 of 6 samples"),
        (INPUTS.astype(np.complex64), LABELS, "type complex64; expected real numbers"),
        (INPUTS, LABELS.astype(np.float32), "labels have the type float32; expected integers"),
        (INPUTS, LABELS - 1, "labels hold -2"),
    ],
)
def test_a_split_refuses(inputs: np.ndarray, labels: np.ndarray, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        Split(inputs, labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([3] * 6, "single class 3"),
        ([OUTLIER] * 6, "all 6 labels of 'train' are -1"),
        ([3, 3, 3, OUTLIER, OUTLIER, OUTLIER], "single class 3"),
        ([0, 1, 2, 3, 4, 5], "each of the 6 classes of 'train' has one sample"),
        ([0, 1, 2, OUTLIER, OUTLIER, OUTLIER], "each of the 3 classes"),
    ],
)
def test_a_train_split_without_positive_or_negative_pairs_is_refused(labels: list[int], message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        dataset(np.array(labels))


def test_a_class_with_one_sample_is_allowed() -> None:
    assert dataset(np.array([0, 0, 1, 2, 3, 4])).input_shape == (2,)


def test_train_is_required_and_samples_have_one_shape() -> None:
    train, other = Split(INPUTS, LABELS), Split(INPUTS.reshape(6, 2, 1), LABELS)
    with pytest.raises(InvalidInput, match="'train' is required"):
        Dataset(name="d", splits={"test": train}, split_protocol="p")
    with pytest.raises(InvalidInput, match="different shapes"):
        Dataset(name="d", splits={"train": train, "test": other}, split_protocol="p")


def test_fingerprint_follows_content_not_name_or_note() -> None:
    first = dataset()
    assert first.fingerprint == dataset(inputs=INPUTS.copy(), note="n").fingerprint
    assert first.fingerprint != dataset(inputs=INPUTS + 1).fingerprint
    assert first.fingerprint != dataset(LABELS[::-1].copy()).fingerprint


def test_a_recipe_stands_in_for_the_inputs_but_not_for_the_labels() -> None:
    first = dataset(recipe="backbone a")
    assert first.fingerprint == dataset(inputs=INPUTS + 1e-6, recipe="backbone a").fingerprint
    assert first.fingerprint != dataset(recipe="backbone b").fingerprint
    assert first.fingerprint != dataset(LABELS[::-1].copy(), recipe="backbone a").fingerprint
    assert first.fingerprint != dataset().fingerprint
