"""From a record to a summary: every comparison, and the differences between its losses paired by seed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import combinations
from typing import Any

from losscope.statistics import Interval, Region, holm, paired_difference, region_of, simultaneous_interval, verdict
from losscope.summary.datasets import class_split_of, same_data, split_protocol, trained_on_features
from losscope.summary.estimating import class_variances, curves, estimates, planes, profiles, series_of
from losscope.summary.measures import COMPARED
from losscope.summary.pairing import Side, on_equal_data, population
from losscope.summary.reading import PER_CLASS, Record, protocols
from losscope.summary.representing import best_on_validation, nearest_to_defaults
from losscope.summary.selection import VALIDATION, selections
from losscope.summary.subjects import FEATURES, INPUT, UNTRAINED, WHITENED, Subject, subjects
from losscope.summary.types import FITTED, Comparison, Difference, Summary
from losscope.table import INPUTS, RunRecord

EVALUATION_SPLITS = ("heldout", "test", VALIDATION)


def summarize_record(record: Record) -> Summary:
    """The summary of what `reading.read` found."""
    places: dict[tuple[str, str], list[RunRecord]] = {}
    for run in record.done:
        if run.loss != INPUTS:
            places.setdefault((run.dataset, run.protocol), []).append(run)
    order = subjects((run.loss, run.variant) for runs in places.values() for run in runs)
    ranked = sorted(places, key=lambda place: _rank(record, *place))
    comparisons = tuple(_comparison(record, *place, places[place], order) for place in ranked)
    return Summary(
        studies=record.studies,
        runs=record.runs,
        comparisons=comparisons,
        differences=tuple(_differences(comparisons)),
        subjects=(INPUT, WHITENED, UNTRAINED, *order),
        doubled=record.doubled,
        damaged=record.damaged,
    )


def _rank(record: Record, dataset: str, protocol: str) -> tuple[int, str, bool, int, int]:
    """Place of a comparison: data sets as the studies list them, then protocols, those that are no headline last."""
    listed = list(dict.fromkeys(data.label or data.name for study in record.studies for data in study.study.data))
    place = next((at for at, name in enumerate(listed) if same_data(dataset, name)), len(listed))
    settings = protocols(record.studies).get(protocol)
    behind = protocol.startswith(FITTED) or (settings is not None and settings.labels == "shuffled")
    for nth, study in enumerate(record.studies):
        names = [study.renamed.get(part.name, part.name) for part in study.study.protocol]
        if protocol in names:
            return place, dataset, behind, nth, names.index(protocol)
    return place, dataset, True, len(record.studies), 0


def _comparison(
    record: Record, dataset: str, protocol: str, runs: Sequence[RunRecord], order: Sequence[Subject]
) -> Comparison:
    counts = Counter((run.loss, run.variant) for run in runs)
    trained = [subject for subject in order if (subject.loss, subject.variant) in counts]
    # Every loss starts from the same weights, so the one with the most seeds speaks for the untrained network.
    fullest = max(trained, key=lambda subject: counts[subject.loss, subject.variant])
    rows = (FEATURES if trained_on_features(record.studies, dataset) else INPUT, WHITENED, UNTRAINED, *trained)
    series = {row: series_of(record, dataset, protocol, fullest if row == UNTRAINED else row) for row in rows}
    keys = [key for of in series.values() for key in of]
    splits = {split for split, _, _ in keys if split}
    evaluation = next((split for split in EVALUATION_SPLITS if split in splits), None)
    epochs = max(run.epochs for run in runs)
    last = {row: epochs if row.kind == "trained" else 0 for row in rows}
    found = {row: estimates(series[row], evaluation, last[row], trained=row.kind == "trained") for row in rows}
    classes = {split: {item for where, name, item in keys if (where, name) == (split, PER_CLASS)} for split in splits}
    classes = {split: items for split, items in classes.items() if items}
    hyperparameters = {row: _hyperparameters(record, dataset, protocol, row) for row in trained}
    settings = protocols(record.studies).get(protocol)
    tuned = _tunable(classes, evaluation)
    best = best_on_validation(trained, found) if tuned else None
    base_dataset, class_split = class_split_of(record.studies, dataset)
    comparison = Comparison(
        dataset=dataset,
        protocol=protocol,
        epochs=epochs,
        evaluation=evaluation,
        split_protocol=split_protocol(record.studies, dataset),
        classes={split: len(classes[split]) for split in sorted(classes)},
        subjects=tuple(row for row in rows if row.kind == "trained" or found[row]),
        estimates={(row, key): estimate for row, of in found.items() for key, estimate in of.items()},
        curves={(row, key): curve for row in trained for key, curve in curves(series[row]).items()},
        class_variances={},
        planes={},
        hyperparameters=hyperparameters,
        runs=tuple(runs),
        drawn_per_seed=_drawn_per_seed(runs),
        shuffled=settings is not None and settings.labels == "shuffled",
        profiles={(row, name): items for row in trained for name, items in profiles(series[row], epochs).items()},
        representatives=best or nearest_to_defaults(hyperparameters),
        tuned=best is not None,
        selections=selections({row: series[row] for row in trained}, evaluation, epochs)
        if tuned and evaluation
        else (),
        class_split=class_split,
        base_dataset=base_dataset,
    )
    if comparison.shuffled:  # a baseline: its numbers are enough
        return comparison
    pictured = [row for row in rows if row.kind != "trained" or row in comparison.shown]
    return replace(
        comparison,
        class_variances={row: of for row in pictured if (of := class_variances(series[row], last[row]))},
        planes=planes(record, dataset, protocol, pictured),
    )


def _drawn_per_seed(runs: Sequence[RunRecord]) -> bool:
    """Whether within every loss each seed has data of its own; data that changed between runs are another matter."""
    prints: dict[tuple[str, str], dict[int, str]] = {}
    for run in runs:
        prints.setdefault((run.loss, run.variant), {})[run.seed] = run.data_fingerprint
    several = [of for of in prints.values() if len(of) > 1]
    return bool(several) and all(len(set(of.values())) == len(of) for of in several)


def _tunable(classes: Mapping[str, set[int | None]], evaluation: str | None) -> bool:
    """Whether there is a validation split whose classes are in no other split."""
    others = [items for split, items in classes.items() if split != VALIDATION]
    own = classes.get(VALIDATION, set())
    return bool(own) and evaluation != VALIDATION and all(own.isdisjoint(items) for items in others)


def _hyperparameters(record: Record, dataset: str, protocol: str, subject: Subject) -> Mapping[str, Any]:
    place = (dataset, protocol, subject.loss, subject.variant)
    return next(study.hyperparameters[place] for study in record.studies if place in study.hyperparameters)


def _differences(comparisons: Sequence[Comparison]) -> list[Difference]:
    """All loss pairs x comparisons of each measure, trained on the labels as given; one family for each measure."""
    found = []
    for measure in COMPARED:
        region, family = region_of(measure.diagnostic), []
        for comparison in (part for part in comparisons if not part.shuffled):
            for first, second in combinations(comparison.shown, 2):
                if both := on_equal_data(Side(comparison, first), Side(comparison, second), measure):
                    family.append((comparison, first, second, both))
        pairs = [paired_difference(*both) for *_, both in family]
        adjusted = iter(holm([paired.p for paired in pairs if paired.p is not None]))
        for (comparison, first, second, both), paired in zip(family, pairs, strict=True):
            simultaneous = _simultaneous(region, *both, len(family))
            found.append(
                Difference(
                    comparison=comparison,
                    measure=measure,
                    first=first,
                    second=second,
                    paired=paired,
                    adjusted_p=None if paired.p is None else next(adjusted),
                    family=len(family),
                    region=region,
                    simultaneous=simultaneous,
                    verdict=verdict(simultaneous, region) if simultaneous else "cannot tell",
                    population=population(comparison),
                )
            )
    return found


def _simultaneous(
    region: Region, first: Mapping[int, float], second: Mapping[int, float], family: int
) -> Interval | None:
    """The interval on the scale of the region; None where that is of logarithms and a value is not positive."""
    if region.scale == "log" and min(*first.values(), *second.values()) <= 0:
        return None
    return simultaneous_interval(list(region.effects(first, second).values()), family)
