"""Encoded images with labels, as image data sets hold them before anything is decoded."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from losscope.errors import InvalidInput

Encoded = bytes | Path | np.ndarray
"""An image file's content, its path, or the pixels themselves, uint8: (height, width, 3), or gray (height, width)."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images in the order of their files; labels (samples,) int64 below the number of class names.

    `origins` says for each image where it comes from, for messages. Raises InvalidInput.
    """

    images: Sequence[Encoded]
    labels: np.ndarray
    class_names: tuple[str, ...]
    origins: Sequence[str]

    def __post_init__(self) -> None:
        wrong = np.flatnonzero((self.labels < 0) | (self.labels >= len(self.class_names)))
        if wrong.size:
            raise InvalidInput(
                f"{self.origins[wrong[0]]} has the label {self.labels[wrong[0]]}; expected 0 to "
                f"{len(self.class_names) - 1}, one for each class name"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: np.ndarray) -> Pictures:
        """The pictures of `rows`, in that order."""
        return Pictures(
            [self.images[row] for row in rows],
            self.labels[rows],
            self.class_names,
            [self.origins[row] for row in rows],
        )

    def digest(self) -> str:
        """SHA-256 over the encoded images in order."""
        total = hashlib.sha256()
        for image in self.images:
            total.update(hashlib.sha256(content(image)).digest())
        return total.hexdigest()


def joined(parts: Iterable[Pictures]) -> Pictures:
    """All pictures of several files, first to last. Raises InvalidInput if their class names differ."""
    parts = list(parts)
    for other in parts[1:]:
        if other.class_names != parts[0].class_names:
            raise InvalidInput(
                f"{parts[0].origins[0]} and {other.origins[0]} name different classes "
                f"({len(parts[0].class_names)} and {len(other.class_names)}); expected the same in both"
            )
    return Pictures(
        [image for part in parts for image in part.images],
        np.concatenate([part.labels for part in parts]),
        parts[0].class_names,
        [origin for part in parts for origin in part.origins],
    )


def content(image: Encoded) -> bytes:
    """The bytes that make up an image."""
    if isinstance(image, Path):
        return image.read_bytes()
    return image if isinstance(image, bytes) else image.tobytes()
