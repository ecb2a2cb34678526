"""MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017): 28 x 28 gray images from idx files.

Their pixels keep one channel; a backbone sees them as colors that are equal.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.data.dataset import Dataset
from losscope.data.folders import locate
from losscope.data.image_files import train_then_test
from losscope.data.notes import counted, named
from losscope.data.options import Limit, Precision, Size, View
from losscope.data.pictures import Pictures
from losscope.data.pixels import FASHION_MNIST, MNIST, PixelScale
from losscope.data.progress import Progress
from losscope.data.readers.idx import read_idx
from losscope.data.samples import split_samples
from losscope.data.splits import train_and_test
from losscope.data.views import Viewing, picture_samples
from losscope.errors import InvalidInput

FILES = {
    "train": ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"),
    "test": ("t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"),
}
IMAGES = 70_000
FOLDERS = {
    "mnist": ("mnist", "MNIST/raw", "MNIST"),
    "fashion_mnist": (
        "fashion_mnist",
        "FashionMNIST/raw",
        "fashion-mnist",
        "/usr/share/datasets/fashion-mnist",
    ),
}
HOW = {
    "mnist": "Get it with `losscope data fetch mnist`, or copy its four idx files there.",
    "fashion_mnist": "Get it with `losscope data fetch fashion_mnist`, install Debian's package "
    "dataset-fashion-mnist, or copy its four idx files there.",
}
CLASSES = {
    "mnist": tuple("0123456789"),
    "fashion_mnist": (
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat",
        "Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot",
    ),
}  # fmt: skip


def mnist(
    *,
    backbone: View = "pixels",
    backbone_weights: str | None = None,
    precision: Precision = "float32",
    size: Size = None,
    limit: Limit = None,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Dataset:
    """Splits `train` (60,000) and `test` (10,000): pixels (samples, 1, 28, 28), or features (samples, dim).

    Pixels are (x / 255 - 0.1307) / 0.3081.
    """
    viewing = Viewing(backbone, backbone_weights, precision, size, device, progress)
    return _idx_dataset("mnist", MNIST, viewing, limit, folder)


def fashion_mnist(
    *,
    backbone: View = "pixels",
    backbone_weights: str | None = None,
    precision: Precision = "float32",
    size: Size = None,
    limit: Limit = None,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Dataset:
    """Splits `train` (60,000) and `test` (10,000): pixels (samples, 1, 28, 28), or features (samples, dim).

    Pixels are (x / 255 - 0.286) / 0.353.
    """
    viewing = Viewing(backbone, backbone_weights, precision, size, device, progress)
    return _idx_dataset("fashion_mnist", FASHION_MNIST, viewing, limit, folder)


def idx_files(name: str, folder: Path | None) -> dict[str, Path]:
    """The four files of `name`, by their original names without .gz. Raises MissingData."""
    found = {}
    for file in (file for pair in FILES.values() for file in pair):
        spelled = file.replace("-idx", "?idx") + "*"  # "train-images.idx3-ubyte" is common too; .gz or not
        patterns = [f"{place}/{spelled}" for place in FOLDERS[name]]
        found[file] = locate(f"{file} of {name}", patterns, folder, HOW[name])[0]
    return found


def _idx_dataset(name: str, scale: PixelScale, viewing: Viewing, limit: int | None, folder: Path | None) -> Dataset:
    files = idx_files(name, folder)
    pictures, is_train = train_then_test(*(_read(name, *(files[file] for file in pair)) for pair in FILES.values()))
    samples = picture_samples(pictures, viewing, scale=scale, files=[*files.values()], is_train=is_train)
    return split_samples(
        named(name, "", viewing.backbone, default="pixels"),
        samples,
        train_and_test(is_train),
        split_protocol="official",
        limit=limit,
        note=counted(len(pictures), IMAGES),
    )


def _read(name: str, image_file: Path, label_file: Path) -> Pictures:
    images, labels = read_idx(image_file), read_idx(label_file)
    if images.ndim != 3 or images.shape[:1] != labels.shape:
        raise InvalidInput(
            f"{image_file} holds images {images.shape} and {label_file} labels {labels.shape}; expected "
            "(samples, height, width) and one label for each; fetch both again"
        )
    if labels.max(initial=0) >= len(CLASSES[name]):
        raise InvalidInput(f"{label_file} holds the label {labels.max()}; expected 0 to {len(CLASSES[name]) - 1}")
    origins = [f"image {at} of {image_file}" for at in range(len(images))]
    return Pictures(list(images), labels.astype(np.int64), CLASSES[name], origins)
