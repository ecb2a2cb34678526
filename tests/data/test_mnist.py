"""The idx format and the two data sets in it: values, places, views, damage, and real files where there are some."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from torch import nn

from losscope.data import load
from losscope.data.backbones import BACKBONES, Backbone
from losscope.data.decoding import Fit
from losscope.data.mnist import CLASSES, FOLDERS
from losscope.data.pixels import PixelScale
from losscope.data.readers.idx import read_idx
from losscope.errors import InvalidInput, InvalidStudy, MissingData


def idx(array: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.astype(np.uint8).tobytes()


def write_mnist(folder: Path, *, ending: str = ".gz", dot: str = "-") -> tuple[np.ndarray, np.ndarray]:
    """Twenty training and ten test images; returns the former with their labels."""
    folder.mkdir(parents=True)
    pack = gzip.compress if ending else bytes
    rng = np.random.default_rng(0)
    images, labels = rng.integers(0, 256, (30, 28, 28)), np.arange(30) % 10
    for part, rows in (("train", slice(20)), ("t10k", slice(20, 30))):
        (folder / f"{part}-images{dot}idx3-ubyte{ending}").write_bytes(pack(idx(images[rows])))
        (folder / f"{part}-labels{dot}idx1-ubyte{ending}").write_bytes(pack(idx(labels[rows])))
    return images[:20], labels[:20]


@given(st.lists(st.integers(0, 5), min_size=0, max_size=4))
def test_reading_returns_what_was_written(tmp_path_factory: pytest.TempPathFactory, shape: list[int]) -> None:
    array = np.random.default_rng(0).integers(0, 256, shape).astype(np.uint8)
    path = tmp_path_factory.mktemp("idx") / "a"
    for content in (idx(array), gzip.compress(idx(array))):
        path.write_bytes(content)
        np.testing.assert_array_equal(read_idx(path), array)


@pytest.mark.parametrize("name", ["mnist", "fashion_mnist"])
@pytest.mark.parametrize(("ending", "dot"), [(".gz", "-"), ("", "-"), ("", ".")])
@pytest.mark.parametrize("place", [0, 1])
def test_common_names_and_places(tmp_path: Path, name: str, ending: str, dot: str, place: int) -> None:
    images, labels = write_mnist(tmp_path / FOLDERS[name][place], ending=ending, dot=dot)
    data = load(name, folder=tmp_path)
    mean, std = {"mnist": (0.1307, 0.3081), "fashion_mnist": (0.2860, 0.3530)}[name]
    expected = ((images / 255 - mean) / std)[:, None]
    np.testing.assert_allclose(data.splits["train"].inputs, expected, atol=1e-6)
    np.testing.assert_array_equal(data.splits["train"].labels, labels)
    assert (data.name, data.split_protocol, len(data.splits["test"])) == (name, "official", 10)
    assert data.class_names == CLASSES[name]
    assert data.note == "30 of the 70,000 images"


def test_the_folder_may_come_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_mnist(tmp_path / "mnist")
    monkeypatch.setenv("LOSSCOPE_DATA", str(tmp_path))
    assert len(load("mnist").splits["train"]) == 20


def test_a_limit_takes_the_first_of_each_class(tmp_path: Path) -> None:
    images, _ = write_mnist(tmp_path / "mnist")
    train = load("mnist", folder=tmp_path, limit=2).splits["train"]
    np.testing.assert_array_equal(train.labels, np.arange(20) % 10)
    np.testing.assert_allclose(train.inputs[:, 0], (images / 255 - 0.1307) / 0.3081, atol=1e-6)


def test_pixels_of_another_size_stay_gray(tmp_path: Path) -> None:
    images, _ = write_mnist(tmp_path / "mnist")
    found = load("mnist", folder=tmp_path, size=32).splits["train"].inputs
    larger = Image.fromarray(images[5].astype(np.uint8)).resize((32, 32), Image.Resampling.BICUBIC)
    assert found.shape == (20, 1, 32, 32)
    np.testing.assert_allclose(found[5, 0], (np.asarray(larger) / 255 - 0.1307) / 0.3081, atol=1e-6)


class RowMeans(nn.Module):
    """A backbone whose features are the means of the first color's rows, and of the three colors."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.cat([images[:, 0].mean(2), images.mean((2, 3))], dim=1)


def test_features_of_a_backbone_see_gray_as_three_equal_colors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[int | None] = []

    def backbone(weights: str | None, size: int | None) -> Backbone:
        assert weights is None
        unscaled = PixelScale((0.0,) * 3, (1.0,) * 3)
        return Backbone("rows", "none", "0" * 64, Fit(size or 28), unscaled, lambda: built.append(size) or RowMeans())

    monkeypatch.setitem(BACKBONES, "efficientnet_lite0", backbone)
    images, labels = write_mnist(tmp_path / "fashion_mnist")
    options: dict[str, Any] = {"backbone": "efficientnet_lite0", "folder": tmp_path}
    data = load("fashion_mnist", **options)
    train = data.splits["train"]
    np.testing.assert_allclose(train.inputs[:, :28], images.mean(2) / 255, atol=1e-6)
    np.testing.assert_allclose(train.inputs[:, 28:], np.repeat(images.mean((1, 2)) / 255, 3).reshape(20, 3), atol=1e-6)
    np.testing.assert_array_equal(train.labels, labels)
    assert (data.name, data.note) == ("fashion_mnist+efficientnet_lite0", "30 of the 70,000 images")
    assert (data.source["backbone"], data.source["size"], data.source["precision"]) == ("rows", "28", "float32")
    larger = load("fashion_mnist", size=64, **options)
    assert larger.input_shape == (67,)
    assert "images of 28 px (median shorter side) enlarged to 64 px" in larger.note
    assert load("fashion_mnist", **options).fingerprint == data.fingerprint != larger.fingerprint
    assert built == [None, 64]  # the third was read from the cache


def test_weights_go_with_a_backbone(tmp_path: Path) -> None:
    with pytest.raises(InvalidStudy, match="backbone_weights is set and backbone is 'pixels'"):
        load("mnist", folder=tmp_path, backbone_weights="vit")


def test_absent_files_are_named_with_the_way_to_get_them(tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=r"train-images.* of mnist was not found.*losscope data fetch mnist"):
        load("mnist", folder=tmp_path)
    write_mnist(tmp_path / "mnist")
    (tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(MissingData, match="t10k-labels-idx1-ubyte of mnist"):
        load("mnist", folder=tmp_path)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda content: content[:-100], "can't be unpacked"),
        (lambda content: content[:20] + b"xxxx" + content[24:], "can't be unpacked"),
        (lambda content: b"", "begins with nothing; expected an idx file"),
        (lambda content: b"<html>not found</html>", "begins with 3c68746d"),
        (
            lambda content: gzip.compress(gzip.decompress(content)[:-1]),
            "holds 15,695 bytes unpacked; expected 15,696",
        ),
        (lambda content: gzip.compress(gzip.decompress(content) + b"0"), "holds 15,697 bytes"),
        (lambda content: gzip.compress(idx(np.zeros((7, 28, 28)))), r"images \(7, 28, 28\).*labels \(20,\)"),
    ],
)
def test_damage_names_the_file(tmp_path: Path, damage: Callable[[bytes], bytes], message: str) -> None:
    write_mnist(tmp_path / "mnist")
    path = tmp_path / "mnist" / "train-images-idx3-ubyte.gz"
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InvalidInput, match=message) as raised:
        load("mnist", folder=tmp_path)
    assert str(path) in str(raised.value)


def test_a_label_outside_the_classes_is_refused(tmp_path: Path) -> None:
    write_mnist(tmp_path / "mnist", ending="")
    (tmp_path / "mnist" / "train-labels-idx1-ubyte").write_bytes(idx(np.full(20, 10)))
    with pytest.raises(InvalidInput, match="holds the label 10; expected 0 to 9"):
        load("mnist", folder=tmp_path)


@given(cut=st.integers(0, 200), flips=st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=3))
def test_any_damage_is_invalid_input_or_harmless(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flips: list[tuple[int, int]]
) -> None:
    content = bytearray(gzip.compress(idx(np.arange(60).reshape(5, 12))))
    for at, value in flips:
        content[at % len(content)] = value
    path = tmp_path_factory.mktemp("idx") / "a.gz"
    path.write_bytes(bytes(content[: cut or None]))
    with suppress(InvalidInput):  # whatever else is raised fails the test
        assert read_idx(path).dtype == np.uint8


def test_real_mnist(real_data: Callable[[str], Path]) -> None:
    data = load("mnist", folder=real_data("mnist/train-images-idx3-ubyte.gz"))
    train, test = data.splits["train"], data.splits["test"]
    assert (train.inputs.shape, test.inputs.shape) == ((60_000, 1, 28, 28), (10_000, 1, 28, 28))
    assert train.labels[:5].tolist() == [5, 0, 4, 1, 9]
    assert float(train.inputs.mean()) == pytest.approx(0, abs=1e-3)
    assert float(train.inputs.std()) == pytest.approx(1, abs=1e-3)
    assert data.note == ""


def test_real_fashion_mnist_of_the_debian_package() -> None:
    try:
        data = load("fashion_mnist")
    except MissingData:
        pytest.skip("needs Debian's package dataset-fashion-mnist; it is not installed")
    train = data.splits["train"]
    assert np.bincount(train.labels).tolist() == [6000] * 10
    assert float(train.inputs.mean()) == pytest.approx(0, abs=1e-3)
    assert float(train.inputs.std()) == pytest.approx(1, abs=1e-3)
