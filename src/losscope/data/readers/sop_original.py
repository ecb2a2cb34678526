"""The original folder of Stanford Online Products: Ebay_train.txt and Ebay_test.txt list its images."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.data.pictures import Pictures
from losscope.data.readers.listed import Listed, listed_pictures, read_list
from losscope.errors import InvalidInput

HEADER = ("image_id", "class_id", "super_class_id", "path")


def read_sop_original(train: Path, test: Path) -> tuple[Pictures, np.ndarray]:
    """All pictures of both lists, the training list first, and which are of it (pictures,) bool.

    Paths are relative to the folder of their list; classes are called by their class_id. Raises InvalidInput
    naming the list and the line.
    """
    return listed_pictures([*_listed(train, is_train=True), *_listed(test, is_train=False)])


def _listed(path: Path, *, is_train: bool) -> list[Listed]:
    images = []
    for (_, class_id, _, file), origin in read_list(path, HEADER):
        if not class_id.isdecimal():
            raise InvalidInput(f"{origin} has the class_id '{class_id}'; expected a number; unpack it again")
        images.append(Listed(path.parent / file, class_id, is_train, origin))
    return images
