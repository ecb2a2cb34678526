"""Frozen networks that turn images into features: a function per backbone and a line of BACKBONES.

A function takes `weights` (None for the default) and `size` (None for the network's own) and finds out what
the features depend on; the network itself is loaded only if they must be computed.
"""

from __future__ import annotations

from collections.abc import Callable

from losscope.data.backbones.backbone import Backbone
from losscope.data.backbones.cache import cached_features
from losscope.data.backbones.efficientnet_lite0 import efficientnet_lite0
from losscope.data.backbones.vit_b32 import vit_b32

__all__ = ["BACKBONES", "Backbone", "cached_features"]

BACKBONES: dict[str, Callable[[str | None, int | None], Backbone]] = {
    "efficientnet_lite0": efficientnet_lite0,
    "vit_b32": vit_b32,
}
