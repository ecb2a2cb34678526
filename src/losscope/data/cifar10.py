"""CIFAR-10 (Krizhevsky 2009): 60,000 color images of 32 x 32 in ten classes, official split.

Read from parquet (column `img`), from folders train/ and test/ with a folder per class, or from the binary
batches. The pickled "python version" is never read.
"""

from __future__ import annotations

from pathlib import Path

from losscope.data.dataset import Dataset
from losscope.data.decoding import jpeg_quality
from losscope.data.folders import locate
from losscope.data.image_files import part_patterns, read_part, train_then_test
from losscope.data.notes import counted, joined_notes, named
from losscope.data.options import Limit, Precision, Size, View
from losscope.data.pictures import Pictures
from losscope.data.pixels import CIFAR10
from losscope.data.progress import Progress
from losscope.data.readers.cifar_binary import read_cifar_binary
from losscope.data.samples import split_samples
from losscope.data.splits import train_and_test
from losscope.data.views import Viewing, picture_samples

IMAGES = 60_000
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
FIRST_LABELS = [6, 9, 9, 4, 1, 1, 2, 7, 8, 3]  # of the original training images
PLACES = ("cifar10", "cifar-10")
BINARY = {"train": "cifar-10-batches-bin/data_batch_*.bin", "test": "cifar-10-batches-bin/test_batch.bin"}
HOW = (
    "Get it as parquet (uoft-cs/cifar10 on the Hugging Face hub) or as the binary version "
    "(https://www.cs.toronto.edu/~kriz/cifar.html), unpacked."
)


def cifar10(
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
    """Splits `train` (50,000) and `test` (10,000): pixels (samples, 3, 32, 32), or features (samples, dim).

    Pixels are (x / 255 - mean) / std of each channel, mean 0.4914 0.4822 0.4465, std 0.2470 0.2435 0.2616.
    """
    viewing = Viewing(backbone, backbone_weights, precision, size, device, progress)
    parts = cifar10_files(folder)
    pictures, is_train = train_then_test(*(_read(paths) for paths in parts.values()))
    files = [path for paths in parts.values() for path in paths]
    samples = picture_samples(pictures, viewing, scale=CIFAR10, files=files, is_train=is_train)
    return split_samples(
        named("cifar10", "", backbone, default="pixels"),
        samples,
        train_and_test(is_train),
        split_protocol="official",
        limit=limit,
        note=_note(pictures),
    )


def cifar10_files(folder: Path | None) -> dict[str, list[Path]]:
    """The files of "train" and "test". Raises MissingData."""

    def one(part: str) -> list[Path]:
        binary = [BINARY[part], *(f"{place}/{BINARY[part]}" for place in PLACES)]
        return locate(f"the {part} part of cifar10", [*part_patterns(part, PLACES), *binary], folder, HOW)

    return {part: one(part) for part in BINARY}


def _read(paths: list[Path]) -> Pictures:
    return read_cifar_binary(paths, CLASSES) if paths[0].suffix == ".bin" else read_part(paths)


def _note(pictures: Pictures) -> str:
    """How these images differ from the original ones, found in the data."""
    original = pictures.labels[: len(FIRST_LABELS)].tolist() == FIRST_LABELS
    quality = jpeg_quality(pictures.images[0])
    return joined_notes(
        counted(len(pictures), IMAGES),
        f"images re-encoded as JPEG of quality {quality}" if quality else "",
        "" if original else "rows in another order than the original's",
        "not strictly comparable with published numbers" if quality else "",
    )
