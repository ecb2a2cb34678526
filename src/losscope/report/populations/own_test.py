"""Paper A's own test, a paired t test over the classes of one run, beside the test over seeds that a verdict rests on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from losscope.report.differences import verdict_words
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import OneRunTest, one_run_test
from losscope.statistics.paired import ALPHA
from losscope.summary.formatting import ABSENT, interval_text, p_text
from losscope.summary.measures import INTRA_TRAIN
from losscope.summary.pairing import Side, seeds_of_other_data
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Difference, Summary

LOSSES = ("contrastive", "triplet")
"""The losses that the paper compares; differences are of the second minus the first."""


@dataclass(frozen=True)
class OwnTest:
    """Triplet minus contrastive intra-class variance on the training split of one comparison."""

    comparison: Comparison
    contrastive: Subject
    triplet: Subject
    by_seed: Mapping[int, OneRunTest]  # the paper's test in every run; the paper has one
    over_seeds: Difference | None  # triplet minus contrastive, too: subjects keep one order

    @property
    def seed(self) -> int:
        """The first run, which stands for the paper's only one."""
        return min(self.by_seed)

    @property
    def one_run(self) -> OneRunTest:
        """What the paper would have printed."""
        return self.by_seed[self.seed]

    def significant(self, sign: int) -> int:
        """Runs in which this test has p < 5 % with a difference of this sign."""
        tests = self.by_seed.values()
        return sum(test.p is not None and test.p < ALPHA and sign * test.interval.mean > 0 for test in tests)


def own_tests(summary: Summary) -> tuple[OwnTest, ...]:
    """One for each comparison that has both losses, with one variant of each."""
    return tuple(test for comparison in summary.given for test in _own_test(summary, comparison))


def _own_test(summary: Summary, comparison: Comparison) -> Iterator[OwnTest]:
    of = {subject.loss: subject for subject in comparison.representatives}
    if not all(loss in of for loss in LOSSES):
        return
    contrastive, triplet = (of[loss] for loss in LOSSES)
    one, other = (_by_seed(comparison, subject) for subject in (contrastive, triplet))
    other_data = seeds_of_other_data(Side(comparison, contrastive), Side(comparison, triplet))
    tests = {
        seed: one_run_test(one[seed], other[seed])
        for seed in sorted((one.keys() & other.keys()) - other_data)
        if one[seed].keys() & other[seed].keys()
    }
    if tests:
        over_seeds = summary.difference(comparison, INTRA_TRAIN, {contrastive, triplet})
        yield OwnTest(comparison, contrastive, triplet, tests, over_seeds)


def _by_seed(comparison: Comparison, subject: Subject) -> dict[int, dict[int, float]]:
    """Seed -> class -> intra-class variance on the training split."""
    found: dict[int, dict[int, float]] = {}
    for label, values in comparison.class_variances.get(subject, {}).items():
        for seed, value in values.items():
            found.setdefault(seed, {})[label] = value
    return found


def own_test_table(tests: Sequence[OwnTest]) -> Table | None:
    """None where nothing has both losses."""
    if not tests:
        return None
    paper, seeds = "classes of one run (pseudo-replication)", "paired over seeds"
    columns = (
        Column("difference", "intra_class_variance_mean", paper), Column("classes", group=paper), Column("p", group=paper),
        Column("p < 0.05 in: triplet larger / contrastive larger / runs", group=paper),
        Column("difference", "paired", seeds), Column("n", "seeds", seeds), Column("Holm's p", "holm", seeds),
        Column("verdict", "verdict", seeds, words=True), Column("speaks for", group=seeds, words=True),
    )  # fmt: skip
    return Table(
        "own-test",
        "What the paper's own test says",
        "Paper A tests intra-class variance by a paired t test over the classes of one run. That is pseudo-replication: the "
        "classes share one network's weights and data, so its p says nothing about other seeds, however small it is. "
        "Here it is of the first seed's run, and counted over all runs; no verdict rests on it. The right half is the "
        "same difference over seeds. Training split, last epoch, mean [95 % t interval].",
        "triplet minus contrastive",
        columns,
        (Group("", tuple(_row(test) for test in tests)),),
    )


def _row(test: OwnTest) -> Row:
    one_run, found = test.one_run, test.over_seeds
    counts = f"{test.significant(1)} / {test.significant(-1)} / {len(test.by_seed)}"
    return Row(
        f"{test.triplet.label} − {test.contrastive.label}, {test.comparison.title}",
        (
            interval_text(one_run.interval, signed=True),
            f"{len(one_run.classes):,}",
            ABSENT if one_run.p is None else p_text(one_run.p),
            counts,
            *(_over_seeds(found) if found else [ABSENT] * 5),
        ),
    )


def _over_seeds(found: Difference) -> tuple[str, ...]:
    return (
        interval_text(found.paired.interval, signed=True),
        str(found.paired.n),
        ABSENT if found.adjusted_p is None else p_text(found.adjusted_p),
        verdict_words(found),
        found.population,
    )
