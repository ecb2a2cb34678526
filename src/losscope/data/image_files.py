"""Where the pictures of an image data set are: parquet files or image folders, part by part."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from losscope.data.pictures import Pictures, joined
from losscope.data.readers.image_folder import read_image_folder
from losscope.data.readers.image_parquet import read_image_parquet

FORMS = ("{part}.parquet", "{part}-*.parquet", "*/{part}-*.parquet", "{part}")


def part_patterns(part: str, places: Sequence[str]) -> list[str]:
    """Where a part such as "train" may be, for `locate`: `places` are folders in the data folder."""
    return [f"{place}/{form.format(part=part)}" for place in places for form in FORMS]


def read_part(paths: Sequence[Path]) -> Pictures:
    """The pictures of the parquet files, or the one image folder, that were located. Raises InvalidInput."""
    return read_image_folder(paths[0]) if paths[0].is_dir() else read_image_parquet(paths)


def train_then_test(train: Pictures, test: Pictures) -> tuple[Pictures, np.ndarray]:
    """All pictures, and which of them are of the given training part (pictures,) bool."""
    return joined([train, test]), np.arange(len(train) + len(test)) < len(train)
