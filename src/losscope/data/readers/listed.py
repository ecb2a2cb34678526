"""Image data sets that a text file lists: a header of column names, then a line for each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from losscope.data.pictures import Pictures
from losscope.errors import InvalidInput


class Line(NamedTuple):
    """The columns of one line, and where it stands, for messages."""

    columns: list[str]
    origin: str


class Listed(NamedTuple):
    """One image of a list: its file, the name of its class, whether it is trained on, and where it is listed."""

    file: Path
    class_name: str
    is_train: bool
    origin: str


def read_list(path: Path, header: Sequence[str], *, counted: bool = False) -> list[Line]:
    """The lines below the header, columns apart by spaces; if `counted`, a line above it says how many there are.

    Raises InvalidInput naming the file and the line if it is no such list.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InvalidInput(f"{path} can't be read ({error}); expected a list of images; unpack it again") from None
    lines = [Line(line.split(), f"line {at} of {path}") for at, line in enumerate(text.splitlines(), start=1)]
    lines = [line for line in lines if line.columns]
    number = _number(lines.pop(0)) if counted and lines else None
    if not lines or lines[0].columns != list(header):
        found = f"{lines[0].origin} is '{' '.join(lines[0].columns)}'" if lines else f"{path} holds no header"
        raise InvalidInput(f"{found}; expected '{' '.join(header)}'; unpack it again")
    for line in lines[1:]:
        if len(line.columns) != len(header):
            raise InvalidInput(
                f"{line.origin} is '{' '.join(line.columns)}'; expected {len(header)} columns, {' '.join(header)}; "
                "unpack it again"
            )
    if number is not None and number != len(lines) - 1:
        raise InvalidInput(f"{path} lists {len(lines) - 1:,} images and says {number:,}; expected all; unpack it again")
    return lines[1:]


def listed_pictures(images: Sequence[Listed]) -> tuple[Pictures, np.ndarray]:
    """The pictures in the order of the list, and which are trained on (pictures,) bool.

    Classes are numbered in the order of their names, shorter names first, so that "9" comes before "10". Raises
    InvalidInput if a file is absent, or if a class is in both parts: these lists belong to class-disjoint splits.
    """
    absent = [image for image in images if not image.file.is_file()]
    if absent:
        raise InvalidInput(
            f"{absent[0].origin} names {absent[0].file}, which is not there ({len(absent):,} of {len(images):,} "
            "images are not); unpack the images again"
        )
    trained = {image.class_name for image in images if image.is_train}
    for image in images:
        if not image.is_train and image.class_name in trained:
            raise InvalidInput(
                f"{image.origin} has the class {image.class_name}, which is trained on too; expected other classes "
                "in the test part; unpack it again"
            )
    names = sorted({image.class_name for image in images}, key=lambda name: (len(name), name))
    numbers = {name: number for number, name in enumerate(names)}
    files = [image.file for image in images]
    labels = np.array([numbers[image.class_name] for image in images], np.int64)
    return Pictures(files, labels, tuple(names), [str(file) for file in files]), np.array([i.is_train for i in images])


def _number(line: Line) -> int:
    if len(line.columns) != 1 or not line.columns[0].isdecimal():
        raise InvalidInput(f"{line.origin} is '{' '.join(line.columns)}'; expected the number of images")
    return int(line.columns[0])
