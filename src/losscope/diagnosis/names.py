"""What rows and classes are called, and how rows look: texts, paths to images, or images themselves."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from losscope.diagnosis.embeddings import column_of, located
from losscope.diagnosis.reading import open_columns
from losscope.errors import InvalidInput, MissingData
from losscope.files import read_json

NAME_KEYS = ("name", "names", "path", "file", "file_name", "filename", "id", "image_id", "text", "title")
SIDE = 96
"""Pixels of the longer side of a picture in the page."""
ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".gif")


@dataclass(frozen=True, eq=False)
class Names:
    """Names of rows, and their pictures where names are paths of images or images were given."""

    texts: pa.Array | None = None  # string (rows,)
    images: pa.ChunkedArray | None = None  # struct with bytes (rows,)
    folder: Path = Path()

    def picture(self, row: int) -> bytes | None:
        """A small JPEG of the row; None where there is no picture, or no package pillow to make it small."""
        found = self.images[row].as_py() if self.images is not None else None
        content = found.get("bytes") if found else None
        if content is None and self.texts is not None:
            path = self.folder / (self.texts[row].as_py() or "")
            try:
                if path.suffix.lower() in ENDINGS and path.is_file():
                    content = path.read_bytes()
            except (OSError, ValueError):  # too long for a path, no right to read it, a zero character
                return None
        return None if content is None else _small(content)


def row_names(given: Any, count: int) -> Names:
    """Names of `count` rows from a list, or a file (text, csv, parquet with texts or images). Raises InvalidInput."""
    if given is None:
        return Names()
    if not isinstance(given, str | Path):
        return _checked(Names(pa.array([str(one) for one in given])), count)
    path, key = located(given)
    columns = open_columns(path)
    wanted = [column_of(columns, key)] if key else [*columns.names]
    images = texts = None
    for name in wanted:
        if not columns.table and not key and len(wanted) > 1 and name not in NAME_KEYS:
            continue
        column: Any = columns.take(name)
        kind = getattr(column, "type", None)
        if kind is not None and pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0:
            images = column
        elif texts is None and (key or name in NAME_KEYS or len(wanted) == 1):
            texts = pa.array(
                [("" if one is None else str(one)) for one in (column.to_pylist() if kind is not None else column)]
            )
    if images is None and texts is None:
        raise InvalidInput(f"{path} holds {columns.listed}; expected names of rows: one of "
                           f"{', '.join(NAME_KEYS)}, or {path.name}::NAME")  # fmt: skip
    return _checked(Names(texts, images, path.parent), count)


def class_names(given: Any) -> Sequence[str] | dict[str, str] | None:
    """Names of classes: a list by number, a mapping by label, or a JSON file with either. Raises InvalidInput."""
    if isinstance(given, str | Path):
        path = Path(given).expanduser()
        if not path.is_file():
            raise MissingData(f"{path} was not found; expected a JSON file with a list of class names or a mapping")
        given = read_json(path)
    if given is None or isinstance(given, list | tuple):
        return given
    if isinstance(given, dict):
        return {str(label): str(name) for label, name in given.items()}
    raise InvalidInput(f"class names are of the type {type(given).__name__}; expected a list by number or a mapping")


def _checked(names: Names, count: int) -> Names:
    for part in (names.texts, names.images):
        if part is not None and len(part) != count:
            raise InvalidInput(f"{len(part):,} names for {count:,} rows; expected one for each row")
    return names


def _small(content: bytes) -> bytes | None:
    try:
        from PIL import Image
    except ImportError:
        return None
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (2 * SIDE, 2 * SIDE))
            shown = image.convert("RGB")
            shown.thumbnail((SIDE, SIDE))
    except Exception:  # a picture that can't be decoded is not shown; the numbers don't depend on it
        return None
    written = io.BytesIO()
    shown.save(written, "JPEG", quality=80)
    return written.getvalue()
