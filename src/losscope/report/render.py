"""From a summary to the page: HTML with everything in one file, and Markdown with the same numbers."""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from itertools import groupby
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from losscope.report.figures import Figure, training_figure
from losscope.report.paper import paper_tables
from losscope.report.summary import Summary
from losscope.report.tables import overview


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("losscope.report"),
        autoescape=lambda name: bool(name and ".html" in name),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["pipes"] = lambda text: str(text).replace("|", "\\|").replace("\n", " ")
    environment.filters["data_url"] = lambda text: "data:text/csv;charset=utf-8," + quote(text)
    environment.filters["script_json"] = script_json
    environment.filters["groupby_runs"] = lambda columns: [
        (name, list(run)) for name, run in groupby(columns, key=lambda column: column.group)
    ]
    return environment


def script_json(value: Any) -> Markup:
    """JSON that may stand in a <script> element: nothing in it can close the element."""
    text = json.dumps(value, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e"))


def content(summary: Summary) -> dict[str, Any]:
    """What both templates show."""
    return {
        "summary": summary,
        "overview": overview(summary),
        "paper_tables": paper_tables(summary),
        "training_figures": [training_figure(comparison, f"training-{place}")
                             for place, comparison in enumerate(summary.comparisons)],
    }  # fmt: skip


def html(summary: Summary) -> str:
    """The page, self-contained."""
    shown = content(summary)
    figures: list[Figure] = shown["training_figures"]
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            **shown,
            style=Markup(_text("templates/style.css")),
            script=Markup(_text("templates/figures.js")),
            plotly=Markup((files("plotly") / "package_data" / "plotly.min.js").read_text(encoding="utf-8")),
            drawings={figure.anchor: {"data": figure.traces, "layout": figure.layout} for figure in figures},
        )
    )


def markdown(summary: Summary) -> str:
    """The same as Markdown."""
    return _environment().get_template("report.md.j2").render(**content(summary))


def _text(path: str) -> str:
    return (files("losscope.report") / path).read_text(encoding="utf-8")
