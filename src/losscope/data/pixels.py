"""From 8-bit images to model inputs: channels first, x / 255, then (x - mean) / std of each channel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class PixelScale(NamedTuple):
    """Mean and standard deviation of each channel of a data set's training images, in units of 255."""

    mean: tuple[float, ...]
    std: tuple[float, ...]


MNIST = PixelScale((0.1307,), (0.3081,))
FASHION_MNIST = PixelScale((0.2860,), (0.3530,))
CIFAR10 = PixelScale((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
IMAGENET = PixelScale((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def scaled(images: np.ndarray, scale: PixelScale) -> np.ndarray:
    """Images (samples, height, width[, channels]) uint8 -> (samples, channels, height, width) float32."""
    channels_last = images if images.ndim == 4 else images[..., None]
    # A table of the 256 values of each channel: one pass over the data, no temporaries of its size.
    levels = np.arange(256) / 255
    table = [((levels - mean) / std).astype(np.float32) for mean, std in zip(*scale, strict=True)]
    return np.stack([table[c][channels_last[..., c]] for c in range(len(table))], axis=1)
