"""The image data sets end to end: small ones of every form, and the counts of the real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from losscope.data import Dataset, load
from losscope.errors import InvalidInput, InvalidStudy, MissingData

Writer = Callable[..., Path]
IMAGE_SETS = ("cifar10", "cub200", "cars196", "tiny_imagenet")


def counts(data: Dataset) -> tuple[int, int]:
    return len(data.splits["train"]), len(data.splits["test"])


@pytest.fixture
def small(tmp_path: Path, write_parquet: Writer) -> Path:
    """A data folder with a few images of each data set, in each of the usual layouts."""
    write_parquet(tmp_path / "cifar10" / "plain_text" / "train-00000-of-00001.parquet", [0, 1, 2] * 4, column="img")
    write_parquet(tmp_path / "cifar10" / "plain_text" / "test-00000-of-00001.parquet", [2, 1, 0], column="img")
    write_parquet(tmp_path / "cub200" / "train.parquet", [0, 1, 2, 3] * 3)
    write_parquet(tmp_path / "cub200" / "test.parquet", [3, 2, 1, 0], first=50)
    write_parquet(tmp_path / "cars196" / "data" / "train-00000-of-00001-abc.parquet", [3, 2, 1, 0] * 4)
    write_parquet(tmp_path / "tiny_imagenet" / "valid.parquet", [0, 1, 2, 3] * 4)
    return tmp_path


@pytest.mark.parametrize("name", IMAGE_SETS)
def test_missing_images_say_where_and_how(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=rf"{name}.* was not found. Looked in {tmp_path} for {name}/.* Get "):
        load(name, folder=tmp_path)


@pytest.mark.parametrize(
    ("name", "options", "named", "sizes"),
    [
        ("cifar10", {}, "cifar10", (12, 3)),
        ("cub200", {"backbone": "pixels"}, "cub200/official_closed+pixels", (12, 4)),
        ("cub200", {"backbone": "pixels", "split": "class_disjoint"}, "cub200/class_disjoint+pixels", (8, 8)),
        ("cars196", {"backbone": "pixels"}, "cars196/train_half_closed+pixels", (8, 8)),
        (
            "cars196",
            {"backbone": "pixels", "split": "class_disjoint"},
            "cars196/class_disjoint+pixels",
            (8, 8),
        ),
        ("tiny_imagenet", {}, "tiny_imagenet/valid_closed", (8, 8)),
        ("tiny_imagenet", {"split": "class_disjoint"}, "tiny_imagenet/class_disjoint", (8, 8)),
    ],
)
def test_names_and_splits(small: Path, name: str, options: dict[str, Any], named: str, sizes: tuple[int, int]) -> None:
    data = load(name, folder=small, **options)
    assert (data.name, counts(data)) == (named, sizes)
    assert data.input_shape == (3, 30, 40)
    assert data.split_protocol in (*data.name.split("+")[0].split("/"), "official")
    classes = [set(data.splits[split].labels) for split in ("train", "test")]
    assert data.shares_classes == (options.get("split") != "class_disjoint")
    assert data.shares_classes == bool(classes[0] & classes[1])
    assert load(name, folder=small, seed=9, **options).fingerprint == data.fingerprint


@pytest.mark.parametrize("name", ["cub200", "cars196", "tiny_imagenet"])
def test_classes_of_their_own_to_choose_a_hyper_parameter_on(tmp_path: Path, write_parquet: Writer, name: str) -> None:
    for part, first in (("train", 0), ("test", 50), ("valid", 0)):
        write_parquet(tmp_path / name / f"{part}.parquet", [5, 1, 2, 3, 4, 0] * 2, first=first)
    options: dict[str, Any] = {"backbone": "pixels", "folder": tmp_path}
    halves = load(name, split="class_disjoint", **options)
    data = load(name, split="class_disjoint_validation", **options)
    assert data.name.startswith(f"{name}/class_disjoint_validation")
    assert (data.split_protocol, data.shares_classes) == ("class_disjoint_validation", False)
    classes = {split: set(samples.labels.tolist()) for split, samples in data.splits.items()}
    assert classes == {"train": {0, 1}, "validation": {2}, "test": {3, 4, 5}}
    for found, expected in zip(data.splits["test"].inputs, halves.splits["test"].inputs, strict=True):
        np.testing.assert_array_equal(found, expected)
    seen = np.concatenate([data.splits["train"].inputs, data.splits["validation"].inputs])
    assert {row.tobytes() for row in seen} == {row.tobytes() for row in halves.splits["train"].inputs}
    assert data.fingerprint != halves.fingerprint


def test_images_keep_their_labels_through_split_and_limit(small: Path) -> None:
    whole = load("cub200", folder=small, backbone="pixels", split="class_disjoint")
    limited = load("cub200", folder=small, backbone="pixels", split="class_disjoint", limit=2)
    known = {split.inputs[row].tobytes(): split.labels[row] for split in whole.splits.values() for row in range(8)}
    assert len(known) == 16
    for split in limited.splits.values():
        assert np.bincount(split.labels)[np.unique(split.labels)].tolist() == [2, 2]
        for inputs, label in zip(split.inputs, split.labels, strict=True):
            assert known[inputs.tobytes()] == label


def test_the_size_resizes_pixels(small: Path) -> None:
    assert load("cub200", folder=small, backbone="pixels", size=32).input_shape == (3, 32, 32)


def test_notes_say_what_is_incomplete(small: Path) -> None:
    assert load("cifar10", folder=small).note.startswith("15 of the 60,000 images")
    assert "JPEG" not in load("cifar10", folder=small).note
    assert "16 of the 11,788 images" in load("cub200", folder=small, backbone="pixels").note
    cars = load("cars196", folder=small, backbone="pixels").note
    assert "only the official training half (8,144 of 16,185 images): not the official split" in cars
    assert "16 of the 8,144 images" in cars
    assert "none of the 100,000 training images" in load("tiny_imagenet", folder=small).note


def test_re_encoded_cifar_is_called_so(tmp_path: Path, write_parquet: Writer) -> None:
    for part in ("train", "test"):
        write_parquet(tmp_path / "cifar10" / f"{part}.parquet", [0, 1] * 5, column="img", form="JPEG")
    note = load("cifar10", folder=tmp_path).note
    assert "re-encoded as JPEG of quality 75" in note
    assert "another order" in note
    assert "not strictly comparable" in note


def test_cifar_from_its_binary_batches(tmp_path: Path) -> None:
    (tmp_path / "cifar10" / "cifar-10-batches-bin").mkdir(parents=True)
    rng = np.random.default_rng(0)
    for name in ("data_batch_1", "data_batch_2", "test_batch"):
        records = rng.integers(0, 256, (20, 3073)).astype(np.uint8)
        records[:, 0] = np.arange(20) % 10
        (tmp_path / "cifar10" / "cifar-10-batches-bin" / f"{name}.bin").write_bytes(records.tobytes())
    data = load("cifar10", folder=tmp_path)
    assert counts(data) == (40, 20)
    last = (records[19, 1:].reshape(3, 32, 32) / 255 - 0.4914) / 0.2470
    np.testing.assert_allclose(data.splits["test"].inputs[19, 0], last[0], atol=1e-5)


def test_cub_from_folders_with_a_folder_per_class(tmp_path: Path, picture: Callable[..., bytes]) -> None:
    for part, number in (("train", 3), ("test", 2)):
        for label in ("001.A", "002.B"):
            for at in range(number):
                path = tmp_path / "cub200" / part / label / f"{at}.jpg"
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(picture(at, form="JPEG"))
    data = load("cub200", folder=tmp_path, backbone="pixels")
    assert (counts(data), data.class_names) == ((6, 4), ("001.A", "002.B"))


@pytest.mark.parametrize(
    "options",
    [
        {"backbone": "pixels", "backbone_weights": "somewhere"},
        {"backbone": "precomputed", "size": 128},
        {"backbone": "resnet"},
        {"precision": "float16"},
        {"split": "official"},
    ],
)
def test_options_that_contradict_or_do_not_exist(small: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InvalidStudy):
        load("cub200", folder=small, **options)


def test_precomputed_features(tmp_path: Path) -> None:
    path = tmp_path / "features" / "cub200_efficientnet_lite0_224.npz"
    with pytest.raises(MissingData, match=r"precomputed features of cub200.*Or compute features"):
        load("cub200", folder=tmp_path, backbone="precomputed")
    path.parent.mkdir()
    arrays = {
        "features": np.eye(8, dtype=np.float16),
        "label": np.arange(8) % 4,
        "is_train": np.arange(8) < 6,
    }
    np.savez(path, **arrays)
    closed = load("cub200", folder=tmp_path, backbone="precomputed")
    disjoint = load("cub200", folder=tmp_path, backbone="precomputed", split="class_disjoint")
    assert (closed.name, counts(closed)) == ("cub200/official_closed+precomputed", (6, 2))
    assert (disjoint.name, counts(disjoint)) == ("cub200/class_disjoint+precomputed", (4, 4))
    assert f"features read from {path.name}, not computed here" in closed.note
    assert closed.source["backbone"] == "precomputed"
    np.savez(path, features=arrays["features"], label=arrays["label"])
    with pytest.raises(InvalidInput, match="have no 'is_train'; set split='class_disjoint'"):
        load("cub200", folder=tmp_path, backbone="precomputed")
    np.savez(path, features=arrays["features"][:7], label=arrays["label"])
    with pytest.raises(InvalidInput, match="differ in length"):
        load("cub200", folder=tmp_path, backbone="precomputed")
    np.savez(path, features=arrays["features"])
    with pytest.raises(InvalidInput, match="expected label as well"):
        load("cub200", folder=tmp_path, backbone="precomputed")


@pytest.mark.parametrize(
    ("name", "split", "sizes"),
    [
        ("cub200", "official_closed", (5_994, 5_794)),
        ("cub200", "class_disjoint", (5_864, 5_924)),
        ("cars196", "train_half_closed", (4_123, 4_021)),
        ("cars196", "class_disjoint", (4_052, 4_092)),
    ],
)
def test_real_counts_of_birds_and_cars(
    real_data: Callable[[str], Path], name: str, split: str, sizes: tuple[int, int]
) -> None:
    folder = real_data(f"features/{name}_efficientnet_lite0_224.npz")
    data = load(name, folder=folder, backbone="precomputed", split=split)
    assert counts(data) == sizes
    assert data.input_shape == (1280,)
    classes = [np.unique(data.splits[part].labels) for part in ("train", "test")]
    if split == "class_disjoint":
        assert classes[0].max() + 1 == classes[1].min() == {"cub200": 100, "cars196": 98}[name]


@pytest.mark.parametrize("split", ["valid_closed", "class_disjoint"])
def test_real_tiny_imagenet(real_data: Callable[[str], Path], split: str) -> None:
    data = load("tiny_imagenet", folder=real_data("tiny_imagenet/valid.parquet"), split=split, limit=3)
    assert data.input_shape == (3, 64, 64)
    assert len(data.class_names) == 200
    assert counts(data) == ((600, 600) if split == "valid_closed" else (300, 300))


def test_real_cifar10(real_data: Callable[[str], Path]) -> None:
    data = load("cifar10", folder=real_data("cifar10/train.parquet"), limit=20)
    assert counts(data) == (200, 200)
    assert data.class_names[3] == "cat"
    assert "of the 60,000 images" not in data.note  # all are there
