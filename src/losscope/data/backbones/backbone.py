"""What a frozen backbone is: where its weights come from, how it wants its images, and how to load it."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from losscope.data.decoding import Fit
from losscope.data.pixels import PixelScale

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True)
class Backbone:
    """A frozen network, not loaded yet.

    weights         name or folder the weights come from, for people
    weights_sha256  digest of their files, for the cache
    fit, scale      from a decoded image to the network's input
    load            builds the module: (images, 3, fit.size, fit.size) -> (images, dim), same precision
    """

    name: str
    weights: str
    weights_sha256: str
    fit: Fit
    scale: PixelScale
    load: Callable[[], nn.Module]


def sha256_of(paths: Sequence[Path]) -> str:
    """SHA-256 over the contents of files, in order."""
    digests = []
    for path in paths:
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").digest())
    return hashlib.sha256(b"".join(digests)).hexdigest()
