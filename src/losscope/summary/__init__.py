"""From records to a summary: studies merged, series estimated over seeds, losses compared paired by seed.

What checks, claims and reports read. Plain data; never imports torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from losscope.summary.types import Summary

__all__ = ["paths", "summarize"]


def summarize(folders: Sequence[Path | str] | Path | str, *, tolerant: bool = False) -> Summary:
    """The summary of the studies in `folders`; a `tolerant` one is of all groups that can be read, and names the others.

    Raises MissingData if a folder holds no study, DamagedRecord if a file can't be read.
    """
    from losscope.summary.comparing import summarize_record
    from losscope.summary.reading import read

    return summarize_record(read(paths(folders), tolerant=tolerant))


def paths(folders: Sequence[Path | str] | Path | str) -> list[Path]:
    """One folder or several, as paths."""
    return [Path(folders)] if isinstance(folders, str | Path) else [Path(folder) for folder in folders]
