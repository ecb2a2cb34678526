"""Labels of any kind as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch

from losscope.diagnosis.labels import encode
from losscope.errors import InvalidInput


@pytest.mark.parametrize(
    ("labels", "values", "codes"),
    [
        ([3, -1, 2**53 + 1, 2**53], (3, 2**53, 2**53 + 1), [0, -1, 2, 1]),
        (np.array([2**62 + 1, 2**62]), (2**62, 2**62 + 1), [1, 0]),
        (torch.tensor([5, 4, 5]), (4, 5), [1, 0, 1]),
        (["cat", "", None, "dog"], ("cat", "dog"), [0, -1, -1, 1]),
        (np.array(["b", "a"]), ("a", "b"), [1, 0]),
        (np.array(["b", None, "a"], object), ("a", "b"), [1, -1, 0]),
        (np.array([b"b", b"a"]), ("a", "b"), [1, 0]),
        (np.array([1.0, np.nan, 0.0]), (0, 1), [1, -1, 0]),
        (np.array([True, False]), (0, 1), [1, 0]),
        (pa.array(["x", "y", "x"]).dictionary_encode(), ("x", "y"), [0, 1, 0]),
        (pa.chunked_array([[1, 2], [1, None]]), (1, 2), [0, 1, 0, -1]),
        (np.array([-7, 3]), (-7, 3), [0, 1]),
    ],
)  # fmt: skip
def test_single_labels(labels: Any, values: tuple[Any, ...], codes: list[int]) -> None:
    classes, [found] = encode((labels, "labels"))
    assert classes.values == values
    assert found.single.tolist() == codes
    assert not found.several


@pytest.mark.parametrize(
    "labels",
    [
        [{"a", "b"}, set(), {"b"}],
        [["a", "b"], [], ["b"]],
        [["a", "b"], None, ["b", None]],
        pa.array([["a", "b"], [""], ["b"]]),
        pa.chunked_array([[["a", "b"]], [None, ["b"]]]),
    ],
)
def test_sets(labels: Any) -> None:
    classes, [found] = encode((labels, "labels"))
    assert classes.values == ("a", "b")
    assert found.several
    assert found.offsets.tolist() == [0, 2, 2, 3]
    assert found.places.tolist() == [0, 1, 1]
    assert found.rows.tolist() == [0, 0, 2]


def test_a_matrix_of_0_and_1() -> None:
    classes, [found] = encode((np.array([[1, 0, 1], [0, 0, 0]]), "labels"))
    assert classes.values == (0, 2)
    assert found.offsets.tolist() == [0, 2, 2]


def test_queries_and_gallery_have_classes_in_common() -> None:
    classes, [queries, gallery] = encode((["b", "c"], "labels"), (["a", "b"], "labels of the gallery"))
    assert classes.values == ("a", "b", "c")
    assert (queries.single.tolist(), gallery.single.tolist()) == ([1, 2], [0, 1])


def test_names_of_classes() -> None:
    assert encode(([0, 2, 7], "labels"), names=["zero", "one", "two"])[0].names == ("zero", "two", "7")
    assert encode((["n01", "n02"], "labels"), names={"n01": "tench"})[0].names == ("tench", "n02")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ([np.array([0.5, 1.0])], "labels: .*expected whole numbers"),
        ([[1, "a"]], "labels are mixed or of an unknown kind"),
        ([np.array([2**63], np.uint64)], "at most 64 bits"),
        ([np.zeros((2, 3), int) - 1], "a matrix of 0 and 1"),
        ([np.zeros((2, 3, 4), int)], r"labels have the shape \(2, 3, 4\)"),
        ([pa.array([b"x"])], "labels have the type binary"),
        ([[1, 2], ["a"]], "some labels are whole numbers and others strings"),
        ([[1, 2], [{1}, {2}]], "some labels are sets and others single"),
        ([[2**70, 1]], "at most 64 bits"),
    ],
)
def test_labels_that_are_none(given: list[Any], words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        encode(*((labels, "labels") for labels in given))
