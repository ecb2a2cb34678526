"""Retrieval compared over seeds and, crossed with them, classes: would a difference be there for other classes, too?

The differences of a summary speak for other seeds on the very classes that were queried. Here classes are drawn as well,
from the stored results of every query.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from losscope.errors import DamagedRecord
from losscope.statistics import (
    CrossedDifference,
    Interval,
    Region,
    Verdict,
    crossed_bootstrap,
    crossed_interval,
    region_of,
    verdict,
)
from losscope.statistics.crossed import MINIMUM_DRAWN, Treatment
from losscope.statistics.paired import ALPHA
from losscope.summary.measures import MAP_AT_R, RECALL_1, Measure
from losscope.summary.queries import Aligned, aligned, files_of, results, rows_in
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary

COLUMNS = {RECALL_1: "recall_at_1", MAP_AT_R: "average_precision_at_r"}
"""Measure -> the column whose mean over queries it is."""

MOST_ROWS = 2_000_000
"""Rows of per-query results that are read for one report, so that it opens in seconds."""

MOST_BOOTSTRAPPED = 20_000
"""Queries, summed over all differences, up to which the slow bootstrap stands beside the jackknife: about 4 seconds."""

SEEDS, CLASSES = MINIMUM_DRAWN["jackknife"]["seeds"], MINIMUM_DRAWN["jackknife"]["classes"]
TOO_FEW = f"fewer than {SEEDS} seeds that two losses share"


@dataclass(frozen=True)
class Crossed:
    """`second - first` of one measure, with seeds and classes (or queries) drawn."""

    comparison: Comparison
    measure: Measure
    first: Subject
    second: Subject
    jackknife: CrossedDifference
    simultaneous: Interval  # at 1 - 5 %/family
    bootstrap: CrossedDifference | None  # from 20 seeds and 20 classes on
    family: int  # crossed differences of this measure
    region: Region
    verdict: Verdict
    population: str


@dataclass(frozen=True)
class Crossings:
    """All crossed differences of a summary, and where there are none."""

    differences: tuple[Crossed, ...]
    left_out: dict[str, tuple[str, ...]]  # reason -> comparisons

    def of(self, measure: Measure) -> tuple[Crossed, ...]:
        """The family of one measure."""
        return tuple(found for found in self.differences if found.measure == measure)


@dataclass(frozen=True)
class _Pair:
    comparison: Comparison
    measure: Measure
    first: Subject
    second: Subject
    values: Aligned

    @property
    def sizes(self) -> np.ndarray:
        return np.unique(self.values.labels, return_counts=True)[1]

    @property
    def classes(self) -> Treatment:
        """Below 20 classes they are not drawn: the queries within each are."""
        return "drawn" if len(self.sizes) >= CLASSES else "fixed"

    @property
    def may_be_bootstrapped(self) -> bool:
        return self.classes == "drawn" and len(self.values.seeds) >= MINIMUM_DRAWN["bootstrap"]["seeds"]

    @property
    def population(self) -> str:
        if self.classes == "drawn":
            return "other seeds and other classes like these, among the same distractors"
        return f"other seeds and other queries of these {len(self.sizes)} classes, among the same distractors"


def crossed_differences(summary: Summary) -> Crossings:
    """Every pair of losses, one variant of each, in every comparison that keeps per-query results; one family for each
    measure. What can't be crossed is left out, with the reason."""
    pairs: list[_Pair] = []
    left_out: dict[str, list[str]] = {}
    left = MOST_ROWS
    for comparison in summary.given:
        if comparison.evaluation is None or len(comparison.representatives) < 2:
            continue
        try:
            reason, rows, found = _pairs(summary, comparison, left)
        except DamagedRecord as error:
            reason, rows, found = str(error), 0, []
        left -= rows
        pairs += found
        if reason:
            left_out.setdefault(reason, []).append(comparison.title)
    return Crossings(tuple(_crossed(pairs)), {reason: tuple(titles) for reason, titles in left_out.items()})


def _pairs(summary: Summary, comparison: Comparison, left: int) -> tuple[str, int, list[_Pair]]:
    """Why a comparison, or part of it, is left out (empty if it isn't), how many rows were read, and its pairs."""
    if comparison.drawn_per_seed:
        return "not applicable, each seed has data, and so queries, of its own", 0, []
    if not _enough_seeds(comparison):
        return TOO_FEW, 0, []
    wanted = [run.run for subject in comparison.representatives for run in comparison.runs_of(subject)]
    files = files_of(summary.studies, wanted)
    if not files:
        return "no results of single queries are stored", 0, []
    rows = rows_in(files)
    if rows > left:
        return f"more results of single queries than the {MOST_ROWS:,} rows that one report reads", 0, []
    read = results(files, comparison, comparison.representatives, tuple(COLUMNS.values()))
    found, reasons = [], []
    for first, second in combinations(comparison.representatives, 2):
        if _several_data(comparison, first, second):
            reasons.append("the data changed between runs, so their queries may be others")
            continue
        for measure, column in COLUMNS.items():
            values = aligned(read.get(first, {}), read.get(second, {}), column)
            pair = values and _Pair(comparison, measure, first, second, values)
            if not pair:
                reasons.append("losses share no query with one label in all seeds")
            elif len(pair.values.seeds) < SEEDS:
                reasons.append(TOO_FEW)
            elif pair.classes == "fixed" and pair.sizes.min() < 2:
                reasons.append(f"fewer than {CLASSES} classes, one of them with a single query")
            else:
                found.append(pair)
    return "; ".join(dict.fromkeys(reasons)), rows, found


def _enough_seeds(comparison: Comparison) -> bool:
    """Whether any two losses may share the seeds that it takes, known before anything is read."""
    seeds = [{run.seed for run in comparison.runs_of(subject)} for subject in comparison.representatives]
    return any(len(one & other) >= SEEDS for one, other in combinations(seeds, 2))


def _several_data(comparison: Comparison, *subjects: Subject) -> bool:
    return len({run.data_fingerprint for subject in subjects for run in comparison.runs_of(subject)}) > 1


def _crossed(pairs: Sequence[_Pair]) -> Iterator[Crossed]:
    queries = sum(len(pair.values.labels) for pair in pairs if pair.may_be_bootstrapped)
    for measure in COLUMNS:
        region, family = region_of(measure.diagnostic), [pair for pair in pairs if pair.measure == measure]
        for pair in family:
            values, classes = pair.values, pair.classes
            both = values.first, values.second, values.labels.tolist()
            simultaneous = crossed_interval(*both, classes=classes, level=1 - ALPHA / len(family)).interval
            repeated = pair.may_be_bootstrapped and queries <= MOST_BOOTSTRAPPED
            yield Crossed(
                comparison=pair.comparison,
                measure=measure,
                first=pair.first,
                second=pair.second,
                jackknife=crossed_interval(*both, classes=classes),
                simultaneous=simultaneous,
                bootstrap=crossed_bootstrap(*both) if repeated else None,
                family=len(family),
                region=region,
                verdict=verdict(simultaneous, region),
                population=pair.population,
            )
