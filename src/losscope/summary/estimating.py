"""From series to what a summary holds: estimates, curves, variances by class, planes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import numpy as np
import pyarrow.compute as pc

from losscope.statistics import mean_interval
from losscope.summary.measures import CENSORED, COMPACTIONS, CURVES, MEASURES, PROFILES, Measure
from losscope.summary.reading import PER_CLASS, Record, Series
from losscope.summary.subjects import Subject
from losscope.summary.types import Curve, Estimate, Plane

MAP_POINTS = 500
"""Points of a plane that a page holds: enough to see clusters, few enough to stay a small file."""
MANY_PLANES = 8
"""Planes of one figure from which each has half as many points."""

SeriesOf = Mapping[tuple[str | None, str, int | None], Series]
"""(split, diagnostic, item) -> the series of one loss in one comparison."""


def series_of(record: Record, dataset: str, protocol: str, subject: Subject) -> SeriesOf:
    """The series of one loss, or of the input, in one comparison."""
    wanted = (dataset, protocol, subject.loss, subject.variant)
    return {key[4:]: series for key, series in record.series.items() if key[:4] == wanted}


def estimates(of: SeriesOf, evaluation: str | None, last: int, *, trained: bool) -> dict[str, Estimate]:
    """Key of a measure -> estimate, after the epoch `last`; what a loss does only where one was `trained`."""
    found = {}
    for measure in MEASURES:
        series = of.get(_place(measure, evaluation))
        whose = trained or measure.where not in ("training", "probe")
        if series and whose and (estimate := _estimate(series, measure, last, _never(of, measure, evaluation, last))):
            found[measure.key] = estimate
    return found


def _never(of: SeriesOf, measure: Measure, evaluation: str | None, last: int) -> set[int]:
    """Seeds without compaction: their classes end looser relative to separation than they began, so that what the
    record has is the speed of loosening."""
    ratios = of.get((evaluation, "intra_inter_ratio", None))
    if measure.diagnostic not in COMPACTIONS or ratios is None:
        return set()
    before, after = ratios.at(0), ratios.at(last)
    return {seed for seed in before.keys() & after.keys() if after[seed] >= before[seed]}


def _place(measure: Measure, evaluation: str | None) -> tuple[str | None, str, int | None]:
    split = {"evaluation": evaluation or "", "training": None}.get(measure.where, measure.where)
    return split, measure.diagnostic, measure.item


def _estimate(series: Series, measure: Measure, last: int, without: set[int]) -> Estimate | None:
    """The measure at its time, over the seeds whose value is defined; `without` are seeds that never get there."""
    if measure.when == "mean over epochs":
        trained = series.epochs > 0
        seeds = set(series.seeds[trained].tolist())
        values = {seed: float(series.values[trained & (series.seeds == seed)].mean()) for seed in seeds}
    else:
        values = series.at(0 if measure.when == "start" else last)
    defined = {seed: value for seed, value in sorted(values.items()) if math.isfinite(value) and seed not in without}
    lost = values.keys() - defined.keys()
    never = tuple(sorted(lost if measure.diagnostic in CENSORED else lost & without))
    if not defined and not never:
        return None
    return Estimate(defined, None if never else mean_interval(list(defined.values())), never)


def profiles(of: SeriesOf, epoch: int) -> dict[str, dict[int, Estimate]]:
    """Diagnostic of the probe -> item -> estimate, after `epoch`."""
    found: dict[str, dict[int, Estimate]] = {}
    for (split, diagnostic, item), series in of.items():
        if split == "probe" and diagnostic in PROFILES and item is not None:
            values = {seed: value for seed, value in sorted(series.at(epoch).items()) if math.isfinite(value)}
            if values:
                found.setdefault(diagnostic, {})[item] = Estimate(values, mean_interval(list(values.values())))
    return {diagnostic: dict(sorted(items.items())) for diagnostic, items in found.items()}


def curves(of: SeriesOf) -> dict[str, Curve]:
    """Key of a measure -> its course over epochs."""
    found = {measure.key: of.get(_place(measure, None)) for measure in CURVES}
    return {key: _curve(series) for key, series in found.items() if series}


def _curve(series: Series) -> Curve:
    epochs, points = [], []
    for epoch in sorted(set(series.epochs.tolist())):
        values = [value for value in series.at(epoch).values() if math.isfinite(value)]
        if values:
            epochs.append(epoch)
            points.append(mean_interval(values))
    return Curve(tuple(epochs), tuple(points))


def class_variances(of: SeriesOf, epoch: int) -> dict[int, dict[int, float]]:
    """Class -> seed -> intra-class variance on the training split, of the classes that have any after `epoch`."""
    found = {
        item: values
        for (split, diagnostic, item), series in of.items()
        if (split, diagnostic) == ("train", PER_CLASS)
        and item is not None
        and (values := {seed: value for seed, value in series.at(epoch).items() if math.isfinite(value)})
    }
    return dict(sorted(found.items()))


def planes(record: Record, dataset: str, protocol: str, subjects: Iterable[Subject]) -> dict[Subject, Plane]:
    """One plane for each subject that has any: of the first seed that all losses have a plane of, where there is one."""
    stored = set(pc.unique(record.planes["run"]).to_pylist())
    runs: dict[Subject, dict[int, str]] = {}
    for subject in subjects:
        wanted = (dataset, protocol, subject.loss, subject.variant)
        found = {run.seed: run.run for run in record.done
                 if (run.dataset, run.protocol, run.loss, run.variant) == wanted and run.run in stored}  # fmt: skip
        if found:
            runs[subject] = dict(sorted(found.items()))
    of_losses = [set(of) for subject, of in runs.items() if subject.kind == "trained"]
    shared = min(set.intersection(*of_losses), default=-1) if of_losses else -1
    points = MAP_POINTS if len(runs) < MANY_PLANES else MAP_POINTS // 2
    return {
        subject: _plane(record, shared if shared in of else next(iter(of)), of, points) for subject, of in runs.items()
    }


def _plane(record: Record, seed: int, runs: Mapping[int, str], points: int) -> Plane:
    rows = record.planes.filter(pc.equal(record.planes["run"], runs[seed]))
    chosen = np.unique(np.linspace(0, rows.num_rows - 1, min(points, rows.num_rows)).astype(int))
    part = rows.take(chosen).to_pydict()
    return Plane(
        seed=seed,
        split=part["split"][0],
        labels=tuple(part["label"]),
        x=tuple(part["x"]),
        y=tuple(part["y"]),
        explained=part["explained"][0],
        samples=rows.num_rows,
    )
