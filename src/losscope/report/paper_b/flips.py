"""Orderings of two losses by relative activity that turn around with its threshold: no property of the losses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

from losscope.report.paper_b.greediness import threshold
from losscope.report.paper_b.source import cited
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import Interval, mean_interval
from losscope.summary.formatting import interval_text
from losscope.summary.measures import RELATIVE_ACTIVITY
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Estimate

LISTED = 6
"""Pairs of losses that a sentence can list."""


@dataclass(frozen=True)
class Flip:
    """A pair of losses whose order depends on the threshold. `differences`: item -> first minus second, within seeds."""

    first: Subject
    second: Subject
    differences: Mapping[int, Interval]

    @property
    def clear(self) -> bool:
        """Whether one whole interval lies above 0 and another below."""
        known = [
            (one.low, one.high) for one in self.differences.values() if one.low is not None and one.high is not None
        ]
        return any(low > 0 for low, _ in known) and any(high < 0 for _, high in known)

    @property
    def label(self) -> str:
        """The difference by name."""
        return f"{cited(self.first)} − {cited(self.second)}"


@dataclass(frozen=True)
class Flips:
    """What flips in one comparison: in a sentence, and as a table where anything does."""

    found: tuple[Flip, ...]
    sentence: str
    table: Table | None


def flips(comparison: Comparison, anchor: str) -> Flips | None:
    """The pairs of losses whose mean difference has both signs among the thresholds, those that flip clearly first.

    None where relative activity was not measured for two losses at two thresholds.
    """
    profiles = {subject: comparison.profiles.get((subject, RELATIVE_ACTIVITY)) for subject in comparison.shown}
    measured = {subject: of for subject, of in profiles.items() if of}
    items = sorted({item for of in measured.values() for item in of})
    if len(items) < 2 or len(measured) < 2:
        return None
    pairs = len(measured) * (len(measured) - 1) // 2
    found = tuple(sorted(_flips(measured, items), key=lambda flip: not flip.clear))
    return Flips(found, _sentence(found, pairs), _table(comparison, found, items, anchor) if found else None)


def _flips(measured: Mapping[Subject, Mapping[int, Estimate]], items: Sequence[int]) -> Iterator[Flip]:
    for first, second in combinations(measured, 2):
        differences = _differences(measured[first], measured[second], items)
        if _has_both_signs(one.mean for one in differences.values()):
            yield Flip(first, second, differences)


def _differences(
    first: Mapping[int, Estimate], second: Mapping[int, Estimate], items: Sequence[int]
) -> dict[int, Interval]:
    found = {}
    for item in items:
        one, two = (of[item].values if item in of else {} for of in (first, second))
        if shared := sorted(one.keys() & two.keys()):
            found[item] = mean_interval([one[seed] - two[seed] for seed in shared])
    return found


def _has_both_signs(values: Iterable[float]) -> bool:
    signs = {value > 0 for value in values if value}
    return len(signs) == 2


def _sentence(found: Sequence[Flip], pairs: int) -> str:
    if not found:
        return f"Every one of {pairs} pairs of losses has the same order by relative activity at all thresholds."
    clear = sum(flip.clear for flip in found)
    named = "; ".join(f"{cited(flip.first)} and {cited(flip.second)}" for flip in found[:LISTED])
    more = f" and {len(found) - LISTED} more" if len(found) > LISTED else ""
    return (
        f"The order by relative activity flips with the threshold in {len(found)} of {pairs} pairs of losses, "
        f"{f'clearly in {clear}' if clear else 'within the intervals'}: {named}{more}. Such an order says as much of the "
        "threshold as of the losses."
    )


def _table(comparison: Comparison, found: Sequence[Flip], items: Sequence[int], anchor: str) -> Table:
    rows = []
    for flip in found:
        cells = [
            interval_text(flip.differences[item], signed=True) if item in flip.differences else "" for item in items
        ]
        rows.append(Row(flip.label, (*cells, "flips clearly" if flip.clear else "flips, within the intervals")))
    columns = (
        *(Column(f"above {threshold(item)}", "relative_activity") for item in items),
        Column("order", words=True),
    )
    caption = "Difference of relative activity within seeds, mean [95 % t interval], at each threshold."
    return Table(
        anchor, "Orders that flip with the threshold", caption, "pair", columns, (Group(comparison.title, tuple(rows)),)
    )
