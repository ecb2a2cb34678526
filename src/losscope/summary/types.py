"""The summary: all that a report says, as plain frozen data. Pages, figures and JSON only read it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from losscope.statistics import Interval, PairedDifference, Region, Verdict, paired_difference
from losscope.summary.measures import Measure
from losscope.summary.reading import StudyRecord
from losscope.summary.subjects import Kind, Subject
from losscope.table import RunRecord

FITTED = "best_fit"
"""The preset that was fitted to printed numbers: shown, but never the headline where another protocol is there. Nor is
training on shuffled labels."""

MOST_SHOWN = 14
"""Variants that a figure can show."""


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
        """Seeds, censored ones included."""
        return len(self.values) + len(self.never)


@dataclass(frozen=True)
class Curve:
    """A measure over epochs: mean and interval over seeds."""

    epochs: tuple[int, ...]
    points: tuple[Interval, ...]


@dataclass(frozen=True)
class Plane:
    """Samples of one run on the first two principal components of its own space."""

    seed: int
    split: str
    labels: tuple[int, ...]
    x: tuple[float, ...]
    y: tuple[float, ...]
    explained: float  # share of the variance that the two components hold
    samples: int  # of which these are evenly spaced


@dataclass(frozen=True)
class Choice:
    """A variant of a loss and an epoch of each of its runs, and what they reach; keys are seeds."""

    subject: Subject
    epochs: Mapping[int, int]
    validation: Mapping[int, float]
    test: Mapping[int, float]


@dataclass(frozen=True)
class Selection:
    """What one loss reaches when variant and epoch are chosen on validation classes, and when the test classes choose."""

    loss: str
    measure: Measure  # by which is chosen, and which is reported
    variants: int  # among which was chosen
    epochs: tuple[int, ...]  # the same
    left_out: tuple[Subject, ...]  # variants that lack seeds
    last: Choice
    chosen: Choice
    peeked: Choice

    @property
    def peeking_gain(self) -> PairedDifference:
        """What choosing on the test split adds to its own numbers, paired by seed."""
        return paired_difference(self.chosen.test, self.peeked.test)


@dataclass(frozen=True)
class Comparison:
    """One data set under one protocol: all numbers that may be compared with one another."""

    dataset: str
    protocol: str
    epochs: int
    evaluation: str | None  # the split that is not trained on
    split_protocol: str  # how the splits were made; empty if that is not known
    classes: Mapping[str, int]  # split -> classes measured
    subjects: tuple[Subject, ...]
    estimates: Mapping[tuple[Subject, str], Estimate]  # (subject, key of a measure)
    curves: Mapping[tuple[Subject, str], Curve]
    class_variances: Mapping[Subject, Mapping[int, Mapping[int, float]]]  # class -> seed -> variance, train
    planes: Mapping[Subject, Plane]
    hyperparameters: Mapping[Subject, Mapping[str, Any]]  # of the losses, defaults filled in
    runs: tuple[RunRecord, ...]  # those that are done
    drawn_per_seed: bool  # each seed has data, and so classes, of its own
    shuffled: bool  # trained on labels in random order
    profiles: Mapping[tuple[Subject, str], Mapping[int, Estimate]]  # (subject, diagnostic of the probe) -> item -> ...
    representatives: tuple[Subject, ...]  # one variant of each loss
    tuned: bool  # they were chosen on a validation split whose classes are neither trained on nor evaluated
    selections: tuple[Selection, ...]  # of each loss, where there is such a split
    class_split: int  # which classes are trained on; 0 the customary ones
    base_dataset: str  # the data set's name without its class split

    @property
    def trained(self) -> tuple[Subject, ...]:
        """The loss variants."""
        return tuple(subject for subject in self.subjects if subject.kind == "trained")

    @property
    def shown(self) -> tuple[Subject, ...]:
        """The variants that figures show and whose differences are tested: all, or one of each loss where they were
        tuned or are too many to be told apart."""
        return self.representatives if self.tuned or len(self.trained) > MOST_SHOWN else self.trained

    @property
    def budgets(self) -> Mapping[str, int]:
        """Loss -> its variants."""
        return Counter(subject.loss for subject in self.trained)

    def reference(self, kind: Kind) -> Subject | None:
        """The input or the untrained network, if it was measured."""
        return next((subject for subject in self.subjects if subject.kind == kind), None)

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that any loss has finished."""
        return tuple(sorted({run.seed for run in self.runs}))

    @property
    def title(self) -> str:
        """Data set and protocol."""
        return f"{self.dataset}, protocol {self.protocol}"

    def runs_of(self, subject: Subject) -> tuple[RunRecord, ...]:
        """The runs of one loss variant."""
        return tuple(run for run in self.runs if (run.loss, run.variant) == (subject.loss, subject.variant))

    def get(self, subject: Subject, measure: Measure) -> Estimate | None:
        """The estimate, or None where it is not measured."""
        return self.estimates.get((subject, measure.key))

    def interval(self, subject: Subject, measure: Measure) -> Interval | None:
        """Mean and interval over seeds, or None where there are none."""
        estimate = self.get(subject, measure)
        return estimate.interval if estimate else None

    def mean(self, subject: Subject | None, measure: Measure) -> float | None:
        """The mean over seeds, or None where there is none."""
        estimate = self.get(subject, measure) if subject else None
        return estimate.interval.mean if estimate and estimate.interval else None


@dataclass(frozen=True)
class Difference:
    """`second - first` of one measure in one comparison, with Holm's p over its family and the verdict.

    The p values ask whether there is any difference, the verdict asks whether it is beyond the region of practical
    equivalence.
    """

    comparison: Comparison
    measure: Measure
    first: Subject
    second: Subject
    paired: PairedDifference
    adjusted_p: float | None
    family: int  # differences of this measure in this report
    region: Region
    simultaneous: Interval | None  # on the scale of the region; None where a value has no logarithm
    verdict: Verdict
    population: str  # for whom the verdict speaks

    @property
    def effect(self) -> Interval | None:
        """`simultaneous` as a difference, or on the log scale as the ratio of geometric means second/first."""
        found = self.simultaneous
        if found is None or self.region.scale == "absolute":
            return found
        low, high = (None if bound is None else math.exp(bound) for bound in (found.low, found.high))
        return Interval(found.n, math.exp(found.mean), low, high)


@dataclass(frozen=True)
class Summary:
    """A report's content. `studies` and `runs` are what was read, the rest is computed from them."""

    studies: tuple[StudyRecord, ...]
    runs: tuple[RunRecord, ...]
    comparisons: tuple[Comparison, ...]
    differences: tuple[Difference, ...]
    subjects: tuple[Subject, ...]
    doubled: int  # runs that stand in a folder twice, under digests that differ
    damaged: tuple[str, ...] = ()  # what could not be read and was left out

    @property
    def title(self) -> str:
        """The names of the studies."""
        return " + ".join(dict.fromkeys(study.study.name for study in self.studies))

    @property
    def headline(self) -> tuple[Comparison, ...]:
        """The comparisons that the first words are about."""
        read = {part.dataset for part in self.comparisons if not part.protocol.startswith(FITTED) and not part.shuffled}
        return tuple(
            part
            for part in self.comparisons
            if part.dataset not in read or not (part.protocol.startswith(FITTED) or part.shuffled)
        )

    @property
    def given(self) -> tuple[Comparison, ...]:
        """The comparisons that were trained on the labels as given."""
        return tuple(part for part in self.comparisons if not part.shuffled)

    def trained_means(self, measure: Measure) -> list[tuple[Comparison, Subject, float]]:
        """Mean of the measure for each loss of each comparison that has it, trained on the labels as given."""
        return [
            (comparison, subject, mean)
            for comparison in self.given
            for subject in comparison.trained
            if (mean := comparison.mean(subject, measure)) is not None
        ]

    def difference(self, comparison: Comparison, measure: Measure, pair: set[Subject]) -> Difference | None:
        """The difference between two subjects, whichever comes first."""
        for found in self.differences:
            if found.comparison is comparison and found.measure == measure and {found.first, found.second} == pair:
                return found
        return None
