"""From a record to a summary: estimates, curves, classes and planes of every comparison, and paired differences."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

import numpy as np
import pyarrow.compute as pc

from losscope.report.datasets import same_data, split_protocol, trained_on_features
from losscope.report.measures import COMPARED, CURVES, MEASURES, Measure
from losscope.report.reading import INPUTS, PER_CLASS, Key, Record, Series
from losscope.report.subjects import FEATURES, INPUT, UNTRAINED, Subject
from losscope.report.subjects import subjects as in_order
from losscope.report.summary import (
    FITTED,
    Comparison,
    Curve,
    Difference,
    Estimate,
    Plane,
    Summary,
)
from losscope.statistics import holm, mean_interval, paired_difference, verdict
from losscope.table import RunRecord

EVALUATION_SPLITS = ("heldout", "test", "validation")

MAP_POINTS = 500
"""Points of a plane that a page holds: enough to see clusters, few enough to stay a small file."""


def summarize_record(record: Record) -> Summary:
    """The summary of what `reading.read` found."""
    places: dict[tuple[str, str], list[RunRecord]] = {}
    for run in record.done:
        if run.loss != INPUTS:
            places.setdefault((run.dataset, run.protocol), []).append(run)
    order = in_order((run.loss, run.variant) for runs in places.values() for run in runs)
    ranked = sorted(places, key=lambda place: _rank(record, *place))
    comparisons = tuple(_comparison(record, *place, places[place], order) for place in ranked)
    return Summary(
        studies=record.studies,
        runs=record.runs,
        comparisons=comparisons,
        differences=tuple(_differences(comparisons)),
        subjects=(INPUT, UNTRAINED, *order),
        doubled=record.doubled,
    )


def _rank(record: Record, dataset: str, protocol: str) -> tuple[int, str, bool, int, int]:
    """Place of a comparison: data sets as the studies list them, then protocols, the fitted one last."""
    listed = list(dict.fromkeys(data.label or data.name for study in record.studies for data in study.study.data))
    place = next((at for at, name in enumerate(listed) if same_data(dataset, name)), len(listed))
    for nth, study in enumerate(record.studies):
        protocols = [study.renamed.get(part.name, part.name) for part in study.study.protocol]
        if protocol in protocols:
            return place, dataset, protocol.startswith(FITTED), nth, protocols.index(protocol)
    return place, dataset, True, len(record.studies), 0


def _comparison(
    record: Record, dataset: str, protocol: str, runs: Sequence[RunRecord], order: Sequence[Subject]
) -> Comparison:
    here = {key: part for key, part in record.series.items() if key[:2] == (dataset, protocol)}
    evaluation = next((split for split in EVALUATION_SPLITS if any(key.split == split for key in here)), None)
    counts = {(run.loss, run.variant): 0 for run in runs}
    for run in runs:
        counts[run.loss, run.variant] += 1
    trained = [subject for subject in order if (subject.loss, subject.variant) in counts]
    # Every loss starts from the same weights, so the one with the most seeds speaks for the untrained network.
    fullest = max(trained, key=lambda subject: counts[subject.loss, subject.variant])
    rows = (FEATURES if trained_on_features(record.studies, dataset) else INPUT, UNTRAINED, *trained)
    sources = {subject: fullest if subject == UNTRAINED else subject for subject in rows}
    epochs = max(run.epochs for run in runs)
    estimates: dict[tuple[Subject, str], Estimate] = {}
    curves: dict[tuple[Subject, str], Curve] = {}
    for subject, source in sources.items():
        of_training = subject.kind == "trained"
        for measure in MEASURES:
            series = here.get(_key(dataset, protocol, source, measure, evaluation))
            if series and (of_training or measure.where != "training"):
                estimate = _estimate(series, measure, epochs if of_training else 0)
                estimates.update({(subject, measure.key): estimate} if estimate else {})
        for measure in CURVES if of_training else ():
            if series := here.get(_key(dataset, protocol, source, measure, evaluation)):
                curves[subject, measure.key] = _curve(series)
    variances = {subject: _class_variances(here, source, epochs if subject.kind == "trained" else 0)
                 for subject, source in sources.items()}  # fmt: skip
    splits = sorted({key.split for key in here if key.split})
    return Comparison(
        dataset=dataset,
        protocol=protocol,
        epochs=epochs,
        evaluation=evaluation,
        split_protocol=split_protocol(record.studies, dataset),
        classes={split: len({key.item for key in here if key.split == split and key.diagnostic == PER_CLASS})
                 for split in splits},
        subjects=tuple(row for row in rows if row.kind == "trained" or any(key[0] == row for key in estimates)),
        estimates=estimates,
        curves=curves,
        class_variances={subject: classes for subject, classes in variances.items() if classes},
        planes=_planes(record, dataset, protocol, rows),
        runs=tuple(runs),
        drawn_per_seed=len({run.data_fingerprint for run in runs}) > 1,
    )  # fmt: skip


def _key(dataset: str, protocol: str, subject: Subject, measure: Measure, evaluation: str | None) -> Key:
    split = {"train": "train", "evaluation": evaluation or "", "training": None}[measure.where]
    return Key(dataset, protocol, subject.loss, subject.variant, split, measure.diagnostic, measure.item)


def _estimate(series: Series, measure: Measure, last: int) -> Estimate | None:
    """The measure at its time, over the seeds whose value is defined."""
    if measure.when == "mean over epochs":
        trained = series.epochs > 0
        values = {seed: float(series.values[trained & (series.seeds == seed)].mean())
                  for seed in set(series.seeds[trained].tolist())}  # fmt: skip
    else:
        values = series.at(0 if measure.when == "start" else last)
    defined = {seed: value for seed, value in sorted(values.items()) if math.isfinite(value)}
    never = tuple(sorted(values.keys() - defined.keys())) if measure.diagnostic == "loss_decay_epoch" else ()
    if not defined and not never:
        return None
    return Estimate(defined, None if never else mean_interval(list(defined.values())), never)


def _curve(series: Series) -> Curve:
    epochs, points = [], []
    for epoch in sorted(set(series.epochs.tolist())):
        values = [value for value in series.at(epoch).values() if math.isfinite(value)]
        if values:
            epochs.append(epoch)
            points.append(mean_interval(values))
    return Curve(tuple(epochs), tuple(points))


def _class_variances(here: Mapping[Key, Series], source: Subject, epoch: int) -> dict[int, dict[int, float]]:
    """Class -> seed -> intra-class variance on the training split."""
    found: dict[int, dict[int, float]] = {}
    for key, series in here.items():
        if (key.loss, key.variant, key.split, key.diagnostic) == (
            source.loss,
            source.variant,
            "train",
            PER_CLASS,
        ):
            assert key.item is not None
            found[key.item] = {seed: value for seed, value in series.at(epoch).items() if math.isfinite(value)}
    return {label: found[label] for label in sorted(found)}


def _planes(record: Record, dataset: str, protocol: str, subjects: Iterable[Subject]) -> dict[Subject, Plane]:
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
    return {subject: _plane(record, shared if shared in of else next(iter(of)), of) for subject, of in runs.items()}


def _plane(record: Record, seed: int, runs: Mapping[int, str]) -> Plane:
    rows = record.planes.filter(pc.equal(record.planes["run"], runs[seed]))
    chosen = np.unique(np.linspace(0, rows.num_rows - 1, min(MAP_POINTS, rows.num_rows)).astype(int))
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


def _differences(comparisons: Sequence[Comparison]) -> list[Difference]:
    """All loss pairs x comparisons of each measure; Holm within a measure."""
    found = []
    for measure in COMPARED:
        family = []
        for comparison in comparisons:
            for first, second in combinations(comparison.trained, 2):
                one, other = comparison.get(first, measure), comparison.get(second, measure)
                if one and other and one.values.keys() & other.values.keys():
                    family.append((comparison, first, second, paired_difference(one.values, other.values)))
        tested = [paired.p for *_, paired in family if paired.p is not None]
        adjusted = iter(holm(tested))
        for comparison, first, second, paired in family:
            p = None if paired.p is None else next(adjusted)
            judged = verdict(paired, p)
            found.append(Difference(comparison, measure, first, second, paired, p, len(tested), judged))
    return found
