"""PCA whitening equals scikit-learn's, scaled to unit length; what it drops, and what it refuses."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.decomposition import PCA

from losscope.data import load
from losscope.data.whitening import pca_whitened
from losscope.errors import InvalidInput


def mixed(samples: int, dim: int, seed: int = 0) -> np.ndarray:
    """Correlated inputs (samples, dim) float32 away from the origin."""
    rng = np.random.default_rng(seed)
    scales = np.linspace(0.1, 3, dim)
    rotation, _ = np.linalg.qr(np.random.default_rng(99).standard_normal((dim, dim)))
    return (rng.standard_normal((samples, dim)) * scales @ rotation + 5).astype(np.float32)


def reference(train: np.ndarray, inputs: np.ndarray, axes: int) -> np.ndarray:
    """scikit-learn's whitened rows, scaled to unit length."""
    pca = PCA(axes, whiten=True, svd_solver="full").fit(train.astype(np.float64))
    rows = pca.transform(inputs.astype(np.float64))
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


def assert_equal_up_to_sign(found: np.ndarray, expected: np.ndarray) -> None:
    signs = np.sign((found * expected).sum(axis=0))
    np.testing.assert_allclose(found * signs, expected, atol=2e-6)


@pytest.mark.parametrize("dim", [None, 1, 5])
@pytest.mark.parametrize("samples", [200, 9])
def test_it_equals_scikit_learns(samples: int, dim: int | None) -> None:
    """Of more samples than dimensions and of fewer, where one axis less is left than samples."""
    train, test = mixed(samples, 12), mixed(30, 12, seed=1)
    axes = dim or min(12, samples - 1)
    whitened = pca_whitened(train, test, dim=dim)
    for found, inputs in zip(whitened, (train, test), strict=True):
        assert (found.dtype, found.shape) == (np.float32, (len(inputs), axes))
        assert_equal_up_to_sign(found, reference(train, inputs, axes))


def test_only_train_is_fitted() -> None:
    train, test = mixed(50, 4), mixed(20, 4, seed=1)
    alone = pca_whitened(train)[0]
    np.testing.assert_array_equal(pca_whitened(train, test, 100 * test)[0], alone)


def test_axes_without_variance_are_dropped() -> None:
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((100, 3)) @ rng.standard_normal((3, 7))
    assert pca_whitened(flat)[0].shape == (100, 3)
    nearly = np.concatenate([flat[:, :3], 1e-5 * flat[:, :1] * rng.standard_normal((100, 1))], axis=1)
    assert pca_whitened(nearly)[0].shape == (100, 3)
    assert pca_whitened(flat, dim=5)[0].shape == (100, 3)


def test_rows_have_unit_length_and_the_mean_stays_zero() -> None:
    train = np.array([[1.0, 0], [-1, 0], [0, 2], [0, -2], [0, 0]])
    (found,) = pca_whitened(train)
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), [1, 1, 1, 1, 0], atol=1e-6)
    np.testing.assert_allclose(np.abs(found[:4]), [[0, 1], [0, 1], [1, 0], [1, 0]], atol=1e-6)


def test_images_are_flattened() -> None:
    digits = load("digits")
    train, test = (digits.splits[name].inputs for name in ("train", "test"))
    whitened = pca_whitened(train, test)
    assert whitened[0].shape[0] == len(train)
    axes = whitened[0].shape[1]
    assert axes < 64  # the corners are always white
    flat = pca_whitened(train.reshape(len(train), -1), test.reshape(len(test), -1))
    for found, expected in zip(whitened, flat, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("arrays", "dim", "message"),
    [
        ([np.full((5, 3), 0.1)], None, "all 5 training inputs are equal"),
        ([np.ones((1, 3))], None, "all 1 training inputs are equal"),
        ([np.ones((5, 3)), np.ones((5, 4))], None, r"shapes \[\(3,\), \(4,\)\]; expected one shape"),
        ([mixed(5, 3)], 0, "dim = 0 axes to whiten; expected at least 1"),
    ],
)
def test_what_can_not_be_whitened(arrays: list[np.ndarray], dim: int | None, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        pca_whitened(*arrays, dim=dim)
