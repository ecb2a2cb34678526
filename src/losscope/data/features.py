"""Your own features as a data set: npz, npy, parquet or safetensors files with labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from losscope.data.coarse import Coarsened, several_only
from losscope.data.dataset import Dataset, class_labels, finite_float32
from losscope.data.folders import data_folder
from losscope.data.notes import named
from losscope.data.options import ClassSplit, Limit
from losscope.data.readers.arrays import read_arrays
from losscope.data.samples import Samples, Taken, split_samples
from losscope.data.splits import DISJOINT, Disjoint, Parts, parts_of, stratified_half, train_and_test
from losscope.errors import InvalidInput, MissingData

FEATURE_KEYS = ("features", "embeddings", "inputs", "x", "X", "array")
LABEL_KEYS = ("label", "labels", "targets", "y", "array")
TRAIN_KEY = "is_train"


def features(
    *,
    path: str,
    labels_path: str | None = None,
    features_key: str | None = None,
    labels_key: str | None = None,
    coarse_key: str | None = None,
    split: Literal["stratified_half", "given", Disjoint] = "stratified_half",
    class_split: ClassSplit = 0,
    limit: Limit = None,
    folder: Path | None = None,
) -> Dataset:
    """Splits `train`, `test`, `validation` if asked for: inputs (samples, ...) as stored.

    The name in tables is "features:FILE". `path` is relative to the working folder or the data folder. Keys name
    arrays or columns; without them the usual names are tried. `labels_path` is a second file for the labels:
    integers, or strings which become class names. "given" takes the boolean array `is_train`; `class_split` draws which
    classes a class-disjoint split trains on. `coarse_key` names coarser labels beside the labels: they are trained on, and
    the labels become fine ones. Raises MissingData, InvalidInput.
    """
    file = _find(path, folder)
    arrays = read_arrays(file)
    inputs = _pick(file, arrays, features_key, FEATURE_KEYS)
    label_file = _find(labels_path, folder) if labels_path else file
    label_arrays = read_arrays(label_file) if labels_path else arrays
    usual = LABEL_KEYS if labels_path else LABEL_KEYS[:-1]
    labels, class_names = _numbered(_pick(label_file, label_arrays, labels_key, usual))
    if labels.ndim != 1 or len(inputs) != len(labels):
        raise InvalidInput(
            f"{file} holds features {inputs.shape} and {label_file} labels {labels.shape}; expected one "
            "label for each row of features"
        )
    try:  # before rows are split, so that a message counts the rows of the file
        inputs, labels = finite_float32(inputs), class_labels(labels)
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None
    return split_samples(
        named(
            f"features:{file.stem}",
            "" if split == "stratified_half" else split,
            coarse=coarse_key,
            class_split=class_split,
        ),
        Samples(labels, lambda rows: Taken(inputs[rows], {"files": file.name}), None, class_names),
        parts_of(labels, split, class_split, lambda _: _within(split, file, {**label_arrays, **arrays}, labels)),
        split_protocol=split,
        class_split=class_split,
        limit=limit,
        coarse=_coarse(label_file, label_arrays, coarse_key, labels) if coarse_key else None,
    )


def _coarse(file: Path, arrays: dict[str, np.ndarray], key: str, fine: np.ndarray) -> Coarsened:
    labels, names = _numbered(_pick(file, arrays, key, ()))
    if labels.shape != fine.shape:
        raise InvalidInput(f"{file} holds {key} {labels.shape} and labels {fine.shape}; expected one of each a sample")
    try:
        coarse = class_labels(labels)
        return Coarsened(coarse, several_only(coarse, fine), names)
    except InvalidInput as error:
        raise InvalidInput(f"{file}: {error}") from None


def _find(path: str, folder: Path | None) -> Path:
    root = data_folder(folder)
    tried = [Path(path).expanduser(), *([root / path] if root else [])]
    for candidate in tried:
        if candidate.is_file():
            return candidate
    raise MissingData(
        f"a file of features or labels was not found. Looked for: {', '.join(map(str, tried))}. "
        "Name it relative to the working folder or the data folder, or absolutely"
    )


def _pick(file: Path, arrays: dict[str, np.ndarray], key: str | None, usual: Sequence[str]) -> np.ndarray:
    for name in [key] if key else usual:
        if name in arrays:
            return arrays[name]
    raise InvalidInput(
        f"{file} holds {', '.join(sorted(arrays)) or 'nothing'}; expected {key or ' or '.join(usual)}; name "
        "the array or column with features_key, labels_key or coarse_key"
    )


def _numbered(labels: np.ndarray) -> tuple[np.ndarray, tuple[str, ...]]:
    """Labels as they are if they are numbers, else the numbers of their sorted names, and these names."""
    if labels.dtype.kind not in "OUT":
        return labels, ()
    names, numbers = np.unique(labels.astype(str), return_inverse=True)
    return numbers, tuple(str(name) for name in names)


def _within(split: str, file: Path, arrays: dict[str, np.ndarray], labels: np.ndarray) -> Parts:
    """The parts of a split that may have the same classes on both sides."""
    if split == "stratified_half":
        return stratified_half(labels)
    given = arrays.get(TRAIN_KEY, np.empty(0))
    if given.shape != labels.shape or not np.isin(given, (0, 1)).all():
        raise InvalidInput(
            f"{file} has the arrays {', '.join(sorted(arrays))}; expected '{TRAIN_KEY}' among them, true or "
            f"false for each row; or set split to stratified_half, {' or '.join(DISJOINT)}"
        )
    return train_and_test(given.astype(bool))
