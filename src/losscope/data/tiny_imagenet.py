"""Tiny-ImageNet (Stanford CS231n, 2015): color images of 64 x 64 in 200 classes, the validation part only.

Read from parquet, or from a folder valid/ or val/ with a folder per class. The 10,000 validation images (50
per class) are cut into splits of their own: `valid_closed`, 25 / 25 of each class by a fixed seed, and
`class_disjoint`, the first 100 classes to train and the others to test; `class_disjoint_validation` takes the last 33
of the first 100 for validation. `class_split` draws other classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from losscope.data.coarse import by_name, hypernym
from losscope.data.dataset import Dataset
from losscope.data.folders import locate
from losscope.data.image_files import part_patterns, read_part
from losscope.data.notes import counted, imagenet_overlap, joined_notes, named
from losscope.data.options import ClassSplit, Limit, Precision, Size, View
from losscope.data.pixels import IMAGENET
from losscope.data.progress import Progress
from losscope.data.samples import split_samples
from losscope.data.splits import Disjoint, parts_of
from losscope.data.views import Viewing, picture_samples

VALIDATION = 10_000
PLACES = ("tiny_imagenet", "tiny-imagenet", "tiny-imagenet-200")
HOW = "Get it as parquet (zh-plus/tiny-imagenet on the Hugging Face hub)."


def tiny_imagenet(
    *,
    split: Literal["valid_closed", Disjoint] = "valid_closed",
    class_split: ClassSplit = 0,
    backbone: View = "pixels",
    backbone_weights: str | None = None,
    precision: Precision = "float32",
    size: Size = None,
    coarse: Literal["hypernym"] | None = None,
    limit: Limit = None,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Dataset:
    """Splits `train`, `test`, `validation` if asked for: pixels (samples, 3, 64, 64), or features (samples, dim).

    Pixels are scaled with ImageNet's mean and deviation. `coarse` trains on hypernyms, 25 groups of the classes by
    WordNet (`losscope.data.coarse`), with the classes as fine labels.
    """
    viewing = Viewing(backbone, backbone_weights, precision, size, device, progress)
    files = tiny_imagenet_files(folder)["valid"]
    samples = picture_samples(read_part(files), viewing, scale=IMAGENET, files=files)
    return split_samples(
        named("tiny_imagenet", split, backbone, class_split=class_split, default="pixels", coarse=coarse),
        samples,
        parts_of(samples.labels, split, class_split),
        split_protocol=split,
        class_split=class_split,
        limit=limit,
        coarse=by_name(samples.labels, samples.class_names, hypernym) if coarse else None,
        note=joined_notes(
            "only the 10,000 validation images, none of the 100,000 training images",
            counted(len(samples.labels), VALIDATION),
            imagenet_overlap(backbone),
        ),
    )


def tiny_imagenet_files(folder: Path | None) -> dict[str, list[Path]]:
    """The files of "valid". Raises MissingData."""
    patterns = part_patterns("valid", PLACES) + part_patterns("val", PLACES)
    return {"valid": locate("the validation part of tiny_imagenet", patterns, folder, HOW)}
