"""In-Shop Clothes Retrieval (DeepFashion, Liu et al., CVPR 2016): 52,712 photographs of 7,982 garments.

Read from the original folder. The official split is class-disjoint: 25,882 images of 3,997 garments to train, and
14,218 queries and a gallery of 12,612 images of the other 3,985, which are one split `test` here.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from losscope.data.dataset import Dataset
from losscope.data.folders import locate
from losscope.data.notes import counted, joined_notes, named
from losscope.data.options import Limit, Precision, Size, ViewOrFile
from losscope.data.pixels import IMAGENET
from losscope.data.progress import Progress
from losscope.data.readers.in_shop_original import read_in_shop_original
from losscope.data.samples import Samples, split_samples
from losscope.data.splits import train_and_test
from losscope.data.views import Viewing, given_split, picture_samples, precomputed_samples

IMAGES = 52_712
DEFAULT_BACKBONE: Literal["efficientnet_lite0"] = "efficientnet_lite0"
PLACES = ("in_shop", "In-shop Clothes Retrieval Benchmark", "in_shop/In-shop Clothes Retrieval Benchmark")
LIST = "Eval/list_eval_partition.txt"
HOW = (
    "Get Eval/list_eval_partition.txt and Img/img.zip of the In-shop Clothes Retrieval Benchmark from "
    "https://mmlab.ie.cuhk.edu.hk/projects/DeepFashion/InShopRetrieval.html and unpack the images in Img/, as "
    "Img/img/WOMEN/..."
)
SEARCH = (
    "queries and gallery are one split that is searched within itself: not the official search of the gallery by the "
    "queries, not comparable with published numbers"
)


def in_shop(
    *,
    backbone: ViewOrFile = DEFAULT_BACKBONE,
    backbone_weights: str | None = None,
    precision: Precision = "float32",
    size: Size = None,
    limit: Limit = None,
    folder: Path | None = None,
    device: str = "cpu",
    progress: Progress | None = None,
) -> Dataset:
    """Splits `train` and `test` of other classes: features (samples, dim), or pixels (samples, 3, size, size).

    "pixels" needs a `size`; they are scaled with ImageNet's mean and deviation. "precomputed" reads the
    features of a file.
    """
    viewing = Viewing(backbone, backbone_weights, precision, size, device, progress)
    samples = precomputed_samples("in_shop", folder) if backbone == "precomputed" else _samples(viewing, folder)
    return split_samples(
        named("in_shop", "", backbone, default=DEFAULT_BACKBONE),
        samples,
        train_and_test(given_split(samples, "in_shop", "expected it as well")),
        split_protocol="official",
        limit=limit,
        note=joined_notes(counted(len(samples.labels), IMAGES), SEARCH),
    )


def in_shop_files(folder: Path | None) -> dict[str, list[Path]]:
    """The one list "partition". Raises MissingData."""
    return {"partition": locate("in_shop", [f"{place}/{LIST}" for place in PLACES], folder, HOW)}


def _samples(viewing: Viewing, folder: Path | None) -> Samples:
    files = in_shop_files(folder)["partition"]
    pictures, is_train = read_in_shop_original(files[0])
    return picture_samples(pictures, viewing, scale=IMAGENET, files=files, is_train=is_train)
