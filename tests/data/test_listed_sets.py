"""Stanford Online Products and In-Shop: tiny ones as their lists describe them, and every wrong line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from losscope.data import Dataset, load
from losscope.data.readers.in_shop_original import read_in_shop_original
from losscope.data.readers.sop_original import read_sop_original
from losscope.errors import InvalidInput, MissingData

SOP_HEADER = "image_id class_id super_class_id path"
SOP = {
    "Ebay_train.txt": ["1 1 1 bicycle_final/a.JPG", "2 1 1 bicycle_final/b.JPG", "3 9 1 bicycle_final/c.JPG",
                       "4 9 1 bicycle_final/d.JPG", "5 2 2 mug_final/e.JPG"],
    "Ebay_test.txt": ["6 10 2 mug_final/f.JPG", "7 10 2 mug_final/g.JPG", "8 11 2 mug_final/h.JPG"],
}  # fmt: skip
IN_SHOP = [
    "img/WOMEN/Dresses/id_00000003/02_1_front.jpg   id_00000003  query",
    "img/WOMEN/Dresses/id_00000001/02_1_front.jpg   id_00000001  train",
    "img/WOMEN/Dresses/id_00000001/02_2_side.jpg    id_00000001  train",
    "img/MEN/Denim/id_00000002/01_1_front.jpg       id_00000002  train",
    "img/WOMEN/Dresses/id_00000003/02_2_side.jpg    id_00000003  gallery",
]


def write_image(path: Path, color: int) -> None:
    """Three by three pixels whose first is `color`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.full((3, 3, 3), 100, np.uint8)
    pixels[0, 0] = color
    Image.fromarray(pixels).save(path, "PNG")


@pytest.fixture
def sop(tmp_path: Path) -> Path:
    """The original folder with eight images, whose colors are their image_ids."""
    root = tmp_path / "sop" / "Stanford_Online_Products"
    for name, lines in SOP.items():
        for line in lines:
            write_image(root / line.split()[3], int(line.split()[0]))
        (root / name).write_text("\n".join([SOP_HEADER, *lines, ""]))
    return root


@pytest.fixture
def in_shop(tmp_path: Path) -> Path:
    """The original folder with five images, whose colors are their places in the list."""
    root = tmp_path / "in_shop"
    for at, line in enumerate(IN_SHOP):
        write_image(root / "Img" / line.split()[0], at)
    (root / "Eval").mkdir()
    (root / "Eval" / "list_eval_partition.txt").write_text(
        "\n".join(["5", "image_name item_id evaluation_status", *IN_SHOP, ""])
    )
    return root


def colors(data: Dataset, split: str) -> list[int]:
    """The colors of the first pixel of a split's images."""
    return np.round((data.splits[split].inputs[:, 0, 0, 0] * 0.229 + 0.485) * 255).astype(int).tolist()


def test_stanford_online_products(tmp_path: Path, sop: Path) -> None:
    data = load("sop", folder=tmp_path, backbone="pixels")
    assert (data.name, data.split_protocol, data.shares_classes) == ("sop+pixels", "official", False)
    assert data.class_names == ("1", "2", "9", "10", "11")
    assert data.splits["train"].labels.tolist() == [0, 0, 2, 2, 1]
    assert data.splits["test"].labels.tolist() == [3, 3, 4]
    assert (colors(data, "train"), colors(data, "test")) == ([1, 2, 3, 4, 5], [6, 7, 8])
    assert data.input_shape == (3, 3, 3)
    assert load("sop", folder=tmp_path, backbone="pixels", size=32).input_shape == (3, 32, 32)
    assert data.note == "8 of the 120,053 images"
    assert data.source["files"] == "Ebay_train.txt, Ebay_test.txt"


def test_in_shop_takes_queries_and_gallery_as_one_split(tmp_path: Path, in_shop: Path) -> None:
    data = load("in_shop", folder=tmp_path, backbone="pixels")
    assert (data.name, data.split_protocol, data.shares_classes) == ("in_shop+pixels", "official", False)
    assert data.class_names == ("id_00000001", "id_00000002", "id_00000003")
    assert data.splits["train"].labels.tolist() == [0, 0, 1]
    assert data.splits["test"].labels.tolist() == [2, 2]
    assert (colors(data, "train"), colors(data, "test")) == ([1, 2, 3], [0, 4])
    assert data.note.startswith("5 of the 52,712 images; queries and gallery are one split")
    assert "not comparable with published numbers" in data.note


@pytest.mark.parametrize("name", ["sop", "in_shop"])
def test_missing_lists_say_where_and_how(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingData, match=rf"{name} was not found. Looked in {tmp_path} for {name}/.* Get .* unpack"):
        load(name, folder=tmp_path)


def test_a_list_without_the_other(tmp_path: Path, sop: Path) -> None:
    (sop / "Ebay_test.txt").unlink()
    with pytest.raises(MissingData, match=r"the test list of sop was not found.*Ebay_test.txt"):
        load("sop", folder=tmp_path)


def replaced(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


@pytest.mark.parametrize(
    ("file", "old", "new", "message"),
    [
        (
            "Ebay_train.txt",
            SOP_HEADER,
            "",
            r"line 2 of {file} is '1 1 1 bicycle_final/a.JPG'; expected 'image_id class",
        ),
        ("Ebay_test.txt", "super_class_id ", "", r"line 1 of {file} is 'image_id class_id path'; expected 'image_id"),
        ("Ebay_train.txt", "3 9 1 ", "3 9 ", r"line 4 of {file} is '3 9 bicycle_final/c.JPG'; expected 4 columns"),
        ("Ebay_test.txt", "7 10 2", "7 ten 2", r"line 3 of {file} has the class_id 'ten'; expected a number"),
        ("Ebay_test.txt", "8 11 2", "8 9 2", r"line 4 of {file} has the class 9, which is trained on too"),
        ("Ebay_test.txt", "/g.JPG", "/x.JPG", r"line 3 of {file} names .*/x.JPG, which is not there \(1 of 8 images"),
    ],
)
def test_wrong_lines_of_sop(sop: Path, file: str, old: str, new: str, message: str) -> None:
    replaced(sop / file, old, new)
    with pytest.raises(InvalidInput, match=message.format(file=sop / file)):
        read_sop_original(sop / "Ebay_train.txt", sop / "Ebay_test.txt")


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("5\n", "6\n", r"{file} lists 5 images and says 6; expected all"),
        ("5\n", "four\n", r"line 1 of {file} is 'four'; expected the number of images"),
        ("5\n", "", r"line 1 of {file} is 'image_name item_id evaluation_status'; expected the number"),
        ("item_id ", "", r"line 2 of {file} is 'image_name evaluation_status'; expected 'image_name item_id eval"),
        ("  gallery", "", r"line 7 of {file} is '.*id_00000003'; expected 3 columns, image_name item_id eval"),
        ("gallery", "val", r"line 7 of {file} has the evaluation_status 'val'; expected train, query, gallery"),
        ("gallery", "train", r"line 3 of {file} has the class id_00000003, which is trained on too"),
        ("01_1_front", "09", r"line 6 of {file} names .*Img/img/MEN/.*/09.jpg, which is not there \(1 of 5 images"),
    ],
)
def test_wrong_lines_of_in_shop(in_shop: Path, old: str, new: str, message: str) -> None:
    path = in_shop / "Eval" / "list_eval_partition.txt"
    replaced(path, old, new)
    with pytest.raises(InvalidInput, match=message.format(file=path)):
        read_in_shop_original(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"", "holds no header; expected 'image_name"), (b"\n5\n", "no header"), (b"\xff\xfe", "can't be read .*utf-8")],
)
def test_files_that_are_no_lists(in_shop: Path, content: bytes, message: str) -> None:
    path = in_shop / "Eval" / "list_eval_partition.txt"
    path.write_bytes(content)
    with pytest.raises(InvalidInput, match=message):
        read_in_shop_original(path)


def test_damaged_images_are_named(tmp_path: Path, sop: Path) -> None:
    (sop / "mug_final" / "g.JPG").write_bytes(b"no image")
    with pytest.raises(InvalidInput, match=r"mug_final/g.JPG can't be decoded"):
        load("sop", folder=tmp_path, backbone="pixels")


@pytest.mark.parametrize("name", ["sop", "in_shop"])
def test_precomputed_features_need_the_split(tmp_path: Path, name: str) -> None:
    path = tmp_path / "features" / f"{name}_efficientnet_lite0_224.npz"
    path.parent.mkdir()
    arrays: dict[str, Any] = {"features": np.eye(8), "label": np.repeat(np.arange(4), 2)}
    np.savez(path, **arrays, is_train=np.arange(8) < 4)
    data = load(name, folder=tmp_path, backbone="precomputed")
    assert (data.name, data.input_shape, data.shares_classes) == (f"{name}+precomputed", (8,), False)
    np.savez(path, **arrays)
    with pytest.raises(InvalidInput, match=f"precomputed features of {name} have no 'is_train'; expected it as well"):
        load(name, folder=tmp_path, backbone="precomputed")


@pytest.mark.parametrize(
    ("name", "file", "sizes", "classes"),
    [
        ("sop", "sop/Ebay_train.txt", (59_551, 60_502), (11_318, 11_316)),
        ("in_shop", "in_shop/Eval/list_eval_partition.txt", (25_882, 26_830), (3_997, 3_985)),
    ],
)
def test_real_counts(
    real_data: Callable[[str], Path], name: str, file: str, sizes: tuple[int, int], classes: tuple[int, int]
) -> None:
    folder = real_data(file)
    read = {
        "sop": lambda: read_sop_original(folder / file, folder / "sop/Ebay_test.txt"),
        "in_shop": lambda: read_in_shop_original(folder / file),
    }
    pictures, is_train = read[name]()
    assert (int(is_train.sum()), int((~is_train).sum())) == sizes
    assert tuple(len(np.unique(pictures.labels[part])) for part in (is_train, ~is_train)) == classes
