"""From content to pages: HTML with everything in one file, and Markdown with the same numbers."""

from __future__ import annotations

import base64
import gzip
import json
import re
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from itertools import groupby
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from losscope.report.content import Content, glossary
from losscope.report.figures import Figure
from losscope.report.tables import Column


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("losscope.report"),
        autoescape=lambda name: bool(name and ".html" in name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        cell=cell, csv_url=csv_url, spans=spans, looks=looks, breakable=breakable, packed_url=packed_url
    )
    environment.globals["glossary"] = glossary()
    return environment


def html(content: Content) -> str:
    """The page of studies."""
    return page("report.html.j2", content.figures, content=content)


def page(template: str, figures: Iterable[Figure], **shown: object) -> str:
    """A page from its template, self-contained: it asks the network for nothing."""
    drawings = {
        f"{figure.anchor}-{nth}": {"data": panel.traces, "layout": panel.layout}
        for figure in figures
        for nth, panel in enumerate(figure.panels)
    }
    return _environment().get_template(template).render(
        **shown,
        style=_own("style.css"),
        script=_own("figures.js"),
        plots=packed(json.dumps(drawings, separators=(",", ":"), allow_nan=False).encode()),
        plotly=packed((files("plotly") / "package_data" / "plotly.min.js").read_bytes()),
    )  # fmt: skip


def markdown(content: Content) -> str:
    """The same words and numbers as Markdown; figures are their tables."""
    return _environment().get_template("report.md.j2").render(content=content)


def _own(name: str) -> Markup:
    """A file of the package's own, put into the page as it is."""
    return Markup((files("losscope.report") / "templates" / name).read_text(encoding="utf-8"))


def packed(content: bytes) -> str:
    """Gzip in base64: the plotting library shrinks from 4.8 to 2 MB, and nothing in it can close a <script> element."""
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")


def csv_url(text: str) -> str:
    """CSV as the address of a download."""
    return "data:text/csv;charset=utf-8," + quote(text, safe="/,.:;=-_()+")


def packed_url(text: str) -> str:
    """A long CSV, compressed, as the address of a download: whole pages stay small."""
    return "data:application/gzip;base64," + packed(text.encode())


def cell(text: str) -> str:
    """Text that stays in one cell of a Markdown table and is no HTML there."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace("|", "\\|").replace("\n", " ")


def looks(columns: tuple[Column, ...]) -> list[Markup]:
    """The class attribute of each column's cells; empty where a column needs none."""
    grouped = any(column.group for column in columns)
    found = []
    for nth, column in enumerate(columns):
        first = grouped and (nth == 0 or columns[nth - 1].group != column.group)
        words = [
            word
            for word, holds in (("paper", column.label == "paper"), ("words", column.words), ("edge", first))
            if holds
        ]
        found.append(Markup(f' class="{" ".join(words)}"') if words else Markup(""))
    return found


def breakable(label: str) -> Markup:
    """A label that a narrow place may break after `_` and `=`, before it breaks a word.

    >>> str(breakable("n_pair unit_length=<i>"))
    'n_<wbr>pair unit_<wbr>length=<wbr>&lt;i&gt;'
    """
    return Markup(re.sub("([_=])", r"\1<wbr>", str(escape(label))))


def spans(columns: tuple[Column, ...]) -> list[tuple[str, int]]:
    """Neighboring columns of one group: its label and how many they are."""
    return [(label, len(list(run))) for label, run in groupby(columns, key=lambda column: column.group)]
