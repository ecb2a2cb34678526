"""Acceptance bands of the presets as a table: is the mean over seeds where independent re-runs let one expect it?"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from losscope.report.formatting import ABSENT, estimate_text, number
from losscope.report.measures import BY_KEY, Measure
from losscope.report.subjects import Subject
from losscope.report.summary import Comparison, Summary
from losscope.report.tables import Column, Group, Row, Table, span

DATASET = "synthetic"


def bands_table(summary: Summary) -> Table | None:
    """The bands of every preset that ran as shipped on the synthetic data; None if none did."""
    document = tomllib.loads((files("losscope.report") / "bands.toml").read_text(encoding="utf-8"))
    groups, notes = [], []
    for preset in document["preset"]:
        for comparison in summary.comparisons:
            named = comparison.protocol == preset["protocol"] and comparison.epochs == preset["epochs"]
            if comparison.dataset == DATASET and named:
                groups.append(Group(preset["title"], tuple(_rows(comparison, preset))))
                notes.append(preset["note"])
    if not groups:
        return None
    columns = (Column("measure"), Column("band", "band"), Column("measured", "interval"), Column("n", "seeds"),
               Column("mean in band"))  # fmt: skip
    return Table("bands", "Acceptance bands for the mean over 5 seeds, on the synthetic data's training split.",
                 "loss", columns, tuple(groups), tuple(notes))  # fmt: skip


def _rows(comparison: Comparison, preset: Mapping[str, Any]) -> Iterator[Row]:
    for band in preset["bands"]:
        measure, subject = BY_KEY[band["measure"]], _subject(comparison, band["loss"], band.get("variant", ""))
        if subject:
            estimate = comparison.get(subject, measure)
            mean = comparison.mean(subject, measure)
            yield Row(subject.label, (measure.label, _band(band), estimate_text(estimate, comparison.epochs),
                                      span({estimate.n} if estimate else ()), _inside(mean, band)), subject)  # fmt: skip
    if "ratio" in preset:
        yield from _ratio(comparison, preset["ratio"])


def _ratio(comparison: Comparison, band: Mapping[str, Any]) -> Iterator[Row]:
    """One loss over another, of the means and seed by seed."""
    measure: Measure = BY_KEY[band["measure"]]
    subject = _subject(comparison, band["loss"], band["variant"])
    base = _subject(comparison, band["over"], "")
    one, other = (subject and comparison.get(subject, measure)), (base and comparison.get(base, measure))
    if not (subject and base and one and other and one.interval and other.interval):
        return
    seeds = sorted(one.values.keys() & other.values.keys())
    larger = sum(one.values[seed] > other.values[seed] for seed in seeds)
    ratio = one.interval.mean / other.interval.mean
    label = f"{subject.label} over {base.label}"
    yield Row(label, (f"{measure.label}, ratio of means", _band(band), number(ratio), span({len(seeds)}),
                      _inside(ratio, band)), subject)  # fmt: skip
    yield Row(label, (f"{measure.label}, seeds in which it is larger", "all", f"{larger} of {len(seeds)}",
                      span({len(seeds)}), "yes" if larger == len(seeds) else "no"), subject)  # fmt: skip


def _subject(comparison: Comparison, loss: str, variant: str) -> Subject | None:
    return next((part for part in comparison.trained if (part.loss, part.variant) == (loss, variant)), None)


def _band(band: Mapping[str, Any]) -> str:
    return f"{band['low']:g} to {band['high']:g}"


def _inside(value: float | None, band: Mapping[str, Any]) -> str:
    if value is None:
        return ABSENT
    return "yes" if band["low"] <= value <= band["high"] else "no, above" if value > band["high"] else "no, below"
