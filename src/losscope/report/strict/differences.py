"""Differences between losses that were each chosen on validation classes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations

from losscope.report.strict.class_splits import ClassSplits, mean
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import (
    MINIMUM_SPLITS,
    Contrast,
    FoldDifference,
    corrected_fold_difference,
    decide,
    region_of,
    standing,
)
from losscope.statistics.paired import ALPHA
from losscope.summary.formatting import ABSENT, interval_text, p_text
from losscope.summary.measures import RECALL_1
from losscope.summary.pairing import Side, population, seeds_of_other_data
from losscope.summary.types import Comparison, Selection

OTHER_SPLITS = "other class splits"
COLUMNS = (
    Column("difference", "paired"), Column("n", words=True), Column("p"), Column("Holm's p", "holm"),
    Column("verdict", "verdict", words=True), Column("speaks for", words=True),
)  # fmt: skip


def differences_table(found: Sequence[ClassSplits]) -> Table | None:
    """All pairs of losses: over the seeds of a class split, or over class splits where there are several."""
    groups = [
        *_pairs_over_seeds([part for part in found if not part.several]),
        *_pairs_over_splits([part for part in found if part.several]),
    ]
    if not any(group.rows for group in groups):
        return None
    return Table(
        "strict-differences",
        "Differences between losses, each chosen on validation classes",
        "Second minus first in Recall@1 on the test classes, mean [95 % interval]. "
        f"A verdict is about more than {region_of(RECALL_1.diagnostic).words}, the region of practical equivalence, "
        "and adjusted for all pairs of its kind here. Over seeds p asks whether the difference is at the region's edge, and "
        "Holm's p decides; over class splits p asks whether there is no difference at all, and an interval that is right for "
        "all pairs together decides. Class splits that share classes are no replicates: their interval "
        "is corrected, and wide.",
        "second minus first",
        COLUMNS,
        tuple(group for group in groups if group.rows),
    )


def _pairs_over_seeds(parts: Sequence[ClassSplits]) -> Iterator[Group]:
    region = region_of(RECALL_1.diagnostic)
    pairs = [(part, *pair) for part in parts for pair in combinations(part.comparisons[0].selections, 2)]
    family = []
    for part, one, other in pairs:
        # The direction that the data show: "smaller" turns the sign, a two-sided p pays for having looked.
        name, whom = f"{other.loss} − {one.loss}", population(part.comparisons[0])
        first, second = chosen_on_equal_data(part.comparisons[0], one, other)
        larger = not first or mean(second) >= mean(first)
        family.append(
            Contrast.paired(name, first, second, region=region, population=whom,
                            direction="larger" if larger else "smaller")
        )  # fmt: skip
    decisions = decide(family) if family else []
    for part in parts:
        rows = []
        for (place, *_), decision in zip(pairs, decisions, strict=True):
            if place is part and decision.effect:
                told = (
                    decision.contrast.direction
                    if decision.verdict == "holds"
                    else f"{decision.verdict}: {decision.why}"
                )
                rows.append(
                    Row(decision.contrast.name, (interval_text(decision.effect, signed=True), f"{decision.n} seeds",
                                                 _p(decision.p), _p(decision.p_adjusted), told, decision.population))
                )  # fmt: skip
        yield Group(part.title, tuple(rows))


def _pairs_over_splits(parts: Sequence[ClassSplits]) -> Iterator[Group]:
    region = region_of(RECALL_1.diagnostic)
    pairs = [(part, *pair) for part in parts for pair in combinations(part.losses, 2) if _share_seeds(part, *pair)]
    found = [_over_splits(*pair, level=1 - ALPHA) for pair in pairs]
    wide = [_over_splits(*pair, level=1 - ALPHA / len(pairs)) for pair in pairs]  # right together for all pairs
    for part in parts:
        rows = []
        for (place, first, second), one, simultaneous in zip(pairs, found, wide, strict=True):
            if place is part:
                few = one.interval.n < MINIMUM_SPLITS
                told = (
                    f"cannot tell: a verdict needs {MINIMUM_SPLITS} class splits"
                    if few
                    else standing(simultaneous.interval, region)
                )
                difference = interval_text(one.interval, signed=True)
                cells = (difference, f"{one.interval.n} splits", _p(one.p), ABSENT, told, OTHER_SPLITS)
                rows.append(Row(f"{second} − {first}", cells))
        yield Group(part.title, tuple(rows))


def _share_seeds(part: ClassSplits, first: str, second: str) -> bool:
    return all(one for one, _ in _sides(part, first, second))


def _over_splits(part: ClassSplits, first: str, second: str, *, level: float) -> FoldDifference:
    """`second - first`, one mean over the seeds that both have for each class split."""
    region = region_of(RECALL_1.diagnostic)
    means = [mean(region.effects(*both)) for both in _sides(part, first, second)]
    return corrected_fold_difference(means, test_share=part.test_share, level=level)


def _sides(part: ClassSplits, first: str, second: str) -> list[tuple[dict[int, float], dict[int, float]]]:
    """What both losses reach in each class split."""
    chosen = zip(part.comparisons, part.selections(first), part.selections(second), strict=True)
    return [chosen_on_equal_data(*both) for both in chosen]


def chosen_on_equal_data(
    comparison: Comparison, one: Selection, other: Selection
) -> tuple[dict[int, float], dict[int, float]]:
    """What both reach on the test classes, at the seeds at which both ran on the same data."""
    sides = [Side(comparison, chosen.chosen.subject) for chosen in (one, other)]
    seeds = sorted((one.chosen.test.keys() & other.chosen.test.keys()) - seeds_of_other_data(*sides))
    return {seed: one.chosen.test[seed] for seed in seeds}, {seed: other.chosen.test[seed] for seed in seeds}


def _p(p: float | None) -> str:
    return ABSENT if p is None else p_text(p)
