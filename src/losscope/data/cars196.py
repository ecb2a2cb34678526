"""Stanford Cars, CARS196 (Krause et al. 2013): photographs of 196 car models.

Read from parquet, or from a folder train/ with a folder per class. Only the official training half (8,144
images) is used, so the splits are not the official one and are never called so. `train_half_closed` cuts each
class in two by a fixed seed; `class_disjoint` trains on the first 98 classes (4,052) and tests on the others
(4,092); `class_disjoint_validation` takes the last 33 of the first 98 for validation. `class_split` draws other
classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from losscope.data.coarse import by_name, make
from losscope.data.dataset import Dataset
from losscope.data.folders import locate
from losscope.data.image_files import part_patterns, read_part
from losscope.data.notes import counted, joined_notes, named
from losscope.data.options import ClassSplit, Limit, Precision, Size, ViewOrFile
from losscope.data.pixels import IMAGENET
from losscope.data.progress import Progress
from losscope.data.samples import Samples, split_samples
from losscope.data.splits import Disjoint, parts_of
from losscope.data.views import Viewing, picture_samples, precomputed_samples

TRAIN_HALF, IMAGES = 8_144, 16_185
DEFAULT_BACKBONE: Literal["efficientnet_lite0"] = "efficientnet_lite0"
PLACES = ("cars196", "stanford_cars", "cars")
HOW = "Get it as parquet with the columns image and label (tanganke/stanford_cars on the Hugging Face hub)."


def cars196(
    *,
    split: Literal["train_half_closed", Disjoint] = "train_half_closed",
    class_split: ClassSplit = 0,
    backbone: ViewOrFile = DEFAULT_BACKBONE,
    backbone_weights: str | None = None,
    precision: Precision = "float32",
    size: Size = None,
    coarse: Literal["make"] | None = None,
    limit: Limit = None,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Dataset:
    """Splits `train`, `test`, `validation` if asked for: features (samples, dim) or pixels (samples, 3, size, size).

    Pixels are scaled with ImageNet's mean and deviation and need a `size` unless all images have one;
    "precomputed" reads the features of a file. `coarse` trains on the makers, with the models as fine labels.
    """
    viewing = Viewing(backbone, backbone_weights, precision, size, device, progress)
    samples = precomputed_samples("cars196", folder) if backbone == "precomputed" else _samples(viewing, folder)
    return split_samples(
        named("cars196", split, backbone, class_split=class_split, default=DEFAULT_BACKBONE, coarse=coarse),
        samples,
        parts_of(samples.labels, split, class_split),
        split_protocol=split,
        class_split=class_split,
        limit=limit,
        coarse=by_name(samples.labels, samples.class_names, make) if coarse else None,
        note=joined_notes(
            f"only the official training half ({TRAIN_HALF:,} of {IMAGES:,} images): not the official split",
            counted(len(samples.labels), TRAIN_HALF),
        ),
    )


def cars196_files(folder: Path | None) -> dict[str, list[Path]]:
    """The files of "train". Raises MissingData."""
    return {"train": locate("the train part of cars196", part_patterns("train", PLACES), folder, HOW)}


def _samples(viewing: Viewing, folder: Path | None) -> Samples:
    files = cars196_files(folder)["train"]
    return picture_samples(read_part(files), viewing, scale=IMAGENET, files=files)
