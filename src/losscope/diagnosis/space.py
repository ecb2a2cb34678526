"""The border: embeddings and labels, checked once, as everything behind it needs them.

Policies. A row with NaN or an infinite value is an error that names it. A zero row has no direction: under cosine
similarity it keeps similarity 0 to everything, stays in the gallery, and is counted in a note. A row without a class is
in the gallery, never a query. Rows whose numbers overflow float32 are an error, as infinite ones are.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from losscope.diagnosis.labels import Classes, Labels, encode
from losscope.diagnosis.reading import Columns, open_columns
from losscope.diagnosis.reading.matrices import is_list, is_number
from losscope.errors import InvalidInput

Similarity = Literal["cosine", "euclidean", "inner_product"]
SIMILARITIES: tuple[Similarity, ...] = ("cosine", "euclidean", "inner_product")

EMBEDDING_KEYS = (
    "embeddings",
    "embedding",
    "features",
    "feature",
    "vectors",
    "vector",
    "emb",
    "inputs",
    "x",
    "X",
    "array",
)
ROW_KEYS = ("id", "index", "row", "__index_level_0__", "unnamed: 0", "")
"""Names of columns that number rows, as tables are often saved with; never dimensions."""
LABEL_KEYS = ("labels", "label", "targets", "target", "classes", "class", "y")
SEPARATOR = "::"
"""Between a file and the name of an array or column in it."""
AS_FIRST = object()
"""In place of labels: those of the first space."""
CHUNK = 16_384
"""Rows that are looked at together."""
MOST_DIM = 8_192
"""Dimensions at most: matrices (dim, dim) are made, of half a gigabyte each at this size."""


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
        zero_rows = _check_rows(embeddings, what)
        checked.append(Space(embeddings, labels, columns.path.name if columns else "array", zero_rows, notes))
    if len(classes) < 2:
        only = f"the single class '{classes.names[0]}'" if len(classes) else "no class at all"
        raise InvalidInput(
            f"the labels hold {only}; expected at least two classes, else there is nothing to tell apart"
        )
    return classes, checked


def located(given: str | Path) -> tuple[Path, str | None]:
    """File and the name within it, from FILE or FILE::NAME."""
    text = str(given)
    if SEPARATOR in text and not Path(text).expanduser().exists():
        file, _, name = text.rpartition(SEPARATOR)
        return Path(file).expanduser(), name
    return Path(text).expanduser(), None


def column_of(columns: Columns, name: str) -> str:
    """`name` if the file has it. Raises InvalidInput with the names that there are."""
    if name not in columns.names:
        raise InvalidInput(f"{columns.path} has no '{name}'; it holds {columns.listed}")
    return name


def _embeddings(
    given: Any, what: str, labels: Collection[str | None]
) -> tuple[np.ndarray, Columns | None, tuple[str, ...]]:
    """The matrix, the file that it is from, and notes; `labels` are names of columns that hold no dimension."""
    columns: Columns | None = None
    notes: tuple[str, ...] = ()
    if isinstance(given, str | Path):
        path, name = located(given)
        columns = open_columns(path)
        array, notes = _matrix(columns, name, labels)
    else:
        array = (
            given.detach().cpu().float().numpy()
            if hasattr(given, "detach") and given.dtype.itemsize == 2
            else (given.detach().cpu().numpy() if hasattr(given, "detach") else np.asarray(given))
        )
    if array.ndim != 2 or not array.size:
        raise InvalidInput(f"{what} have the shape {array.shape}; expected (rows, dim) with at least one of each")
    if array.dtype.kind not in "fiu":
        raise InvalidInput(f"{what} have the type {array.dtype}; expected real numbers")
    if array.shape[1] > MOST_DIM:
        raise InvalidInput(
            f"{what} have {array.shape[1]:,} dimensions; expected at most {MOST_DIM:,}: project them first, for example "
            "on principal components"
        )
    if array.dtype.kind in "iu":
        array = array.astype(np.float32)
    elif array.dtype.itemsize > 8:  # long double
        with np.errstate(over="ignore"):  # what becomes infinite is told by row
            array = array.astype(np.float64)
    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if any(stride < 0 or stride % array.itemsize for stride in array.strides):  # as a tensor can't have them
        array = np.ascontiguousarray(array)
    return array, columns, notes


def _matrix(columns: Columns, name: str | None, labels: Collection[str | None]) -> tuple[np.ndarray, tuple[str, ...]]:
    if name is not None:
        return columns.matrix(column_of(columns, name)), ()
    usual = [key for key in EMBEDDING_KEYS if key in columns.names]
    if not columns.table:
        for key in usual or columns.names:
            array = columns.matrix(key)
            if (array.ndim == 2 and array.dtype.kind == "f") or key in usual:
                return array, ()
        raise InvalidInput(f"{columns.path} holds {columns.listed} and none of it is a matrix of "
                           f"real numbers; name it: {columns.path.name}{SEPARATOR}NAME")  # fmt: skip
    if usual:
        return columns.matrix(usual[0]), ()
    return _spread(columns, labels)


def _spread(columns: Columns, labels: Collection[str | None]) -> tuple[np.ndarray, tuple[str, ...]]:
    """A matrix that a table spreads over its numeric columns, with a note of which; labels and row numbers left out.

    Among columns of fractions, one of whole numbers is a number or code of the row, not a dimension.
    """
    numeric: dict[str, Any] = {}
    for name in columns.names:
        column: Any = columns.take(name)
        if is_list(column.type) and is_number(column.type.value_type) and name not in labels:
            return columns.matrix(name), ()
        if is_number(column.type):
            numeric[name] = column
    left_out = {*labels, *LABEL_KEYS} | {name for name in numeric if name.lower() in ROW_KEYS}
    fractions = {name for name, column in numeric.items() if pa.types.is_floating(column.type)} - left_out
    kept = {name: column for name, column in numeric.items() if name not in left_out and name in (fractions or numeric)}
    for name, column in kept.items():
        if column.null_count:
            row = int(np.flatnonzero(column.is_null().to_numpy())[0])
            raise InvalidInput(f"{columns.path} has no number in row {row} of '{name}'; expected one in each row")
    if not kept:
        raise InvalidInput(f"{columns.path} holds {columns.listed} and no numbers; expected "
                           f"a column of lists, or numeric columns; name it: {columns.path.name}{SEPARATOR}NAME")  # fmt: skip
    without = [name for name in numeric if name not in kept]
    note = f"{columns.path.name}: {len(kept):,} numeric columns are the dimensions, {_span([*kept])}"
    return np.stack([column.to_numpy() for column in kept.values()], axis=1), (
        note + (f"; {_span(without)} left out, as labels or whole numbers." if without else "."),
    )


def _span(names: Sequence[str]) -> str:
    """Names for a note: all of a few, else the first and the last."""
    return ", ".join(names) if len(names) <= 4 else f"{names[0]} to {names[-1]}"


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


def _check_rows(embeddings: np.ndarray, what: str) -> int:
    """Number of zero rows. Raises InvalidInput naming rows that are not finite in float32."""
    bad: list[int] = []
    zero = 0
    for start in range(0, len(embeddings), CHUNK):
        with np.errstate(over="ignore"):
            chunk = embeddings[start : start + CHUNK].astype(np.float32, copy=False)
        if not np.isfinite(chunk.sum(dtype=np.float64)):
            bad.extend((start + np.flatnonzero(~np.isfinite(chunk).all(1))).tolist())
        zero += int((~chunk.any(1)).sum())
    if bad:
        shown = ", ".join(map(str, bad[:5])) + (", ..." if len(bad) > 5 else "")
        raise InvalidInput(f"{what} are NaN or infinite in {len(bad):,} of {len(embeddings):,} rows (row {shown}, counted "
                           "from 0); expected finite numbers: remove or repair these rows")  # fmt: skip
    return zero
