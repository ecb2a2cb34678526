"""CUB-200-2011 (Wah et al. 2011): 11,788 photographs of 200 bird species.

Read from parquet, from folders train/ and test/ with a folder per class, or from the original CUB_200_2011
folder. Splits: `official_closed`, the official 5,994 / 5,794 with all species in both halves, and
`class_disjoint`, the first 100 species to train and the others to test, over all images (5,864 / 5,924);
`class_disjoint_validation` takes the last 33 of the first 100 for validation. `class_split` draws other classes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from losscope.data.coarse import by_name, last_word
from losscope.data.dataset import Dataset
from losscope.data.folders import locate
from losscope.data.image_files import part_patterns, read_part, train_then_test
from losscope.data.notes import counted, imagenet_overlap, joined_notes, named
from losscope.data.options import ClassSplit, Limit, Precision, Size, ViewOrFile
from losscope.data.pixels import IMAGENET
from losscope.data.progress import Progress
from losscope.data.readers.cub_original import read_cub_original
from losscope.data.samples import Samples, split_samples
from losscope.data.splits import Disjoint, Parts, parts_of, train_and_test
from losscope.data.views import Viewing, given_split, picture_samples, precomputed_samples

IMAGES = 11_788
DEFAULT_BACKBONE: Literal["efficientnet_lite0"] = "efficientnet_lite0"
PLACES = ("cub200", "cub-200", "cub")
ORIGINAL = ("CUB_200_2011", *(f"{place}/CUB_200_2011" for place in PLACES))
HOW = "Get CUB_200_2011.tgz from https://www.vision.caltech.edu/datasets/cub_200_2011/ and unpack it there."


def cub200(
    *,
    split: Literal["official_closed", Disjoint] = "official_closed",
    class_split: ClassSplit = 0,
    backbone: ViewOrFile = DEFAULT_BACKBONE,
    backbone_weights: str | None = None,
    precision: Precision = "float32",
    size: Size = None,
    coarse: Literal["last_word"] | None = None,
    limit: Limit = None,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Dataset:
    """Splits `train`, `test`, `validation` if asked for: features (samples, dim) or pixels (samples, 3, size, size).

    "pixels" needs a `size`; they are scaled with ImageNet's mean and deviation. "precomputed" reads the
    features of a file. `coarse` trains on the last word of the species' names, with the species as fine labels.
    """
    viewing = Viewing(backbone, backbone_weights, precision, size, device, progress)
    samples = precomputed_samples("cub200", folder) if backbone == "precomputed" else _samples(viewing, folder)
    return split_samples(
        named("cub200", split, backbone, class_split=class_split, default=DEFAULT_BACKBONE, coarse=coarse),
        samples,
        parts_of(samples.labels, split, class_split, lambda _: _official(samples)),
        split_protocol=split,
        class_split=class_split,
        limit=limit,
        coarse=by_name(samples.labels, samples.class_names, last_word) if coarse else None,
        note=joined_notes(counted(len(samples.labels), IMAGES), imagenet_overlap(backbone)),
    )


def cub200_files(folder: Path | None) -> dict[str, list[Path]]:
    """The files of "train" and "test", or "images.txt" of the original folder. Raises MissingData."""
    patterns = part_patterns("train", PLACES) + [f"{place}/images.txt" for place in ORIGINAL]
    train = locate("cub200", patterns, folder, HOW)
    if train[0].name == "images.txt":
        return {"images.txt": train}
    return {
        "train": train,
        "test": locate("the test part of cub200", part_patterns("test", PLACES), folder, HOW),
    }


def _official(samples: Samples) -> Parts:
    return train_and_test(given_split(samples, "cub200", "set split='class_disjoint'"))


def _samples(viewing: Viewing, folder: Path | None) -> Samples:
    files = cub200_files(folder)
    if "images.txt" in files:
        pictures, is_train = read_cub_original(files["images.txt"][0].parent)
    else:
        pictures, is_train = train_then_test(read_part(files["train"]), read_part(files["test"]))
    paths = [path for part in files.values() for path in part]
    return picture_samples(pictures, viewing, scale=IMAGENET, files=paths, is_train=is_train)
