"""A data set in memory: named splits of inputs and labels, with a fingerprint of their content."""

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
    """Samples with labels: inputs (samples, ...) float32 as the model takes them, labels (samples,) int64."""

    inputs: np.ndarray
    labels: np.ndarray

    def __post_init__(self) -> None:
        if self.labels.ndim != 1 or len(self.inputs) != len(self.labels):
            raise InvalidInput(
                f"inputs {self.inputs.shape} and labels {self.labels.shape} differ in length; "
                "expected one label for each sample"
            )

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Named splits of one data set.

    `train` is what losses train on; `train_clean` holds the same inputs with clean labels; `heldout`, `test`
    and `validation` are never trained on. `split_protocol` names how the splits were made, `note` is what a
    reader of any table must know about these data, `shares_classes` is False when the evaluation splits hold
    other classes than `train` (then no classifier can be fitted on `train` for them).
    """

    name: str
    splits: Mapping[str, Split]
    split_protocol: str
    class_names: tuple[str, ...] = ()
    note: str = ""
    shares_classes: bool = True
    source: Mapping[str, str] = field(default_factory=dict)  # provenance: file names, backbone, precision

    def __post_init__(self) -> None:
        object.__setattr__(self, "splits", MappingProxyType(dict(self.splits)))
        object.__setattr__(self, "source", MappingProxyType(dict(self.source)))
        if "train" not in self.splits:
            raise InvalidInput(
                f"data set '{self.name}' has the splits {sorted(self.splits)}; 'train' is required"
            )

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Shape of one sample."""
        return tuple(self.splits["train"].inputs.shape[1:])

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over split names, shapes, dtypes and bytes: equal content, equal fingerprint anywhere."""
        digest = hashlib.sha256()
        for name, split in sorted(self.splits.items()):
            for part in (split.inputs, split.labels):
                digest.update(f"{name}:{part.shape}:{part.dtype}".encode())
                digest.update(np.ascontiguousarray(part).data)
        return digest.hexdigest()
