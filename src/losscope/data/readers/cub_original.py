"""The original folder of CUB-200-2011: text files that list images, classes and the official split."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from losscope.data.pictures import Pictures
from losscope.errors import InvalidInput


def read_cub_original(folder: Path) -> tuple[Pictures, np.ndarray]:
    """All pictures in the order of images.txt, and which are in the official training part (pictures,) bool.

    Raises InvalidInput if one of the lists is absent or they disagree.
    """
    paths = _listed(folder / "images.txt")
    classes = _listed(folder / "classes.txt")
    labels = _listed(folder / "image_class_labels.txt")
    training = _listed(folder / "train_test_split.txt")
    if not paths.keys() == labels.keys() == training.keys():
        raise InvalidInput(
            f"images.txt, image_class_labels.txt and train_test_split.txt of {folder} list "
            f"{len(paths)}, {len(labels)} and {len(training)} images; expected the same ones; unpack it again"
        )
    numbers = {number: at for at, number in enumerate(classes)}
    files = [folder / "images" / paths[image] for image in paths]
    pictures = Pictures(
        files,
        np.array([numbers.get(labels[image], -1) for image in paths], np.int64),
        tuple(classes.values()),
        [str(file) for file in files],
    )
    return pictures, np.array([training[image] == "1" for image in paths])


def _listed(path: Path) -> dict[str, str]:
    """The lines "number text" of a list."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return dict(line.split(maxsplit=1) for line in lines if line.strip())
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"{path} can't be read ({error}); expected lines of a number and a text; unpack it again"
        ) from None
