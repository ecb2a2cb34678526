"""Which data sets are on this machine: found, missing or damaged, and what to do."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from losscope.data.cars196 import cars196_files
from losscope.data.cifar10 import CLASSES, cifar10_files
from losscope.data.cub200 import cub200_files
from losscope.data.fetch import DOWNLOADS, sha256_of_content
from losscope.data.in_shop import in_shop_files
from losscope.data.mnist import idx_files
from losscope.data.pictures import Pictures
from losscope.data.readers.cifar_binary import read_cifar_binary
from losscope.data.readers.cub_original import read_cub_original
from losscope.data.readers.idx import read_idx
from losscope.data.readers.image_folder import read_image_folder
from losscope.data.readers.image_parquet import parquet_size
from losscope.data.readers.in_shop_original import read_in_shop_original
from losscope.data.readers.sop_original import read_sop_original
from losscope.data.sop import sop_files
from losscope.data.tiny_imagenet import tiny_imagenet_files
from losscope.data.views import precomputed_path, precomputed_samples
from losscope.errors import InvalidInput, MissingData

Find = Callable[[Path | None], dict[str, list[Path]]]
IMAGE_SETS: Mapping[str, Find] = {
    "cifar10": cifar10_files,
    "cub200": cub200_files,
    "cars196": cars196_files,
    "tiny_imagenet": tiny_imagenet_files,
}
LISTED_SETS: Mapping[str, tuple[Find, Callable[..., tuple[Pictures, np.ndarray]]]] = {
    "sop": (sop_files, read_sop_original),
    "in_shop": (in_shop_files, read_in_shop_original),
}
PRECOMPUTED = ("cub200", "cars196", "sop", "in_shop")


def describe(folder: Path | None = None) -> list[dict[str, Any]]:
    """One row per data set that is read from local files, by name.

    status   "found", "missing" or "damaged"
    path     the folder its files are in, None if missing
    images   how many, and `classes` how many of them are named, where the files tell; else None
    digest   "right" or "wrong" where the digest of the real files is known, else "unknown"
    advice   what to do; empty if nothing
    """
    looks = {name: partial(_idx, name, folder) for name in DOWNLOADS}
    looks |= {name: partial(_pictures, files, folder) for name, files in IMAGE_SETS.items()}
    looks |= {name: partial(_listed, find, read, folder) for name, (find, read) in LISTED_SETS.items()}
    looks |= {f"{name}+precomputed": partial(_precomputed, name, folder) for name in PRECOMPUTED}
    return [_row(name, look) for name, look in looks.items()]


def _row(name: str, look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    row = {
        "name": name, "status": "found", "path": None, "images": None, "classes": None,
        "digest": "unknown", "advice": "",
    }  # fmt: skip
    try:
        return row | look()
    except MissingData as error:
        return row | {"status": "missing", "advice": str(error)}
    except InvalidInput as error:
        return row | {"status": "damaged", "advice": str(error)}


def _idx(name: str, folder: Path | None) -> dict[str, Any]:
    files = idx_files(name, folder)
    labels = np.concatenate([read_idx(path) for file, path in files.items() if "labels" in file])
    right = all(
        sha256_of_content(files[file.removesuffix(".gz")], unpacked=True) == digest
        for file, digest in DOWNLOADS[name].files.items()
    )
    return {
        "path": str(next(iter(files.values())).parent),
        "images": len(labels),
        "classes": len(np.unique(labels)),
        "digest": "right" if right else "wrong",
        "advice": "" if right else f"not the published files: `losscope data fetch {name}` replaces them",
    }


def _pictures(find: Find, folder: Path | None) -> dict[str, Any]:
    paths = [path for part in find(folder).values() for path in part]
    sizes = [_size(path) for path in paths]
    classes = max(named for _, named in sizes)
    return {
        "path": str(paths[0].parent),
        "images": sum(images for images, _ in sizes),
        "classes": classes or None,
    }


def _listed(find: Find, read: Callable[..., tuple[Pictures, np.ndarray]], folder: Path | None) -> dict[str, Any]:
    paths = [path for part in find(folder).values() for path in part]
    pictures, _ = read(*paths)
    return {"path": str(paths[0].parent), "images": len(pictures), "classes": len(pictures.class_names)}


def _size(path: Path) -> tuple[int, int]:
    """Number of images and of named classes, without decoding any image."""
    if path.is_dir():
        pictures = read_image_folder(path)
    elif path.suffix == ".bin":
        pictures = read_cifar_binary([path], CLASSES)
    elif path.suffix == ".txt":
        pictures, _ = read_cub_original(path.parent)
    else:
        return parquet_size(path)
    return len(pictures), len(pictures.class_names)


def _precomputed(name: str, folder: Path | None) -> dict[str, Any]:
    path, labels = precomputed_path(name, folder), precomputed_samples(name, folder).labels
    return {"path": str(path.parent), "images": len(labels), "classes": len(np.unique(labels))}
