"""MNIST (LeCun et al. 1998) and Fashion-MNIST (Xiao et al. 2017): 28 x 28 gray images from idx files."""

from __future__ import annotations

from pathlib import Path

from losscope.data.dataset import Dataset, Split
from losscope.data.folders import locate
from losscope.data.notes import counted, joined_notes, limited
from losscope.data.options import Limit
from losscope.data.pixels import FASHION_MNIST, MNIST, PixelScale, scaled
from losscope.data.readers.idx import read_idx
from losscope.data.splits import first_per_class
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


def mnist(*, limit: Limit = None, folder: Path | None = None) -> Dataset:
    """Splits 60,000 `train` and 10,000 `test`, inputs (x / 255 - 0.1307) / 0.3081, (samples, 1, 28, 28)."""
    return _idx_dataset("mnist", MNIST, limit, folder)


def fashion_mnist(*, limit: Limit = None, folder: Path | None = None) -> Dataset:
    """Splits 60,000 `train` and 10,000 `test`, inputs (x / 255 - 0.286) / 0.353, (samples, 1, 28, 28)."""
    return _idx_dataset("fashion_mnist", FASHION_MNIST, limit, folder)


def idx_files(name: str, folder: Path | None) -> dict[str, Path]:
    """The four files of `name`, by their original names without .gz. Raises MissingData."""
    found = {}
    for file in (file for pair in FILES.values() for file in pair):
        spelled = file.replace("-idx", "?idx") + "*"  # "train-images.idx3-ubyte" is common too; .gz or not
        patterns = [f"{place}/{spelled}" for place in FOLDERS[name]]
        found[file] = locate(f"{file} of {name}", patterns, folder, HOW[name])[0]
    return found


def _idx_dataset(name: str, scale: PixelScale, limit: int | None, folder: Path | None) -> Dataset:
    files = idx_files(name, folder)
    splits, read = {}, 0
    for split, (image_file, label_file) in FILES.items():
        images, labels = read_idx(files[image_file]), read_idx(files[label_file])
        if images.ndim != 3 or images.shape[:1] != labels.shape:
            raise InvalidInput(
                f"{files[image_file]} holds images {images.shape} and {files[label_file]} labels "
                f"{labels.shape}; expected (samples, height, width) and one label for each; fetch both again"
            )
        if labels.max(initial=0) >= len(CLASSES[name]):
            raise InvalidInput(
                f"{files[label_file]} holds the label {labels.max()}; expected 0 to {len(CLASSES[name]) - 1}"
            )
        read += len(images)
        rows = slice(None) if limit is None else first_per_class(labels, limit)
        splits[split] = Split(scaled(images[rows], scale), labels[rows])
    return Dataset(
        name=name,
        splits=splits,
        split_protocol="official",
        class_names=CLASSES[name],
        note=joined_notes(counted(read, IMAGES), limited(limit)),
        source={"files": ", ".join(path.name for path in files.values())},
    )
