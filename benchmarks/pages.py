"""Tables of the documentation that are a benchmark's output, between two marks of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def markdown(heads: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table."""
    rows = [heads, ["---"] * len(heads), *lines]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def marks(name: str) -> tuple[str, str]:
    """What stands before and after the table of a benchmark."""
    return f"<!-- begin {name}: written by python -m benchmarks.{name} -->\n", f"<!-- end {name} -->\n"


def read_table(page: Path, name: str) -> str:
    """The table of a benchmark in a page."""
    begin, end = marks(name)
    return page.read_text(encoding="utf-8").split(begin)[1].split(end)[0]


def write_table(page: Path, name: str, table: str) -> None:
    """Put the table of a benchmark between its marks."""
    begin, end = marks(name)
    before, rest = page.read_text(encoding="utf-8").split(begin)
    page.write_text(before + begin + table + end + rest.split(end)[1], encoding="utf-8")
