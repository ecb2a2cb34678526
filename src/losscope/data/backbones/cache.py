"""Features of a frozen backbone: computed once, then read from the cache.

A file of the cache is named after all that its features depend on (backbone, weights, preparation, precision,
images) and carries that key and a digest of its content. A file that does not match both is computed anew.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from losscope.data.backbones.backbone import Backbone
from losscope.data.decoding import decode
from losscope.data.folders import cache_folder
from losscope.data.options import Precision
from losscope.data.pictures import Pictures
from losscope.data.pixels import scaled
from losscope.data.progress import Progress
from losscope.files import atomic

BATCH = 64


def cached_features(
    backbone: Backbone,
    pictures: Pictures,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    progress: Progress | None = None,
) -> tuple[np.ndarray, str]:
    """Features (images, dim) float32 of all pictures, and the recipe they were computed by (canonical JSON).

    The recipe leaves the device out: the last bits depend on it, a study's identity does not.
    """
    recipe = {
        "backbone": backbone.name,
        "weights": backbone.weights_sha256,
        "fit": repr(backbone.fit),
        "scale": repr(tuple(backbone.scale)),
        "precision": precision,
        "images": pictures.digest(),
    }
    key = json.dumps(recipe, sort_keys=True)
    name = f"{backbone.name}-{hashlib.sha256(key.encode()).hexdigest()[:24]}.safetensors"
    path = cache_folder() / "features" / name
    found = _read(path, key)
    if found is None:
        found = compute_features(backbone, pictures, precision=precision, device=device, progress=progress)
        _write(path, key, found)
    return found, key


def compute_features(
    backbone: Backbone,
    pictures: Pictures,
    *,
    precision: Precision = "float32",
    device: str = "cpu",
    progress: Progress | None = None,
) -> np.ndarray:
    """Features (images, dim) float32, in batches; the global random state is left as it was."""
    import torch

    with torch.random.fork_rng(devices=[]):  # building a network draws the weights that loading replaces
        network = backbone.load()
    number: torch.dtype = getattr(torch, precision)
    network = network.eval().to(device, number)
    rows = []
    for start in range(0, len(pictures), BATCH):
        batch = pictures.take(np.arange(start, min(start + BATCH, len(pictures))))
        images = torch.from_numpy(scaled(decode(batch, backbone.fit), backbone.scale))
        images = images.to(device, number, memory_format=torch.channels_last)
        # TF32 would make "float32" on a GPU something else than on a CPU.
        with torch.inference_mode(), torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
            rows.append(network(images).float().cpu().numpy())
        if progress:
            progress(f"features of {backbone.name}", start + len(batch), len(pictures))
    return np.concatenate(rows)


def _write(path: Path, key: str, array: np.ndarray) -> None:
    from safetensors.numpy import save_file

    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic(path) as part:
        save_file({"features": array}, part, metadata={"key": key, "sha256": _digest(array)})


def _read(path: Path, key: str) -> np.ndarray | None:
    """The features of a cached file, or None unless it is whole and made from `key`."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            metadata: Mapping[str, str] = file.metadata() or {}
            array: np.ndarray = file.get_tensor("features")
    except (OSError, SafetensorError):
        return None
    whole = metadata.get("key") == key and metadata.get("sha256") == _digest(array)
    return array if whole else None


def _digest(array: np.ndarray) -> str:
    return hashlib.sha256(np.ascontiguousarray(array).data).hexdigest()
