"""Handwritten digits, 1,797 images of 8 x 8: the real data set that comes with the package.

The test half of "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI, 1998, CC BY 4.0), as
scikit-learn distributes it. `digits.npz` holds the gray levels 0..16 as uint8, made by

    d = sklearn.datasets.load_digits()
    numpy.savez_compressed("digits.npz", images=d.images.astype("uint8"), labels=d.target.astype("uint8"))
"""

from __future__ import annotations

from importlib.resources import as_file, files
from typing import Literal

import numpy as np

from losscope.data.coarse import by_name, parity
from losscope.data.dataset import Dataset
from losscope.data.notes import named
from losscope.data.options import ClassSplit, Limit
from losscope.data.samples import Samples, Taken, split_samples
from losscope.data.splits import Disjoint, parts_of

GRAY_LEVELS = 16
SOURCE = {"files": "digits.npz"}


def digits(
    *,
    split: Literal["stratified_half", Disjoint] = "stratified_half",
    class_split: ClassSplit = 0,
    coarse: Literal["parity"] | None = None,
    limit: Limit = None,
) -> Dataset:
    """Splits `train`, `test`, `validation` if asked for: inputs (samples, 1, 8, 8) in [0, 1].

    `stratified_half` puts half of each digit on either side, the same for every run; `class_disjoint` trains on 0-4
    and tests on 5-9; `class_disjoint_validation` takes 3 and 4 for validation; `class_split` draws other digits.
    `coarse` makes them even and odd ones, and the digits fine labels.
    `limit` keeps the first samples of each class of each split.
    """
    with as_file(files("losscope.data") / "digits.npz") as path, np.load(path, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"].astype(np.int64)
    inputs = images[:, None].astype(np.float32) / GRAY_LEVELS
    samples = Samples(labels, lambda rows: Taken(inputs[rows], SOURCE), class_names=tuple("0123456789"))
    return split_samples(
        named("digits", "" if split == "stratified_half" else split, coarse=coarse, class_split=class_split),
        samples,
        parts_of(labels, split, class_split),
        split_protocol=split,
        class_split=class_split,
        limit=limit,
        coarse=by_name(labels, samples.class_names, parity) if coarse else None,
    )
