"""Stanford Online Products (Oh Song et al., CVPR 2016): 120,053 photographs of 22,634 products from online shops.

Read from the original folder. The official split is class-disjoint: 59,551 images of 11,318 products to train,
60,502 of the other 11,316 to test.
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from losscope.data.dataset import Dataset
from losscope.data.folders import locate
from losscope.data.notes import counted, named
from losscope.data.options import Limit, Precision, Size, ViewOrFile
from losscope.data.pixels import IMAGENET
from losscope.data.progress import Progress
from losscope.data.readers.sop_original import read_sop_original
from losscope.data.samples import Samples, split_samples
from losscope.data.splits import train_and_test
from losscope.data.views import Viewing, given_split, picture_samples, precomputed_samples

IMAGES = 120_053
DEFAULT_BACKBONE: Literal["efficientnet_lite0"] = "efficientnet_lite0"
PLACES = ("sop", "sop/Stanford_Online_Products", "Stanford_Online_Products", "stanford_online_products")
LISTS = {"train": "Ebay_train.txt", "test": "Ebay_test.txt"}
HOW = (
    "Get Stanford_Online_Products.zip from https://cvgl.stanford.edu/projects/lifted_struct/ and unpack it there: "
    "the two lists and the folders of images that they name."
)


def sop(
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
    samples = precomputed_samples("sop", folder) if backbone == "precomputed" else _samples(viewing, folder)
    return split_samples(
        named("sop", "", backbone, default=DEFAULT_BACKBONE),
        samples,
        train_and_test(given_split(samples, "sop", "expected it as well")),
        split_protocol="official",
        limit=limit,
        note=counted(len(samples.labels), IMAGES),
    )


def sop_files(folder: Path | None) -> dict[str, list[Path]]:
    """The lists "train" and "test". Raises MissingData."""
    return {
        part: locate(f"the {part} list of sop", [f"{place}/{file}" for place in PLACES], folder, HOW)
        for part, file in LISTS.items()
    }


def _samples(viewing: Viewing, folder: Path | None) -> Samples:
    files = [path for part in sop_files(folder).values() for path in part]
    pictures, is_train = read_sop_original(*files)
    return picture_samples(pictures, viewing, scale=IMAGENET, files=files, is_train=is_train)
