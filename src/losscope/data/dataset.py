"""A data set in memory: named splits of inputs and labels, checked once, with a fingerprint of their content.

Every source ends in these two classes, so their construction is the border where data are checked. What can't
be trained on or measured is InvalidInput: NaN or infinite inputs, labels that are no integers or below -1,
lengths that differ, splits without a class, and a `train` split that offers no negative pair (one class only)
or no positive pair (no class with two samples). Single classes with one sample are allowed: such a sample is
never half of a positive pair.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType

import numpy as np

from losscope.errors import InvalidInput
from losscope.types import OUTLIER as OUTLIER


@dataclass(frozen=True, eq=False)
class Split:
    """Samples with labels: inputs (samples, ...) float32 as the model takes them, labels (samples,) int64.

    `fine` (samples,) are labels that nothing trains on: classes within those of `labels`, -1 for a sample without such a
    class or of a class that holds no other. Other real and integer types are converted. Raises InvalidInput.
    """

    inputs: np.ndarray
    labels: np.ndarray
    fine: np.ndarray | None = None

    def __post_init__(self) -> None:
        inputs, labels = np.asarray(self.inputs), np.asarray(self.labels)
        if labels.ndim != 1 or inputs.ndim < 2 or len(inputs) != len(labels):
            raise InvalidInput(
                f"inputs have the shape {inputs.shape} and labels {labels.shape}; "
                "expected (samples, ...) and (samples,), one label for each sample"
            )
        if not inputs.size:
            raise InvalidInput(f"inputs have the shape {inputs.shape}; expected at least one sample")
        object.__setattr__(self, "inputs", finite_float32(inputs))
        object.__setattr__(self, "labels", class_labels(labels))
        if self.fine is not None:
            fine = np.asarray(self.fine)
            if fine.shape != labels.shape:
                raise InvalidInput(
                    f"fine labels have the shape {fine.shape} and labels {labels.shape}; expected one each"
                )
            object.__setattr__(self, "fine", class_labels(fine))

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Named splits of one data set.

    `train` is what losses train on; `train_clean` holds the same inputs with clean labels; `heldout`, `test`
    and `validation` are never trained on. `split_protocol` names how the splits were made, `note` is what a
    reader of any table must know about these data, `shares_classes` is False when the evaluation splits hold
    other classes than `train` (then no classifier can be fitted on `train` for them). `recipe` states all
    that the inputs were computed from where their last bits depend on the machine (features of a backbone).
    Raises InvalidInput for what the module's docstring lists.
    """

    name: str
    splits: Mapping[str, Split]
    split_protocol: str
    class_names: tuple[str, ...] = ()
    note: str = ""
    shares_classes: bool = True
    source: Mapping[str, str] = field(default_factory=dict)  # provenance: file names, backbone, precision
    recipe: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", MappingProxyType(dict(self.splits)))
        object.__setattr__(self, "source", MappingProxyType(dict(self.source)))
        _check_splits(self.name, self.splits)
        _check_fine(self.name, self.splits)

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.splits["train"].inputs.shape[1:])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over split names, shapes, dtypes and bytes: equal content, equal fingerprint anywhere.

        A `recipe` stands in for the bytes of the inputs, so that features computed on two machines are equal.
        """
        digest = hashlib.sha256(self.recipe.encode())
        for name, split in sorted(self.splits.items()):
            for part in (split.inputs, split.labels, *(() if split.fine is None else (split.fine,))):
                digest.update(f"{name}:{part.shape}:{part.dtype}".encode())
                if not (self.recipe and part is split.inputs):
                    digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()


def finite_float32(inputs: np.ndarray) -> np.ndarray:
    """Inputs (samples, ...) as float32. Raises InvalidInput if they are no real numbers, NaN or infinite."""
    if inputs.dtype.kind not in "fiub":
        raise InvalidInput(f"inputs have the type {inputs.dtype}; expected real numbers")
    with np.errstate(over="ignore"):  # an overflow becomes infinite and is reported below
        inputs = inputs.astype(np.float32, copy=False)
    finite = np.isfinite(inputs)
    if not finite.all():
        rows = np.flatnonzero(~finite.reshape(len(inputs), -1).all(axis=1))
        raise InvalidInput(
            f"inputs are NaN or infinite in {len(rows)} of {len(inputs)} samples, first in row {rows[0]}; "
            "expected finite float32 values; remove or repair these rows"
        )
    return inputs


def class_labels(labels: np.ndarray) -> np.ndarray:
    """Labels (samples,) as int64. Raises InvalidInput if they are no integers or below -1."""
    if labels.dtype.kind not in "iu":
        raise InvalidInput(f"labels have the type {labels.dtype}; expected integers, one number per class")
    labels = labels.astype(np.int64, copy=False)
    if labels.min(initial=OUTLIER) < OUTLIER:
        raise InvalidInput(
            f"labels hold {labels.min()}; expected classes from 0 on, {OUTLIER} for a sample of no class"
        )
    return labels


def _check_splits(name: str, splits: Mapping[str, Split]) -> None:
    if "train" not in splits:
        raise InvalidInput(f"data set '{name}' has the splits {sorted(splits)}; 'train' is required")
    shapes = {split: samples.inputs.shape[1:] for split, samples in splits.items()}
    if len(set(shapes.values())) > 1:
        raise InvalidInput(f"data set '{name}' has samples of different shapes: {shapes}; expected one shape")
    for split, samples in splits.items():
        if (samples.labels == OUTLIER).all():
            raise InvalidInput(f"data set '{name}': all {len(samples)} labels of '{split}' are {OUTLIER}; "
                               "expected classes, outliers belong to none")  # fmt: skip
    labels = splits["train"].labels
    classes, sizes = np.unique(labels[labels != OUTLIER], return_counts=True)
    if len(classes) < 2:
        raise InvalidInput(
            f"data set '{name}': 'train' holds the single class {classes[0]}; expected at least two, "
            "else there is no negative pair"
        )
    if sizes.max() < 2:
        raise InvalidInput(
            f"data set '{name}': each of the {len(classes)} classes of 'train' has one sample; expected a "
            "class with at least two, else there is no positive pair"
        )


def _check_fine(name: str, splits: Mapping[str, Split]) -> None:
    given = [split for split, samples in splits.items() if samples.fine is not None]
    if not given:
        return
    if len(given) < len(splits):
        raise InvalidInput(f"data set '{name}' has fine labels in {given} of the splits {sorted(splits)}; expected all")
    pairs = np.concatenate([np.stack([part.fine, part.labels]) for part in splits.values() if part.fine is not None], 1)
    nested = np.unique(pairs[:, pairs[0] != OUTLIER], axis=1)
    fine, parents = np.unique(nested[0], return_counts=True)
    if (parents > 1).any():
        raise InvalidInput(
            f"data set '{name}': fine class {fine[parents > 1][0]} lies in {parents.max()} classes; expected each "
            "within one"
        )
