"""The generator of section 3.1: counts, moments, label noise, difficulty, and one draw per seed."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from losscope.data import OUTLIER, Dataset, load
from losscope.data.synthetic import _cholesky, _classes, _product


@pytest.fixture(scope="module")
def toy() -> Dataset:
    return load("synthetic", seed=0)


def test_sizes_are_the_papers(toy: Dataset) -> None:
    assert set(toy.splits) == {"train", "train_clean", "heldout"}
    for name in ("train_clean", "heldout"):
        split = toy.splits[name]
        assert split.inputs.shape == (2100, 128)
        assert split.inputs.dtype == np.float32
        assert np.bincount(split.labels + 1).tolist() == [100] + [200] * 10
    assert np.sum(toy.splits["train"].labels == OUTLIER) == 100


def test_train_clean_has_the_inputs_of_train(toy: Dataset) -> None:
    assert toy.splits["train"].inputs is toy.splits["train_clean"].inputs


def test_nine_percent_of_the_labels_are_wrong() -> None:
    large = load("synthetic", samples_per_class=20_000, dim=1, outliers=50)
    noisy, clean = large.splits["train"].labels, large.splits["train_clean"].labels
    wrong = noisy != clean
    assert np.mean(wrong[:-50]) == pytest.approx(0.09, abs=0.003)  # sd 0.00064 at 200,000
    np.testing.assert_allclose(np.bincount(noisy[:-50][wrong[:-50]]) / wrong.sum(), 0.1, atol=0.01)
    assert not wrong[-50:].any()


def test_moments_are_those_of_the_formula() -> None:
    drawn = load("synthetic", seed=3, samples_per_class=20_000, dim=4, classes=2, outliers=20_000)
    clean = drawn.splits["heldout"]
    centers, factors = _classes(3, 2, 4)
    for label in range(2):
        points = clean.inputs[clean.labels == label].astype(np.float64)
        covariance = 1.4**2 * factors[label] @ factors[label].T
        spread = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(points.mean(0), centers[label], atol=5 * spread.max() / np.sqrt(20_000))
        np.testing.assert_allclose(np.cov(points.T), covariance, atol=0.05 * covariance.max())
    far = clean.inputs[clean.labels == OUTLIER]
    assert far.std() == pytest.approx(15, rel=0.02)
    assert centers.std() == pytest.approx(5, rel=0.5)


def test_factors_are_cholesky_factors_of_a_full_random_matrix() -> None:
    mixing = np.random.default_rng(0).standard_normal((3, 32, 32))
    covariance = _product(mixing, mixing.transpose(0, 2, 1)) + 1e-3 * np.eye(32)
    np.testing.assert_allclose(covariance, mixing @ mixing.transpose(0, 2, 1) + 1e-3 * np.eye(32), atol=1e-12)
    np.testing.assert_allclose(_cholesky(covariance), np.linalg.cholesky(covariance), atol=1e-8)


def test_each_seed_draws_its_own_unless_data_seed_fixes_it(toy: Dataset) -> None:
    assert load("synthetic", seed=0).fingerprint == toy.fingerprint
    assert load("synthetic", seed=1).fingerprint != toy.fingerprint
    assert load("synthetic", seed=7, data_seed=0).fingerprint == toy.fingerprint


def test_parts_are_drawn_apart(toy: Dataset) -> None:
    quiet = load("synthetic", seed=0, label_noise=0.0)
    assert quiet.splits["train"].inputs.tobytes() == toy.splits["train"].inputs.tobytes()
    assert (quiet.splits["train"].labels == quiet.splits["train_clean"].labels).all()
    fewer = load("synthetic", seed=0, outliers=0)
    assert fewer.splits["heldout"].inputs.tobytes() == toy.splits["heldout"].inputs[:2000].tobytes()


def test_the_draw_is_the_same_on_every_machine(toy: Dataset) -> None:
    assert toy.fingerprint == "ca37c3e7d8fc2400970f02d22ce136e371158ebbd67c52e77eb7b304da4cff0c"


def test_knn_accuracy_falls_with_difficulty_from_one_to_the_papers_setting() -> None:
    accuracy = []
    for difficulty in (0.1, 0.5, 0.7, 0.85, 1.0, 1.5):
        splits = load("synthetic", seed=0, difficulty=difficulty).splits
        train, heldout = splits["train_clean"], splits["heldout"]
        known, asked = train.labels != OUTLIER, heldout.labels != OUTLIER
        neighbors = KNeighborsClassifier(5).fit(train.inputs[known], train.labels[known])
        accuracy.append(neighbors.score(heldout.inputs[asked], heldout.labels[asked]))
    assert accuracy[0] > 0.99
    assert accuracy[1:] == sorted(accuracy[1:], reverse=True)
    assert len(set(accuracy[2:])) == 4  # strictly falling where the noise begins to tell
    assert accuracy[4] == pytest.approx(0.955, abs=0.02)  # the paper's setting


def test_the_note_tells_a_difficulty_that_is_not_the_papers(toy: Dataset) -> None:
    assert toy.note == ""
    assert "times 0.5" in load("synthetic", difficulty=0.5).note


def test_a_class_disjoint_split_keeps_noise_and_outliers_in_training() -> None:
    drawn = load("synthetic", split="class_disjoint_validation", classes=12, samples_per_class=5, dim=8, outliers=4)
    again = load("synthetic", split="class_disjoint", classes=12, samples_per_class=5, dim=8, outliers=4)
    assert drawn.name == "synthetic/class_disjoint_validation"
    assert not drawn.shares_classes
    classes = {name: set(part.labels.tolist()) for name, part in drawn.splits.items()}
    assert classes["train"] <= {*range(4), -1}  # a wrong label never names a class that is held back
    assert (classes["train_clean"], classes["validation"], classes["test"]) == (
        {-1, 0, 1, 2, 3}, {4, 5}, {6, 7, 8, 9, 10, 11},
    )  # fmt: skip
    assert drawn.splits["train"].inputs is drawn.splits["train_clean"].inputs
    np.testing.assert_array_equal(drawn.splits["test"].inputs, again.splits["test"].inputs)
    whole = load("synthetic", classes=12, samples_per_class=5, dim=8, outliers=4).splits["train"].inputs
    np.testing.assert_array_equal(drawn.splits["test"].inputs, whole[30:60])
    other = load("synthetic", seed=1, split="class_disjoint", classes=12, samples_per_class=5, dim=8, outliers=4)
    assert other.fingerprint != again.fingerprint


def test_classes_of_one_covariance_vary_least_in_the_same_directions() -> None:
    def angle(covariance: str) -> float:
        drawn = load(
            "synthetic", covariance=covariance, classes=2, samples_per_class=400, dim=8, outliers=0, label_noise=0.0
        )
        inputs = drawn.splits["train"].inputs.astype(float)
        least = [np.linalg.eigh(np.cov(part.T))[1][:, 0] for part in (inputs[:400], inputs[400:])]
        return float(abs(least[0] @ least[1]))

    assert angle("shared") > 0.95 > angle("per_class")
    assert "one covariance" in load("synthetic", covariance="shared", classes=2, samples_per_class=4, dim=2).note
