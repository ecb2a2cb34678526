"""The border: embeddings and labels, checked once, as everything behind it needs them.

Policies. A row with NaN or an infinite value is an error that names it. A zero row has no direction: under cosine
similarity it keeps similarity 0 to everything, stays in the gallery, and is counted in a note. A row without a class is
in the gallery, never a query. Rows whose numbers overflow float32 are an error, as infinite ones are.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from losscope.diagnosis.embeddings import SEPARATOR, check_rows, column_of, located, matrix_of, typed
from losscope.diagnosis.labels import Classes, Labels, encode
from losscope.diagnosis.reading import Columns, open_columns
from losscope.diagnosis.reading.stored import WHOLE, Stored
from losscope.errors import InvalidInput

Similarity = Literal["cosine", "euclidean", "inner_product"]
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "euclidean", "inner_product")

LABEL_KEYS = ("labels", "label", "targets", "target", "classes", "class", "y")
AS_FIRST = object()
"""In place of labels: those of the first space."""


def measured_by(similarity: Similarity) -> Literal["cosine", "euclidean"]:
    """The distances by which geometry is measured: those of unit vectors under cosine, else of rows as they are."""
    return "cosine" if similarity == "cosine" else "euclidean"


@dataclass(frozen=True, eq=False)
class Space:
    """Embeddings (rows, dim) of a float type with the labels of their rows. `zero_rows`: how many are all zero.

    `notes` say how the embeddings were read, where that was a choice.
    """

    embeddings: np.ndarray
    labels: Labels
    source: str
    zero_rows: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.embeddings)


def spaces(*given: tuple[Any, Any, str], class_names: Any = None) -> tuple[Classes, list[Space]]:
    """Checked spaces with classes in common, from (embeddings, labels, what to call them).

    Embeddings and labels are arrays or files; labels may also be the name of a column beside the embeddings. Raises
    InvalidInput, MissingData.
    """
    named = {
        name for _, labels, _ in given if isinstance(labels, str | Path) for name in (str(labels), located(labels)[1])
    }
    found = [(*_embeddings(embeddings, what, named), labels, what) for embeddings, labels, what in given]
    raw = [
        (_labels(labels, columns, what), f"labels of {what}")
        for _, columns, _, labels, what in found
        if labels is not AS_FIRST
    ]
    classes, own = encode(*raw, names=class_names)
    each = iter(own)
    encoded = [own[0] if labels is AS_FIRST else next(each) for *_, labels, _ in found]
    checked = []
    for (embeddings, columns, notes, given_labels, what), labels in zip(found, encoded, strict=True):
        if len(labels) != len(embeddings):
            if given_labels is AS_FIRST:
                raise InvalidInput(f"{len(labels):,} rows of embeddings against {len(embeddings):,}; expected the same rows "
                                   "in the same order in both, else no query can be paired")  # fmt: skip
            raise InvalidInput(
                f"{what}: {len(embeddings):,} rows of embeddings and {len(labels):,} labels; expected one label for each row"
            )
        zero_rows = check_rows(embeddings, what)
        checked.append(Space(embeddings, labels, columns.path.name if columns else "array", zero_rows, notes))
    if len(classes) < 2:
        only = f"the single class '{classes.names[0]}'" if len(classes) else "no class at all"
        raise InvalidInput(
            f"the labels hold {only}; expected at least two classes, else there is nothing to tell apart"
        )
    return classes, checked


def _embeddings(given: Any, what: str, labels: Collection[str | None]) -> tuple[Any, Columns | None, tuple[str, ...]]:
    """The matrix, the file that it is from, and notes; `labels` are names of columns that hold no dimension."""
    if not isinstance(given, str | Path):
        return typed(given, what), None, ()
    path, name = located(given)
    columns = open_columns(path)
    matrix, notes = matrix_of(columns, name, labels)
    found = typed(matrix, what)
    return np.asarray(found) if isinstance(found, Stored) and found.nbytes <= WHOLE else found, columns, notes


def _labels(given: Any, beside: Columns | None, what: str) -> Any:
    if given is None:
        if beside is not None:
            for key in LABEL_KEYS:
                if key in beside.names:
                    return beside.take(key)
        raise InvalidInput(f"{what} have no labels; expected a file, an array, or the name of a column beside them")
    if not isinstance(given, str | Path):
        return given
    if beside is not None and str(given) in beside.names:
        return beside.take(str(given))
    path, name = located(given)
    columns = open_columns(path)
    if name is not None:
        return columns.take(column_of(columns, name))
    named = [key for key in (*LABEL_KEYS, "array") if key in columns.names]
    if not named and len(columns.names) != 1:
        raise InvalidInput(f"{path} holds {columns.listed}; which are the labels? Name them: "
                           f"{path.name}{SEPARATOR}NAME")  # fmt: skip
    return columns.take((named or columns.names)[0])
