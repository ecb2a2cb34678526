"""Fixtures of the data tests: an own cache, no data folder by chance, real data where there are some."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

REAL = os.environ.get("LOSSCOPE_DATA")


@pytest.fixture(autouse=True)
def _own_folders(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    monkeypatch.delenv("LOSSCOPE_DATA", raising=False)
    monkeypatch.setenv("LOSSCOPE_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture
def real_data() -> Callable[[str], Path]:
    """The data folder, if it holds the file; else the test is skipped and says which file it lacks."""

    def folder(file: str) -> Path:
        if REAL is None:
            pytest.skip(f"needs {file} of the real data; LOSSCOPE_DATA is not set")
        if not (Path(REAL) / file).exists():
            pytest.skip(f"needs {file} of the real data; it is not in {REAL}")
        return Path(REAL)

    return folder


@pytest.fixture
def picture() -> Callable[..., bytes]:
    """Encodes one image of a flat color with a little noise."""

    def encode(color: int, size: tuple[int, int] = (40, 30), form: str = "PNG") -> bytes:
        noise = np.random.default_rng(color).integers(0, 20, (size[1], size[0], 3))
        pixels = (noise + np.array([1, 2, 3]) * color % 200).astype(np.uint8)
        Image.fromarray(pixels).save(buffer := io.BytesIO(), form)
        return buffer.getvalue()

    return encode


@pytest.fixture
def write_parquet(picture: Callable[..., bytes]) -> Callable[..., Path]:
    """Writes images with labels in the schema of Hugging Face datasets."""

    def write(path: Path, labels: list[int], *, column: str = "image", first: int = 0, **options: object) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        images = [{"bytes": picture(first + row, **options), "path": f"{row}.png"} for row in range(len(labels))]
        pq.write_table(pa.table({column: images, "label": labels}), path)
        return path

    return write
