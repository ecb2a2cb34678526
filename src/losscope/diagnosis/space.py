"""The border: embeddings and labels, checked once, as everything behind it needs them.

Policies. A row with NaN or an infinite value is an error that names it. A zero row has no direction: under cosine
similarity it keeps similarity 0 to everything, stays in the gallery, and is counted in a note. A row without a class is
in the gallery, never a query. Rows whose numbers overflow float32 are an error, as infinite ones are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np

from losscope.diagnosis.embeddings import LABEL_KEYS, SEPARATOR, check_rows, column_of, located, typed
from losscope.diagnosis.labels import Classes, Labels, encode, joined
from losscope.diagnosis.reading import Columns, open_columns
from losscope.diagnosis.reading.stored import WHOLE, Stored
from losscope.diagnosis.shards import decoded, files_of, open_shards
from losscope.errors import InvalidInput

Similarity = Literal["cosine", "euclidean", "inner_product"]
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "euclidean", "inner_product")

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

    embeddings: Any  # an array, Stored or Shards: rows come by slices and by arrays of row numbers
    labels: Labels
    source: str
    zero_rows: int
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.embeddings)


def spaces(*given: tuple[Any, Any, str], class_names: Any = None) -> tuple[Classes, list[Space]]:
    """Checked spaces with classes in common, from (embeddings, labels, what to call them).

    Embeddings and labels are arrays, files, patterns of file names (in the order of these) or lists of paths; labels may
    also be the name of a column beside the embeddings. Raises InvalidInput, MissingData.
    """
    named = {
        name for _, labels, _ in given if isinstance(labels, str | Path) for name in (str(labels), located(labels)[1])
    }
    found = [_opened(embeddings, what, named) for embeddings, _, what in given]
    raw = [
        (_labels(labels, opened.columns, what), f"labels of {what}")
        for opened, (_, labels, what) in zip(found, given, strict=True)
        if labels is not AS_FIRST
    ]
    classes, own = encode(*raw, names=class_names)
    each = iter(own)
    encoded = [own[0] if labels is AS_FIRST else next(each) for _, labels, _ in given]
    checked = []
    for opened, (_, given_labels, what), labels in zip(found, given, encoded, strict=True):
        embeddings = opened.matrix
        if len(labels) != len(embeddings):
            if given_labels is AS_FIRST:
                raise InvalidInput(f"{len(labels):,} rows of embeddings against {len(embeddings):,}; expected the same rows "
                                   "in the same order in both, else no query can be paired")  # fmt: skip
            raise InvalidInput(
                f"{what}: {len(embeddings):,} rows of embeddings and {len(labels):,} labels; expected one label for each row"
            )
        checked.append(Space(embeddings, labels, opened.source, opened.zero_rows, opened.notes))
    if len(classes) < 2:
        only = f"the single class '{classes.names[0]}'" if len(classes) else "no class at all"
        raise InvalidInput(
            f"the labels hold {only}; expected at least two classes, else there is nothing to tell apart"
        )
    return classes, checked


class _Opened(NamedTuple):
    """Embeddings as they were given, opened: the matrix, the files' columns, notes, how many rows are zero."""

    matrix: Any
    columns: tuple[Columns, ...]
    notes: tuple[str, ...]
    zero_rows: int
    source: str


def _opened(given: Any, what: str, labels: Collection[str | None]) -> _Opened:
    """`labels` are names of columns that hold no dimension."""
    path, name = located(given) if isinstance(given, str | Path) else (given, None)
    files = files_of(path)
    if files is not None:
        shards, columns, notes, zero_rows = open_shards(files, name, labels, what)
        return _Opened(
            shards, tuple(columns), notes, zero_rows, f"{len(files):,} files, {files[0].name} to {files[-1].name}"
        )
    if not isinstance(given, str | Path):
        matrix = typed(given, what)
        return _Opened(matrix, (), (), check_rows(matrix, what), "array")
    matrix, one, notes = decoded(path, name, labels, what)
    if isinstance(matrix, Stored) and matrix.nbytes <= WHOLE:
        matrix = np.asarray(matrix)
    return _Opened(matrix, (one,), notes, check_rows(matrix, what), path.name)


def _labels(given: Any, beside: Sequence[Columns], what: str) -> Any:
    """Labels of all rows; of files, joined in the order of these. `beside`: the files of the embeddings."""
    if given is None:
        for key in LABEL_KEYS:
            if beside and key in beside[0].names:
                return _column(beside, key, what)
        raise InvalidInput(f"{what} have no labels; expected a file, an array, or the name of a column beside them")
    if beside and isinstance(given, str | Path) and str(given) in beside[0].names:
        return _column(beside, str(given), what)
    path, name = located(given) if isinstance(given, str | Path) else (given, None)
    files = files_of(path) if isinstance(given, str | Path) or _are_paths(given) else None
    if files is None and not isinstance(given, str | Path):
        return given
    return joined([_of_file(one, name) for one in files or [path]], what)


def _are_paths(given: Any) -> bool:
    """Whether it is a list of paths; strings are labels."""
    return isinstance(given, list | tuple) and all(isinstance(one, Path) for one in given)


def _column(files: Sequence[Columns], name: str, what: str) -> Any:
    return joined([one.take(column_of(one, name)) for one in files], what)


def _of_file(path: Path, name: str | None) -> Any:
    columns = open_columns(path)
    if name is not None:
        return columns.take(column_of(columns, name))
    named = [key for key in (*LABEL_KEYS, "array") if key in columns.names]
    if not named and len(columns.names) != 1:
        raise InvalidInput(f"{path} holds {columns.listed}; which are the labels? Name them: "
                           f"{path.name}{SEPARATOR}NAME")  # fmt: skip
    return columns.take((named or columns.names)[0])
