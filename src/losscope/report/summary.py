"""The summary: all that a report says, as plain frozen data computed from rows. Pages, figures and JSON only read it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations

from losscope.report.measures import COMPARED, CURVES, MEASURES, Measure
from losscope.report.reading import Key, Record, Series, StudyRecord
from losscope.report.subjects import INPUT, UNTRAINED, Subject, subjects
from losscope.statistics import (
    Interval,
    PairedDifference,
    Verdict,
    holm,
    mean_interval,
    paired_difference,
    verdict,
)
from losscope.table import RunRecord

EVALUATION_SPLITS = ("heldout", "test", "validation")


@dataclass(frozen=True)
class Estimate:
    """One measure of one subject: a value for each seed, and what they say together.

    `interval` is None where a seed's value is censored (a loss that never decayed): a mean would be a lie.
    """

    values: Mapping[int, float]  # seed -> value
    interval: Interval | None
    never: tuple[int, ...] = ()  # seeds whose value is censored

    @property
    def n(self) -> int:
        return len(self.values) + len(self.never)


@dataclass(frozen=True)
class Curve:
    """A measure over epochs: mean and interval over seeds."""

    epochs: tuple[int, ...]
    points: tuple[Interval, ...]


@dataclass(frozen=True)
class Comparison:
    """One data set under one protocol: all numbers that may be compared with one another."""

    dataset: str
    protocol: str
    epochs: int
    evaluation: str | None  # the split that is not trained on
    classes: Mapping[str, int]  # split -> classes measured
    subjects: tuple[Subject, ...]
    estimates: Mapping[tuple[Subject, str], Estimate]  # (subject, key of a measure)
    curves: Mapping[tuple[Subject, str], Curve]
    drawn_per_seed: bool  # each seed has data, and so classes, of its own
    seeds: tuple[int, ...]

    @property
    def trained(self) -> tuple[Subject, ...]:
        return tuple(subject for subject in self.subjects if subject.kind == "trained")

    @property
    def title(self) -> str:
        return f"{self.dataset}, protocol {self.protocol}"

    def get(self, subject: Subject, measure: Measure) -> Estimate | None:
        """The estimate, or None where it is not measured."""
        return self.estimates.get((subject, measure.key))


@dataclass(frozen=True)
class Difference:
    """`second - first` of one measure in one comparison, with Holm's p over its family and the verdict."""

    comparison: Comparison
    measure: Measure
    first: Subject
    second: Subject
    paired: PairedDifference
    adjusted_p: float | None
    family: int  # differences of this measure in this report
    verdict: Verdict


@dataclass(frozen=True)
class Summary:
    """A report's content. `studies` and `runs` are what was read, the rest is computed from them."""

    studies: tuple[StudyRecord, ...]
    runs: tuple[RunRecord, ...]
    comparisons: tuple[Comparison, ...]
    differences: tuple[Difference, ...]
    doubled: int = 0
    subjects: tuple[Subject, ...] = field(default=())

    @property
    def title(self) -> str:
        return " + ".join(dict.fromkeys(study.study.name for study in self.studies))


def summarize_record(record: Record) -> Summary:
    """The summary of what `reading.read` found."""
    places: dict[tuple[str, str], list[RunRecord]] = {}
    for run in record.done.values():
        if run.loss != INPUT.loss:
            places.setdefault((run.dataset, run.protocol), []).append(run)
    order = subjects((run.loss, run.variant) for runs in places.values() for run in runs)
    comparisons = tuple(_comparison(record, *place, runs, order) for place, runs in places.items())
    return Summary(record.studies, record.runs, comparisons, tuple(_differences(comparisons)), record.doubled,
                   (INPUT, UNTRAINED, *order))  # fmt: skip


def _comparison(
    record: Record, dataset: str, protocol: str, runs: Sequence[RunRecord], order: Sequence[Subject]
) -> Comparison:
    here = {
        key: series
        for key, series in record.series.items()
        if (key.dataset, key.protocol) == (dataset, protocol)
    }
    splits = {key.split for key in here}
    evaluation = next((split for split in EVALUATION_SPLITS if split in splits), None)
    present = {(run.loss, run.variant) for run in runs}
    trained = [subject for subject in order if (subject.loss, subject.variant) in present]
    rows = (INPUT, UNTRAINED, *trained)
    epochs = max(run.epochs for run in runs)
    found, curves = {}, {}
    for subject in rows:
        source = trained[0] if subject == UNTRAINED else subject  # all losses start from the same weights
        for measure in MEASURES:
            series = here.get(_key(dataset, protocol, source, measure, evaluation))
            estimate = series and _estimate(series, measure, 0 if subject.kind != "trained" else epochs)
            if estimate and (subject != UNTRAINED or measure.where != "training"):
                found[subject, measure.key] = estimate
        for measure in CURVES if subject.kind == "trained" else ():
            series = here.get(_key(dataset, protocol, source, measure, evaluation))
            if series:
                curves[subject, measure.key] = _curve(series)
    classes = {split: len({key.item for key in here if key.split == split and key.item is not None
                           and key.diagnostic == "intra_class_variance"}) for split in splits if split}  # fmt: skip
    prints = {run.data_fingerprint for run in runs}
    return Comparison(dataset, protocol, epochs, evaluation, classes,
                      tuple(row for row in rows if row.kind == "trained" or any(key[0] == row for key in found)),
                      found, curves, len(prints) > 1, tuple(sorted({run.seed for run in runs})))  # fmt: skip


def _key(dataset: str, protocol: str, subject: Subject, measure: Measure, evaluation: str | None) -> Key:
    split = {"train": "train", "evaluation": evaluation or "", "training": None}[measure.where]
    return Key(dataset, protocol, subject.loss, subject.variant, split, measure.diagnostic, measure.item)


def _estimate(series: Series, measure: Measure, last: int) -> Estimate | None:
    """The measure at its time, over the seeds whose value is defined."""
    if measure.when == "mean over epochs":
        trained = series.epochs > 0
        values = {seed: float(series.values[trained & (series.seeds == seed)].mean())
                  for seed in sorted(set(series.seeds[trained].tolist()))}  # fmt: skip
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
            found.append(
                Difference(comparison, measure, first, second, paired, p, len(tested), verdict(paired, p))
            )
    return found
