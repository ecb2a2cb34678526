"""The original folder of the In-Shop benchmark: Eval/list_eval_partition.txt lists the images under Img/."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.data.pictures import Pictures
from losscope.data.readers.listed import Listed, listed_pictures, read_list
from losscope.errors import InvalidInput

HEADER = ("image_name", "item_id", "evaluation_status")
STATUSES = ("train", "query", "gallery")


def read_in_shop_original(partition: Path) -> tuple[Pictures, np.ndarray]:
    """All pictures in the order of the list, and which are to train on (pictures,) bool; queries and gallery are not.

    Classes are called by their item_id. Raises InvalidInput naming the list and the line.
    """
    folder, images = partition.parent.parent / "Img", []
    for (file, item_id, status), origin in read_list(partition, HEADER, counted=True):
        if status not in STATUSES:
            raise InvalidInput(
                f"{origin} has the evaluation_status '{status}'; expected {', '.join(STATUSES)}; unpack it again"
            )
        images.append(Listed(folder / file, item_id, status == "train", origin))
    return listed_pictures(images)
