"""From a data set as read to the inputs of a protocol: scaling, outliers, and one stack for several seeds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from losscope.data.dataset import Dataset, Split
from losscope.errors import InvalidStudy
from losscope.seeds import generator
from losscope.study import Protocol
from losscope.types import OUTLIER

LABEL_NOISE = 0.1
"""Share of training labels that `labels = "noisy"` draws anew."""


def prepare(dataset: Dataset, protocol: Protocol) -> Dataset:
    """The data set as the protocol's runs see it: inputs scaled; outliers kept, made a class, or left out of training."""
    scale = _scaling(dataset, protocol)
    done: dict[int, np.ndarray] = {}  # splits that share inputs go on sharing them
    splits = {}
    for name, split in dataset.splits.items():
        if id(split.inputs) not in done:
            done[id(split.inputs)] = scale(split.inputs)
        splits[name] = _outliers(name, replace(split, inputs=done[id(split.inputs)]), protocol, dataset)
    return replace(dataset, splits=splits)


def _scaling(dataset: Dataset, protocol: Protocol) -> Callable[[np.ndarray], np.ndarray]:
    if protocol.inputs == "raw":
        return lambda inputs: inputs
    if protocol.inputs == "unit_length":
        return unit_length
    train = dataset.splits["train"].inputs
    center, spread = train.mean(0, dtype=np.float64), train.std(0, dtype=np.float64)
    spread[spread == 0] = 1  # a constant feature stays 0
    return lambda inputs: ((inputs - center) / spread).astype(np.float32)


def unit_length(inputs: np.ndarray) -> np.ndarray:
    """Every sample divided by its L2 norm; a sample of zeros stays zeros."""
    norms = np.linalg.norm(inputs.reshape(len(inputs), -1), axis=1)
    norms[norms == 0] = 1
    scaled: np.ndarray = (inputs / norms.reshape(-1, *[1] * (inputs.ndim - 1))).astype(np.float32)
    return scaled


def _outliers(name: str, split: Split, protocol: Protocol, dataset: Dataset) -> Split:
    if protocol.batch.outliers == "class":
        extra = max(int(other.labels.max()) for other in dataset.splits.values()) + 1
        return replace(split, labels=np.where(split.labels == OUTLIER, extra, split.labels))
    if protocol.batch.outliers == "drop" and name.startswith("train"):
        kept = split.labels != OUTLIER
        fine = None if split.fine is None else split.fine[kept]
        return split if kept.all() else Split(split.inputs[kept], split.labels[kept], fine)
    return split


def stack(datasets: list[Dataset], split: str) -> tuple[np.ndarray, np.ndarray, bool]:
    """Inputs and labels (runs, samples) of one split of several seeds, and whether all seeds share the inputs.

    Shared inputs are (samples, ...), others (runs, samples, ...).
    """
    parts = [dataset.splits[split] for dataset in datasets]
    labels = np.stack([part.labels for part in parts]) if len({len(part) for part in parts}) == 1 else None
    if labels is None:
        raise InvalidStudy(
            f"the seeds of {datasets[0].name} have {split} splits of different sizes "
            f"{sorted({len(part) for part in parts})}; runs that train together need equal sizes: "
            "repeat the command with --set protocol.chunk=1"
        )
    shared = all(part.inputs is parts[0].inputs for part in parts)
    return (parts[0].inputs if shared else np.stack([part.inputs for part in parts])), labels, shared


def told(datasets: Sequence[Dataset], protocol: Protocol, seeds: Sequence[int]) -> np.ndarray:
    """The labels (runs, samples) that training is told. Raises InvalidStudy where there are no clean ones."""
    if protocol.labels == "clean" and "train_clean" not in datasets[0].splits:
        raise InvalidStudy(
            f"protocol '{protocol.name}' trains on clean labels, but {datasets[0].name} has no split 'train_clean' "
            f"(it has {', '.join(datasets[0].splits)}); set labels = 'given', or limit the protocol's data"
        )
    split = "train_clean" if protocol.labels == "clean" else "train"
    labels = np.stack([dataset.splits[split].labels for dataset in datasets])
    change = {"shuffled": shuffled, "noisy": noisy}.get(protocol.labels)
    return change(labels, seeds) if change else labels


def shuffled(labels: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """The labels (runs, samples) of each run in an order of its seed's own: the same classes, told to nobody."""
    return np.stack(
        [generator(seed, "shuffled labels").permutation(row) for seed, row in zip(seeds, labels, strict=True)]
    )


def noisy(labels: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """The labels (runs, samples) of each run, each replaced with probability 0.1 by a class drawn uniformly, its own
    included, as in the synthetic data; outliers stay outliers."""
    return np.stack([_replaced(row, generator(seed, "label noise")) for seed, row in zip(seeds, labels, strict=True)])


def _replaced(labels: np.ndarray, chance: np.random.Generator) -> np.ndarray:
    replaced = (chance.random(len(labels)) < LABEL_NOISE) & (labels != OUTLIER)
    return np.where(replaced, chance.choice(np.unique(labels[labels != OUTLIER]), len(labels)), labels)
