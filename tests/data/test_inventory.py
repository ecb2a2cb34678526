"""The inventory finds what is there, tells damage from absence, and knows the digests it can know."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from losscope.data.inventory import describe

COLUMNS = {"name", "status", "path", "images", "classes", "digest", "advice"}


def by_name(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in describe(folder)}


def test_an_empty_folder(tmp_path: Path) -> None:
    rows = by_name(tmp_path)
    assert set(rows) == {"mnist", "fashion_mnist", "cifar10", "cub200", "cars196", "tiny_imagenet", "sop", "in_shop",
                         "cub200+precomputed", "cars196+precomputed", "sop+precomputed", "in_shop+precomputed",
                        }  # fmt: skip
    for name, row in rows.items():
        assert row.keys() == COLUMNS
        if name != "fashion_mnist":  # may be installed system-wide
            assert (row["status"], row["path"], row["images"]) == ("missing", None, None)
            assert str(tmp_path) in row["advice"]


def test_what_is_found_is_counted(tmp_path: Path, write_parquet: Callable[..., Path]) -> None:
    write_parquet(tmp_path / "cifar10" / "train.parquet", [0, 1] * 3, column="img")
    write_parquet(tmp_path / "cifar10" / "test.parquet", [0, 1], column="img")
    damaged = write_parquet(tmp_path / "cars196" / "train.parquet", [0, 1])
    damaged.write_bytes(damaged.read_bytes()[:-5])
    (tmp_path / "features").mkdir()
    np.savez(tmp_path / "features" / "cub200_efficientnet_lite0_224.npz", features=np.eye(4), label=[0, 1, 2, 0])
    (tmp_path / "sop").mkdir()
    for part, class_id in (("train", 1), ("test", 2)):
        lines = f"image_id class_id super_class_id path\n1 {class_id} 1 {part}.png\n"
        (tmp_path / "sop" / f"Ebay_{part}.txt").write_text(lines)
        (tmp_path / "sop" / f"{part}.png").touch()
    (tmp_path / "in_shop" / "Eval").mkdir(parents=True)
    (tmp_path / "in_shop" / "Eval" / "list_eval_partition.txt").write_text("1\nimage_name item_id status\n")
    rows = by_name(tmp_path)
    assert (rows["sop"]["status"], rows["sop"]["images"], rows["sop"]["classes"]) == ("found", 2, 2)
    assert rows["in_shop"]["status"] == "damaged"
    assert "list_eval_partition.txt is 'image_name item_id status'" in rows["in_shop"]["advice"]
    assert rows["cifar10"] | {"advice": ""} == {
        "name": "cifar10", "status": "found", "path": str(tmp_path / "cifar10"), "images": 8, "classes": None,
        "digest": "unknown", "advice": "",
    }  # fmt: skip
    assert rows["cars196"]["status"] == "damaged"
    assert str(damaged) in rows["cars196"]["advice"]
    assert (rows["cub200+precomputed"]["images"], rows["cub200+precomputed"]["classes"]) == (4, 3)


def test_files_that_are_not_the_published_ones_are_told(tmp_path: Path) -> None:
    (tmp_path / "mnist").mkdir()
    for part in ("train", "t10k"):
        labels, images = np.arange(4, dtype=np.uint8), np.zeros((4, 2, 2), np.uint8)
        for kind, array in (("images-idx3", images), ("labels-idx1", labels)):
            header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
            path = tmp_path / "mnist" / f"{part}-{kind}-ubyte.gz"
            path.write_bytes(gzip.compress(header + array.tobytes()))
    row = by_name(tmp_path)["mnist"]
    assert (row["status"], row["images"], row["classes"], row["digest"]) == ("found", 8, 4, "wrong")
    assert "losscope data fetch mnist" in row["advice"]


def test_the_real_files_have_the_right_digests(real_data: Callable[[str], Path]) -> None:
    rows = by_name(real_data("mnist/train-images-idx3-ubyte.gz"))
    mnist = rows["mnist"]
    assert (mnist["status"], mnist["images"], mnist["classes"]) == ("found", 70_000, 10)
    assert (mnist["digest"], mnist["advice"]) == ("right", "")
