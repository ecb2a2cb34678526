"""Acceptance bands of the presets as a table: is the mean over seeds where independent re-runs let one expect it?"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any

from losscope.report.tables import Column, Group, Row, Table
from losscope.summary.formatting import ABSENT, number
from losscope.summary.measures import BY_KEY, Measure
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

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
    columns = (
        Column("measure", words=True),
        Column("band", "band"),
        Column("mean"),
        Column("interval", "interval"),
        Column("n", "seeds"),
        Column("in band", words=True),
    )
    caption = "Where re-runs with 5 seeds let one expect the mean, on the synthetic data's training split."
    return Table("bands", "Acceptance bands of the presets", caption, "loss", columns, tuple(groups), tuple(notes))


def _rows(comparison: Comparison, preset: Mapping[str, Any]) -> Iterator[Row]:
    for band in preset["bands"]:
        measure, subject = BY_KEY[band["measure"]], _subject(comparison, band["loss"], band.get("variant", ""))
        estimate = subject and comparison.get(subject, measure)
        if subject and estimate and estimate.interval:
            found = estimate.interval
            bounds = (
                ABSENT if found.low is None or found.high is None else f"[{number(found.low)}, {number(found.high)}]"
            )
            cells = (measure.label, _band(band), number(found.mean), bounds, str(found.n), _inside(found.mean, band))
            yield Row(subject.label, cells, subject)
    if "ratio" in preset:
        yield from _ratio(comparison, preset["ratio"])


def _ratio(comparison: Comparison, band: Mapping[str, Any]) -> Iterator[Row]:
    """One loss over another, of the means and seed by seed."""
    measure: Measure = BY_KEY[band["measure"]]
    subject, base = _subject(comparison, band["loss"], band["variant"]), _subject(comparison, band["over"], "")
    one, other = subject and comparison.get(subject, measure), base and comparison.get(base, measure)
    if not (subject and base and one and other and one.interval and other.interval):
        return
    seeds = sorted(one.values.keys() & other.values.keys())
    larger = sum(one.values[seed] > other.values[seed] for seed in seeds)
    ratio, n = one.interval.mean / other.interval.mean, str(len(seeds))
    label, words = f"{subject.label} over {base.label}", f"{measure.label}, ratio of means"
    yield Row(label, (words, _band(band), number(ratio), ABSENT, n, _inside(ratio, band)), subject)
    words, all_of_them = f"{measure.label}, seeds in which it is larger", "yes" if larger == len(seeds) else "no"
    yield Row(label, (words, "all", f"{larger} of {n}", ABSENT, n, all_of_them), subject)


def _subject(comparison: Comparison, loss: str, variant: str) -> Subject | None:
    return next((part for part in comparison.trained if (part.loss, part.variant) == (loss, variant)), None)


def _band(band: Mapping[str, Any]) -> str:
    return f"{band['low']:g} to {band['high']:g}"


def _inside(value: float, band: Mapping[str, Any]) -> str:
    return "yes" if band["low"] <= value <= band["high"] else "no, above" if value > band["high"] else "no, below"
