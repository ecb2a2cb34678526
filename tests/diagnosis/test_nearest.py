"""Neighbors that a page shows: those of float64, whatever the offset and the scale of the space."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from losscope.diagnosis import nearest as module
from losscope.diagnosis.nearest import nearest

RANDOM = np.random.default_rng(0)
ROWS = RANDOM.standard_normal((150, 6)).astype(np.float32)


def naive(rows: np.ndarray, similarity: str, k: int) -> tuple[np.ndarray, np.ndarray]:
    points = rows.astype(np.float64)
    if similarity == "cosine":
        points = points / np.abs(points).max(1, keepdims=True)
        points /= np.linalg.norm(points, axis=1, keepdims=True)
        values = 1 - points @ points.T
    elif similarity == "euclidean":
        values = np.linalg.norm(points[:, None] - points, axis=2)
    else:
        values = -points @ points.T
    np.fill_diagonal(values, np.inf)
    order = np.argsort(values, axis=1, kind="stable")[:, :k]
    return order, np.take_along_axis(values, order, 1)


@pytest.mark.parametrize("blocks", [(1024, 32_768, 2**21), (7, 11, 40)])
@pytest.mark.parametrize(
    ("similarity", "rows"),
    [
        ("cosine", ROWS), ("cosine", ROWS * 1e25), ("cosine", ROWS * 1e-25), ("euclidean", ROWS), ("euclidean", ROWS + 5000),
        ("euclidean", ROWS * 1e25), ("inner_product", ROWS), ("inner_product", ROWS * 1e25), ("inner_product", ROWS * 1e-25),
    ],
)  # fmt: skip
def test_as_float64_says(
    similarity: Any, rows: np.ndarray, blocks: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in zip(("QUERIES", "GALLERY", "NUMBERS"), blocks, strict=True):
        monkeypatch.setattr(module, name, value)
    expected, distances = naive(rows, similarity, 5)
    found, values = nearest(rows, rows, 5, similarity, np.arange(150))
    np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(values, distances, rtol=1e-9, atol=1e-12)


def test_copies_are_at_distance_0_and_zero_rows_at_1() -> None:
    rows = np.concatenate([ROWS[:3] + 5000, ROWS[:3] + 5000])
    for similarity in ("cosine", "euclidean"):
        found, values = nearest(rows, rows, 1, similarity, np.arange(6))  # type: ignore[arg-type]
        assert found[:, 0].tolist() == [3, 4, 5, 0, 1, 2]
        assert (values == 0).all()
    assert nearest(np.zeros((2, 6)), np.zeros((2, 6)), 3, "cosine", np.arange(2))[1].tolist() == [[1.0], [1.0]]


def test_fewer_rows_than_neighbors_and_progress() -> None:
    said: list[tuple[str, int, int]] = []
    rows, values = nearest(ROWS[:4], ROWS[:2], 5, "euclidean", progress=lambda *news: said.append(news))
    assert rows.shape == values.shape == (4, 2)
    assert said == [("neighbors", 4, 4)]


def test_a_map_of_few_rows_with_many_dimensions() -> None:
    from losscope.diagnosis.projection import project

    wide = RANDOM.standard_normal((20, 3000))
    found = project(wide, "euclidean", 0)
    centered = wide - wide.mean(0)
    left, singular, _ = np.linalg.svd(centered, full_matrices=False)
    for place, column in enumerate((found.x, found.y)):
        np.testing.assert_allclose(np.abs(column), np.abs(left[:, place] * singular[place]), rtol=1e-6)
    np.testing.assert_allclose(found.explained, singular[:2] ** 2 / np.square(singular).sum())
    assert project(np.ones((3, 50)), "euclidean", 0).explained == (0.0, 0.0)
    assert project(np.ones((1, 50)), "euclidean", 0).x.tolist() == [0.0]
