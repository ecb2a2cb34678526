"""The table of differences between losses, paired by seed, with all that a verdict rests on."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from losscope.report.tables import WHERE, Column, Group, Row, Table
from losscope.statistics import MINIMUM_SEEDS
from losscope.summary.crossing import Crossed
from losscope.summary.formatting import ABSENT, interval_text, p_text
from losscope.summary.types import Difference, Summary

EQUAL = "equal in practice"
COLUMNS = (
    Column("difference", "paired"), Column("n", "seeds"), Column("p, paired t"), Column("Holm's p", "holm"),
    Column("p, sign flip", "sign_flip"), Column("p, Wilcoxon", "wilcoxon"), Column("smallest p of these two"),
    Column("simultaneous", "simultaneous"), Column("verdict", "verdict", words=True),
)  # fmt: skip


def differences_tables(summary: Summary) -> list[Table]:
    """One table for each measure; the differences in it are one family of tests."""
    tables: list[Table] = []
    for measure in dict.fromkeys(difference.measure for difference in summary.differences):
        family = [difference for difference in summary.differences if difference.measure == measure]
        groups = [
            Group(part.title, tuple(_rows(found for found in family if found.comparison is part)))
            for part in summary.comparisons
        ]
        title = f"{measure.label} ({WHERE[measure.where]})"
        shown = tuple(group for group in groups if group.rows)
        anchor = f"differences-{len(tables) + 1}"
        tables.append(Table(anchor, title, _caption(family), "second minus first", COLUMNS, shown))
    return tables


def _caption(family: Sequence[Difference]) -> str:
    """What the columns are, what decides, and for whom the verdicts speak."""
    region = family[0].region
    kind = "ratio of geometric means, second/first," if region.scale == "log" else "difference"
    return (
        f"Differences within seeds, mean [95 % t interval]. p values of two-sided tests of no difference at all; Holm's "
        f"adjustment over this table. Simultaneous: {kind} with an interval that holds for all {family[0].family} differences "
        f"of this table together. Its place decides: beyond {region.words}, the region of practical equivalence, inside it "
        f"(equal in practice), or across an edge (cannot tell). Verdicts speak for {_populations(family)}."
    )


def _populations(family: Sequence[Difference]) -> str:
    """One population, or each with the comparisons that it is of."""
    of: dict[str, dict[str, None]] = {}
    for found in family:
        of.setdefault(found.population, {})[found.comparison.title] = None
    if len(of) == 1:
        return next(iter(of))
    return "; for ".join(f"{population} ({', '.join(titles)})" for population, titles in of.items())


def verdict_words(found: Difference | Crossed) -> str:
    """The verdict as a reader sees it."""
    if found.verdict == "cannot tell yet":
        return f"cannot tell yet (n < {MINIMUM_SEEDS})"
    if found.simultaneous is None:
        return "cannot tell (a value without a logarithm)"
    return EQUAL if found.verdict == "equivalent" else found.verdict


def _rows(family: Iterable[Difference]) -> Iterable[Row]:
    for found in family:
        paired = found.paired
        yield Row(
            f"{found.second.label} − {found.first.label}",
            (
                interval_text(paired.interval, signed=True),
                str(paired.n),
                ABSENT if paired.p is None else p_text(paired.p),
                ABSENT if found.adjusted_p is None else p_text(found.adjusted_p),
                p_text(paired.p_sign_flip),
                p_text(paired.p_wilcoxon),
                p_text(paired.p_smallest),
                _simultaneous(found),
                verdict_words(found),
            ),
        )


def _simultaneous(found: Difference) -> str:
    if found.effect is None:
        return ABSENT
    ratio = found.region.scale == "log"
    return f"{'×' if ratio else ''}{interval_text(found.effect, signed=not ratio)}"
