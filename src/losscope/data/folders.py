"""Where local files are: the data folder, the cache folder, and the search that says where it looked."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

from losscope.errors import InvalidInput, MissingData

DATA_VARIABLE, CACHE_VARIABLE = "LOSSCOPE_DATA", "LOSSCOPE_CACHE"


def data_folder(folder: Path | None = None) -> Path | None:
    """`folder`, else $LOSSCOPE_DATA, else None."""
    named = folder or os.environ.get(DATA_VARIABLE)
    return Path(named).expanduser() if named else None


def cache_folder() -> Path:
    """$LOSSCOPE_CACHE, else $XDG_CACHE_HOME/losscope, else ~/.cache/losscope."""
    if named := os.environ.get(CACHE_VARIABLE):
        return Path(named).expanduser()
    home = os.environ.get("XDG_CACHE_HOME")
    return (Path(home) if home else Path.home() / ".cache") / "losscope"


def locate(what: str, patterns: Sequence[str], folder: Path | None, how: str) -> list[Path]:
    """Files or the one folder that the first matching pattern finds, sorted.

    Patterns are relative to the data folder, with wildcards, or absolute. `what` and `how` (how to get it)
    complete the message of MissingData; an incomplete set of shards ("-00000-of-00002") is InvalidInput.
    """
    root = data_folder(folder)
    for pattern in patterns:
        if Path(pattern).is_absolute():
            found = sorted(Path("/").glob(pattern.lstrip("/")))
        else:
            found = sorted(root.glob(pattern)) if root else []
        if found:
            _check_shards(found)
            return found
    where = f"in {root}" if root else f"in no data folder (none is set: --data or ${DATA_VARIABLE})"
    raise MissingData(f"{what} was not found. Looked {where} for {', '.join(patterns)}. {how}")


def _check_shards(found: list[Path]) -> None:
    if (total := re.search(r"-of-(\d+)", found[0].name)) and len(found) != int(total[1]):
        raise InvalidInput(
            f"{found[0].parent} holds {len(found)} of {int(total[1])} shards: "
            f"{', '.join(path.name for path in found)}; expected all, fetch the others"
        )
