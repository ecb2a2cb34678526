"""A diagnosis in words: the few lines of a terminal or a notebook, from its document alone."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

from losscope.report.space.words import title

Document = Mapping[str, Any]


def lines(document: Document) -> list[str]:
    """How good, where it fails, whether it collapses: a few lines of plain text."""
    return [f"{name}: {text}" for name, text in facts(document)]


def notebook(document: Document) -> str:
    """The same as an HTML table; names from data are escaped."""
    rows = "".join(
        f'<tr><th style="text-align:left">{escape(name)}</th><td style="text-align:left">{escape(text)}</td></tr>'
        for name, text in facts(document)
    )
    return f"<table>{rows}</table>"


def facts(document: Document) -> list[tuple[str, str]]:
    """Names and texts."""
    asked = document["queries"]
    which = "all" if asked["exact"] else f"a sample of {asked['asked']:,}"
    said = [
        (
            "embeddings",
            f"{document['n']:,} x {document['dim']}, {document['classes']:,} classes, {document['similarity']}",
        ),
        ("queries", f"{which} of {asked['of']:,}; {asked['excluded']:,} without a relevant item are left out"),
    ]
    names = [f"recall_at_{k}" for k in document["recall_at_k"]] + ["r_precision", "map_at_r"]
    said += [(title(name), with_interval(document["intervals"][name])) for name in names]
    said += [
        (label, number(document[key]))
        for key, label in (
            ("intra_class_variance_mean", "intra-class variance (mean)"),
            ("inter_class_distance_mean", "inter-class distance (mean)"),
            ("effective_rank", f"effective rank (of {document['dim']})"),
        )
    ]
    return [*said, *(("note", note) for note in document["notes"])]


def with_interval(estimate: Mapping[str, Any]) -> str:
    """Mean and interval over classes."""
    mean, low, high = estimate["mean"], estimate["low"], estimate["high"]
    return f"{mean:.4f}" if low is None else f"{mean:.4f} [{low:.4f}, {high:.4f}]"


def number(value: float | None) -> str:
    """Four significant digits, or a dash."""
    return "–" if value is None else f"{value:.4g}"
