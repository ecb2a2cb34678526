"""Two losses paired by seed, wherever they stand in a record; refused where more than the loss differs.

A seed gives every loss the same data, initial weights, batches and tuples, so a difference within a seed is the loss's
alone, as long as nothing else differs. `compare` is the door to it: it names every setting that does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from losscope.errors import IncomparableRuns, InvalidInput, UnknownName
from losscope.statistics import PairedDifference, paired_difference
from losscope.summary.formatting import interval_text
from losscope.summary.measures import BY_KEY, RECALL_1, Measure
from losscope.summary.reading import protocols
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

NO_SETTING = {"name", "data", "loss", "chunk", "evaluate_at", "evaluate_every"}
"""Keys of a protocol that decide no result: what it is called, where it is used, how often is looked."""

OF_INPUTS = ("inputs", "batch.outliers")
"""Settings that a measurement of the input itself depends on."""

COLUMNS = ("dataset", "protocol", "loss", "variant")


@dataclass(frozen=True)
class Side:
    """One of the two that are compared: a loss variant (or baseline) of one data set under one protocol."""

    comparison: Comparison
    subject: Subject

    @property
    def title(self) -> str:
        """Whose numbers, and where."""
        return f"{self.subject.label} ({self.comparison.title})"


@dataclass(frozen=True)
class Paired:
    """`second - first` of one measure, paired by seed, and for whom it speaks."""

    first: Side
    second: Side
    measure: Measure
    difference: PairedDifference
    population: str

    def __str__(self) -> str:
        shown = interval_text(self.difference.interval, signed=True)
        return (
            f"{self.second.subject.label} - {self.first.subject.label}, {self.measure.label}: {shown} (mean of {self.difference.n} "
            f"paired differences [95 % t interval]; {self.population})"
        )


def compare(
    folders: Sequence[Path | str] | Path | str,
    first: str | Mapping[str, str],
    second: str | Mapping[str, str],
    measure: str | Measure = RECALL_1,
    *,
    dataset: str | None = None,
    protocol: str | None = None,
) -> Paired:
    """`second - first` of one measure, paired by seed, from the studies in `folders`.

    A side is a loss ("triplet"), a loss with its variant ("triplet margin=0.5") or a mapping with any of the columns
    dataset, protocol, loss and variant of the table; `dataset` and `protocol` say it for both. `measure` is a key of
    report.json, such as "recall_at_k/1/evaluation/last", or a label, such as "Recall@1".

    Raises IncomparableRuns, which names every setting that differs, if the two are not of one protocol on the same data;
    UnknownName or InvalidInput if a side is not there, or is several.
    """
    from losscope.summary import summarize

    summary = summarize(folders)
    shared = {key: value for key, value in (("dataset", dataset), ("protocol", protocol)) if value is not None}
    return paired(summary, _side(summary, first, shared), _side(summary, second, shared), _measure(measure))


def paired(summary: Summary, first: Side, second: Side, measure: Measure) -> Paired:
    """`second - first` of one measure over the seeds that both have.

    Raises IncomparableRuns if they differ in more than the loss, or share no seed; InvalidInput if one has no such value.
    """
    if found := list(differing(summary, first, second)):
        raise IncomparableRuns(
            f"{first.title} and {second.title} can't be paired by seed, because more than the loss differs: "
            f"{'; '.join(found)}. Expected runs of one protocol on the same data: compare losses within each protocol, and "
            "the results of several protocols side by side"
        )
    values = []
    for side in (first, second):
        estimate = side.comparison.get(side.subject, measure)
        if estimate is None or not estimate.values:
            raise InvalidInput(f"{side.title} has no value of {measure.key}; expected a measure of this record")
        values.append(estimate.values)
    if not values[0].keys() & values[1].keys():
        raise IncomparableRuns(
            f"{first.title} has the seeds {sorted(values[0])} and {second.title} {sorted(values[1])}: they share none. "
            "Expected runs of the same seeds; train the missing ones with the same command"
        )
    return Paired(first, second, measure, paired_difference(*values), population(first.comparison))


def population(comparison: Comparison) -> str:
    """For whom differences over the seeds of a comparison speak."""
    return "other draws of the data and seeds" if comparison.drawn_per_seed else "other seeds on this split"


def differing(summary: Summary, first: Side, second: Side) -> Iterator[str]:
    """Everything but the loss that differs between two sides, as "key: value against value"."""
    one, other = first.comparison, second.comparison
    yield from _unequal("dataset", one.dataset, other.dataset)
    yield from _unequal("evaluation split", one.evaluation, other.evaluation)
    yield from _unequal("split protocol", one.split_protocol, other.split_protocol)
    ours, theirs = _settings(summary, first), _settings(summary, second)
    for key in sorted(ours.keys() & theirs.keys()):
        yield from _unequal(f"protocol {key}", ours[key], theirs[key])
    if one.dataset == other.dataset:
        yield from unequal_data(one, first.subject, other, second.subject)
    yield from _unequal("numerics version", _numerics(summary, first), _numerics(summary, second))


def unequal_data(one: Comparison, first: Subject, other: Comparison, second: Subject) -> Iterator[str]:
    """The seeds at which two subjects ran on data of other content, with the beginnings of their fingerprints."""
    ours, theirs = _fingerprints(one, first), _fingerprints(other, second)
    seeds = [seed for seed in sorted(ours.keys() & theirs.keys()) if ours[seed] != theirs[seed]]
    if seeds:
        at = f"seed {seeds[0]}" + (f" and {len(seeds) - 1} more" if len(seeds) > 1 else "")
        yield f"data fingerprint at {at}: {ours[seeds[0]][:12]} against {theirs[seeds[0]][:12]}"


def on_equal_data(
    first: Side, second: Side, measure: Measure, other: Measure | None = None
) -> tuple[dict[int, float], dict[int, float]] | None:
    """The values of two sides at the seeds that both have and at which both ran on the same data; None without any.

    The sides may be of two comparisons, such as two protocols. `other` is the second's measure, where it is not the same.
    """
    one = first.comparison.get(first.subject, measure)
    two = second.comparison.get(second.subject, other or measure)
    if one is None or two is None:
        return None
    seeds = sorted((one.values.keys() & two.values.keys()) - seeds_of_other_data(first, second))
    if not seeds:
        return None
    return {seed: one.values[seed] for seed in seeds}, {seed: two.values[seed] for seed in seeds}


def seeds_of_other_data(*sides: Side) -> set[int]:
    """The seeds at which the runs of these sides did not all see the same data: no difference within them is the loss's."""
    prints: dict[int, set[str]] = {}
    for side in sides:
        for run in side.comparison.runs_of(side.subject):
            prints.setdefault(run.seed, set()).add(run.data_fingerprint)
    return {seed for seed, found in prints.items() if len(found) > 1}


def _fingerprints(comparison: Comparison, subject: Subject) -> dict[int, str]:
    return {run.seed: run.data_fingerprint for run in comparison.runs_of(subject)}


def _unequal(key: str, one: Any, other: Any) -> Iterator[str]:
    if one != other:
        yield f"{key}: {one} against {other}"


def _settings(summary: Summary, side: Side) -> dict[str, Any]:
    """The protocol as dotted keys; of an input, what its measurement depends on."""
    protocol = protocols(summary.studies).get(side.comparison.protocol)
    settings = dict(_dotted(protocol.model_dump(mode="json", exclude=NO_SETTING))) if protocol else {}
    if side.subject.kind in ("input", "whitened"):
        return {key: settings[key] for key in OF_INPUTS if key in settings}
    return settings


def _dotted(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from _dotted(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _numerics(summary: Summary, side: Side) -> list[int]:
    """Numerics versions that the runs of a side may have been made with, as far as the record says."""
    runs = {run.run for run in side.comparison.runs_of(side.subject)}
    found = set()
    for study in summary.studies:
        if runs & {run.run for run in study.runs}:
            found |= {made.get("numerics") for made in study.manifest.get("invocations", ())}
    return sorted(version for version in found if version is not None)


def _side(summary: Summary, wanted: str | Mapping[str, str], shared: Mapping[str, str]) -> Side:
    sides = [Side(comparison, subject) for comparison in summary.comparisons for subject in comparison.subjects]
    if isinstance(wanted, str):
        named = [side for side in sides if wanted in (side.subject.label, _spelled(side), side.subject.loss)]
        exact = [side for side in named if wanted in (side.subject.label, _spelled(side))]
        if not named:
            raise UnknownName.of("loss of this record:", wanted, {side.subject.label for side in sides})
        found, columns = exact or named, dict(shared)
    else:
        if unknown := wanted.keys() - set(COLUMNS):
            raise UnknownName.of("column to choose runs by:", sorted(unknown)[0], COLUMNS)
        found, columns = sides, {**shared, **wanted}
    chosen = [side for side in found if all(_column(side, key) == value for key, value in columns.items())]
    if len(chosen) != 1:
        listed = "; ".join(side.title for side in chosen or found)
        raise InvalidInput(
            f"{wanted!r}{f' with {dict(shared)}' if shared else ''} means {len(chosen)} of the losses of this record; expected one. "
            f"Say dataset, protocol, loss and variant of one of: {listed}"
        )
    return chosen[0]


def _spelled(side: Side) -> str:
    return f"{side.subject.loss} {side.subject.variant}".strip()


def _column(side: Side, key: str) -> str:
    of: Comparison | Subject = side.comparison if key in ("dataset", "protocol") else side.subject
    return str(getattr(of, key))


def _measure(wanted: str | Measure) -> Measure:
    if isinstance(wanted, Measure):
        return wanted
    by_label = {measure.label: measure for measure in reversed(BY_KEY.values())}
    found = BY_KEY.get(wanted) or by_label.get(wanted)
    if found is None:
        raise UnknownName.of("measure", wanted, BY_KEY)
    return found
