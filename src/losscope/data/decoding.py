"""Encoded images to RGB pixels of one size, with Pillow and nothing else."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from losscope.data.pictures import Encoded, Pictures
from losscope.data.progress import Progress
from losscope.errors import InvalidInput, MissingDependency

if TYPE_CHECKING:
    from PIL.Image import Image

REPORT_EVERY = 256


@dataclass(frozen=True)
class Fit:
    """How an image becomes size x size pixels.

    `keep_shape` takes the centered square that has `fraction` of the shorter side; without it the centered
    `fraction` of each side is taken and squashed.
    """

    size: int
    fraction: float = 1.0
    keep_shape: bool = False
    resampling: Literal["bilinear", "bicubic", "lanczos"] = "bicubic"

    def __call__(self, image: Image) -> Image:
        from PIL.Image import Resampling

        width, height = image.size
        across, down = (min(width, height),) * 2 if self.keep_shape else (width, height)
        left, top = (width - across * self.fraction) / 2, (height - down * self.fraction) / 2
        box = (left, top, width - left, height - top)
        return image.resize((self.size, self.size), Resampling[self.resampling.upper()], box=box)


def decode(pictures: Pictures, fit: Fit | None = None, progress: Progress | None = None) -> np.ndarray:
    """RGB pixels (samples, height, width, 3) uint8, each image brought to one size by `fit`.

    Raises InvalidInput naming the image if one is damaged or, without `fit`, of another size than the first;
    MissingDependency without Pillow.
    """
    pixels = np.empty((0, 0, 0, 3), np.uint8)
    for at, (image, origin) in enumerate(zip(pictures.images, pictures.origins, strict=True)):
        one = _rgb(image, origin, fit)
        if at == 0:
            pixels = np.empty((len(pictures), *one.shape), np.uint8)
        if one.shape != pixels.shape[1:]:
            raise InvalidInput(
                f"{origin} has {one.shape[1]} x {one.shape[0]} pixels, {pictures.origins[0]} has "
                f"{pixels.shape[2]} x {pixels.shape[1]}; expected one size: set the option 'size'"
            )
        pixels[at] = one
        if progress and ((at + 1) % REPORT_EVERY == 0 or at + 1 == len(pictures)):
            progress("decoding images", at + 1, len(pictures))
    return pixels


def _rgb(image: Encoded, origin: str, fit: Fit | None) -> np.ndarray:
    """RGB pixels (height, width, 3) uint8 of one image; pixels that stay as they are don't need Pillow."""
    if fit is None and isinstance(image, np.ndarray):
        return image if image.ndim == 3 else np.broadcast_to(image[..., None], (*image.shape, 3))
    opened = open_rgb(image, origin)
    return np.asarray(fit(opened) if fit else opened)


def open_rgb(image: Encoded, origin: str) -> Image:
    """One image, decoded whole and converted to RGB. Raises InvalidInput naming `origin`."""
    try:
        from PIL import Image
    except ImportError:
        raise MissingDependency.of("pillow", "images", "reading images") from None
    if isinstance(image, np.ndarray):
        return Image.fromarray(image).convert("RGB")
    try:
        with Image.open(image if isinstance(image, Path) else io.BytesIO(image)) as opened:
            return opened.convert("RGB")
    except Exception as error:  # Pillow's decoders raise whatever their format's parser meets
        raise InvalidInput(
            f"{origin} can't be decoded ({type(error).__name__}: {error}); expected a whole image file; "
            "replace or remove it"
        ) from None


def short_side(pictures: Pictures, sample: int = 32) -> int:
    """Median length in pixels of the shorter side of evenly spaced images."""
    rows = np.unique(np.linspace(0, len(pictures) - 1, sample).astype(int))
    sides = [min(open_rgb(pictures.images[row], pictures.origins[row]).size) for row in rows]
    return int(np.median(sides))


def jpeg_quality(image: Encoded) -> int | None:
    """The quality (1 to 100, libjpeg's scale) a JPEG was written with; None for other formats and tables."""
    from PIL import Image

    if not isinstance(image, bytes) or not image.startswith(b"\xff\xd8"):
        return None
    table = Image.open(io.BytesIO(image)).quantization[0]  # type: ignore[attr-defined]
    for quality in range(1, 101):
        Image.new("L", (8, 8)).save(trial := io.BytesIO(), "JPEG", quality=quality)
        if Image.open(trial).quantization[0] == table:  # type: ignore[attr-defined]
            return quality
    return None
