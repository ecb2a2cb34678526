"""CIFAR-10's own binary batches: a label byte, then 3 x 32 x 32 color bytes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from losscope.data.pictures import Pictures, joined
from losscope.errors import InvalidInput

RECORD = 1 + 3 * 32 * 32


def read_cifar_binary(paths: Sequence[Path], class_names: tuple[str, ...]) -> Pictures:
    """The images and labels of `*_batch*.bin` files. Raises InvalidInput naming the file."""
    return joined(_read(path, class_names) for path in paths)


def _read(path: Path, class_names: tuple[str, ...]) -> Pictures:
    content = np.fromfile(path, np.uint8)
    if not content.size or content.size % RECORD:
        raise InvalidInput(f"{path} holds {content.size:,} bytes; expected a multiple of {RECORD:,}; fetch it again")
    records = content.reshape(-1, RECORD)
    images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    labels = records[:, 0].astype(np.int64)
    return Pictures(list(images), labels, class_names, [f"record {at} of {path}" for at in range(len(images))])
