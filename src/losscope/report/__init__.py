"""Reports: one self-contained page (and the same as Markdown) from the records of one or several studies.

Reads the table, never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from losscope.errors import InvalidInput
from losscope.summary import paths, summarize

if TYPE_CHECKING:
    from losscope.summary.types import Summary

__all__ = ["summarize", "summary_table", "write_report"]


def write_report(folders: Sequence[Path | str] | Path | str, out: Path | str | None = None) -> tuple[Path, Path]:
    """Write `report.html`, `report.md` and `report.json` of the studies in `folders` into `out` (default: the first).

    Returns the paths of the first two. Raises MissingData, DamagedRecord, InvalidInput where `out` can't be written.
    """
    from losscope.files import make_folder, write_bytes, write_json
    from losscope.report import render
    from losscope.report.content import content
    from losscope.report.document import document

    summary = summarize(folders, tolerant=True)
    shown = content(summary)
    folder = Path(out) if out is not None else paths(folders)[0]
    pages = folder / "report.html", folder / "report.md"
    try:
        make_folder(folder)
        for path, text in zip(pages, (render.html(shown), render.markdown(shown)), strict=True):
            write_bytes(path, text.encode())
        write_json(folder / "report.json", document(summary, shown))
    except OSError as error:
        raise InvalidInput(
            f"can't write a report to {folder} ({error.strerror}); choose a folder that can be written"
        ) from error
    return pages


def summary_table(summary: Summary) -> tuple[list[str], list[list[str]]]:
    """Headers and rows for a terminal: losses x the few measures that matter, mean ± half of the 95 % interval, and n."""
    from losscope.report.tables import terminal

    return terminal(summary)
