"""Parquet in the schema of Hugging Face datasets: an image column struct{bytes, path} and a label column.

Which columns these are and what the classes are called stands in the schema's metadata; without it the usual
column names are tried and classes are called by their numbers.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from losscope.data.pictures import Pictures, joined
from losscope.errors import InvalidInput

if TYPE_CHECKING:
    import pyarrow as pa

IMAGE_COLUMNS, LABEL_COLUMNS = ("image", "img"), ("label", "labels", "fine_label")


def read_image_parquet(paths: Sequence[Path]) -> Pictures:
    """The images and labels of parquet files in row order. Raises InvalidInput naming the file."""
    return joined(_read(path) for path in paths)


def parquet_size(path: Path) -> tuple[int, int]:
    """Number of rows and of named classes (0: not named), from the footer alone. Raises InvalidInput."""
    import pyarrow.parquet as pq

    with damage_named(path):
        footer = pq.ParquetFile(path)
        return footer.metadata.num_rows, len(_class_names(_features(footer.schema_arrow)))


@contextmanager
def damage_named(path: Path) -> Iterator[None]:
    """Whatever pyarrow raises inside becomes InvalidInput that names the file."""
    try:
        yield
    except InvalidInput:
        raise
    except Exception as error:  # Arrow's own, OSError, ValueError, KeyError: whatever its parsers meet
        raise InvalidInput(f"{path} can't be read ({error}); expected a whole parquet file; fetch it again") from None


def _read(path: Path) -> Pictures:
    import pyarrow.parquet as pq

    with damage_named(path):
        schema = pq.read_schema(path)
        features = _features(schema)
        image = _column(path, schema, features, "Image", IMAGE_COLUMNS)
        label = _column(path, schema, features, "ClassLabel", LABEL_COLUMNS)
        table = pq.read_table(path, columns=[image, label])
    labels = _labels(path, table[label])
    names = _class_names(features) or tuple(str(number) for number in range(labels.max(initial=-1) + 1))
    return Pictures(_images(path, table[image]), labels, names, [f"row {row} of {path}" for row in range(len(table))])


def _features(schema: pa.Schema) -> Mapping[str, Any]:
    metadata = (schema.metadata or {}).get(b"huggingface", b"{}")
    features: Mapping[str, Any] = json.loads(metadata).get("info", {}).get("features", {})
    return features


def _class_names(features: Mapping[str, Any]) -> tuple[str, ...]:
    classes = [feature for feature in features.values() if feature.get("_type") == "ClassLabel"]
    return tuple(classes[0].get("names", ())) if classes else ()


def _column(path: Path, schema: pa.Schema, features: Mapping[str, Any], kind: str, usual: Sequence[str]) -> str:
    typed = [name for name, feature in features.items() if feature.get("_type") == kind]
    for name in (*typed, *usual):
        if name in schema.names:
            return name
    raise InvalidInput(f"{path} has the columns {', '.join(schema.names)}; expected one of {', '.join(usual)} ({kind})")


def _labels(path: Path, column: pa.ChunkedArray) -> np.ndarray:
    labels: np.ndarray = column.to_numpy()
    if column.null_count or labels.dtype.kind not in "iu":
        raise InvalidInput(
            f"{path} has labels of type {column.type}, {column.null_count} of them missing; "
            "expected an integer in each row"
        )
    return labels.astype(np.int64)


def _images(path: Path, column: pa.ChunkedArray) -> list[bytes | Path]:
    images: list[bytes | Path] = []
    for row, cell in enumerate(column.to_pylist()):
        if isinstance(cell, dict) and isinstance(cell.get("bytes"), bytes):
            images.append(cell["bytes"])
        elif isinstance(cell, dict) and isinstance(cell.get("path"), str):
            images.append(path.parent / cell["path"])
        else:
            raise InvalidInput(
                f"row {row} of {path} holds no image but {type(cell).__name__}; expected a struct with "
                "'bytes' or 'path'"
            )
    return images
