"""The page of one diagnosed space, made from the two files that a diagnosis leaves in a folder.

Reads `diagnosis.json` and `rows.parquet`; never imports torch.
"""

from __future__ import annotations

from pathlib import Path

__all__ = ["write_page"]


def write_page(folder: Path | str) -> Path:
    """Write `report.html` of a diagnosis into its folder, and return its path. Raises MissingData, DamagedRecord."""
    from losscope.files import write_bytes
    from losscope.report.render import page
    from losscope.report.space.content import content
    from losscope.report.space.reading import read

    place = Path(folder)
    shown = content(read(place))
    path = place / "report.html"
    write_bytes(path, page("space.html.j2", shown.figures, content=shown, glossary=shown.glossary).encode())
    return path
