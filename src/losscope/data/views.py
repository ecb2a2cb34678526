"""Pictures as samples: their pixels, the features of a frozen backbone, or features that a file holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from losscope.data.backbones import BACKBONES, cached_features
from losscope.data.decoding import Fit, decode, short_side
from losscope.data.folders import locate
from losscope.data.options import Precision, ViewOrFile
from losscope.data.pictures import Pictures
from losscope.data.pixels import PixelScale, scaled
from losscope.data.progress import Progress
from losscope.data.readers.arrays import read_arrays
from losscope.data.samples import Samples, Taken
from losscope.errors import InvalidInput, InvalidStudy


@dataclass(frozen=True)
class Viewing:
    """The options that say what the samples of an image data set are, and what computing them takes."""

    backbone: ViewOrFile
    weights: str | None
    precision: Precision
    size: int | None
    device: str = "cpu"
    progress: Progress | None = None

    def __post_init__(self) -> None:
        if self.weights and self.backbone not in BACKBONES:
            raise InvalidStudy(
                f"backbone_weights is set and backbone is '{self.backbone}'; expected one of {', '.join(BACKBONES)}"
            )
        if self.size and self.backbone == "precomputed":
            raise InvalidStudy("size is set and backbone is 'precomputed'; the file's features have theirs")


def picture_samples(
    pictures: Pictures,
    viewing: Viewing,
    *,
    scale: PixelScale,
    files: Sequence[Path],
    is_train: np.ndarray | None = None,
) -> Samples:
    """Samples that are decoded, or computed by a backbone, once the rows to keep are known.

    Pixels have as many channels as `scale`; one is enough for gray images, whose three are equal.
    """
    names = {"files": ", ".join(path.name for path in files)}

    def pixels(rows: np.ndarray) -> Taken:
        fit = Fit(viewing.size) if viewing.size else None
        rgb = decode(pictures.take(rows), fit, viewing.progress)
        return Taken(scaled(rgb[..., : len(scale.mean)], scale), names)

    def computed(rows: np.ndarray) -> Taken:
        kept = pictures.take(rows)
        backbone = BACKBONES[viewing.backbone](viewing.weights, viewing.size)
        found, recipe = cached_features(
            backbone, kept, precision=viewing.precision, device=viewing.device, progress=viewing.progress
        )
        side, size = short_side(kept), backbone.fit.size
        source = {
            **names,
            "backbone": backbone.name,
            "weights": backbone.weights,
            "weights_sha256": backbone.weights_sha256,
            "precision": viewing.precision,
            "size": str(size),
        }
        note = f"images of {side} px (median shorter side) enlarged to {size} px" if side < size else ""
        return Taken(found, source, note, recipe)

    take = pixels if viewing.backbone == "pixels" else computed
    return Samples(pictures.labels, take, is_train, pictures.class_names)


def given_split(samples: Samples, dataset: str, advice: str) -> np.ndarray:
    """Which samples the data set's own split trains on (samples,) bool. Raises InvalidInput if features lack it."""
    if samples.is_train is None:
        raise InvalidInput(f"the precomputed features of {dataset} have no 'is_train'; {advice}")
    return samples.is_train


def precomputed_path(dataset: str, folder: Path | None) -> Path:
    """`features/DATASET_efficientnet_lite0_224.npz` of the data folder. Raises MissingData."""
    file = f"features/{dataset}_efficientnet_lite0_224.npz"
    how = "Or compute features from the images, once, with backbone='efficientnet_lite0'."
    return locate(f"the file of precomputed features of {dataset}", [file], folder, how)[0]


def precomputed_samples(dataset: str, folder: Path | None) -> Samples:
    """The features of a file of the data folder.

    Its arrays: features (samples, dim), label (samples,), is_train (samples,) bool if a split is given.
    Raises MissingData, InvalidInput.
    """
    path = precomputed_path(dataset, folder)
    arrays = read_arrays(path)
    if missing := {"features", "label"} - arrays.keys():
        raise InvalidInput(
            f"{path} holds {', '.join(sorted(arrays))}; expected {' and '.join(sorted(missing))} as well"
        )
    found, labels, is_train = arrays["features"], arrays["label"], arrays.get("is_train")
    if any(len(array) != len(labels) for array in (found, labels if is_train is None else is_train)):
        raise InvalidInput(f"the arrays of {path} differ in length; expected one row for each sample")
    source = {"files": path.name, "backbone": "precomputed"}
    note = f"features read from {path.name}, not computed here"
    return Samples(
        labels,
        lambda rows: Taken(found[rows], source, note),
        None if is_train is None else is_train.astype(bool),
    )
