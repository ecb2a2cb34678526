"""What a diagnosis leaves in a folder: `diagnosis.json`, `rows.parquet`, and the page made from these two."""

from __future__ import annotations

import tempfile
from pathlib import Path

from losscope.diagnosis.result import Diagnosis
from losscope.errors import InvalidInput
from losscope.files import write_json, write_table
from losscope.report.space import write_page

DOCUMENT, ROWS = "diagnosis.json", "rows.parquet"


def check_folder(folder: Path) -> None:
    """Make the folder. Raises InvalidInput where nothing can be written to it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise _unwritable(folder, error) from None


def write(result: Diagnosis, folder: Path) -> None:
    """Write the three files, each whole or not at all. Raises InvalidInput where the folder can't be written."""
    try:
        write_table(folder / ROWS, result.rows)
        write_json(folder / DOCUMENT, result.document())
        write_page(folder)
    except OSError as error:
        raise _unwritable(folder, error) from error


def _unwritable(folder: Path, error: OSError) -> InvalidInput:
    return InvalidInput(f"can't write a diagnosis to {folder} ({error.strerror}); choose a folder that can be written")
