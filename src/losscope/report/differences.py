"""The table of differences between losses, paired by seed, with all that a verdict rests on."""

from __future__ import annotations

from collections.abc import Iterable

from losscope.report.tables import WHERE, Column, Group, Row, Table
from losscope.statistics import MINIMUM_SEEDS
from losscope.summary.formatting import ABSENT, interval_text, p_text
from losscope.summary.types import Difference, Summary

COLUMNS = (
    Column("difference", "paired"), Column("n", "seeds"), Column("p, paired t"), Column("Holm's p", "holm"),
    Column("p, sign flip", "sign_flip"), Column("p, Wilcoxon", "wilcoxon"), Column("smallest p of these two"),
    Column("verdict", "verdict", words=True),
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
        caption = (
            "Differences within seeds, mean [95 % t interval]. p values of two-sided tests; Holm's adjustment over the "
            f"{family[0].family} tests of this table."
        )
        shown = tuple(group for group in groups if group.rows)
        anchor = f"differences-{len(tables) + 1}"
        tables.append(Table(anchor, title, caption, "second minus first", COLUMNS, shown))
    return tables


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
                f"{found.verdict} (n < {MINIMUM_SEEDS})" if paired.n < MINIMUM_SEEDS else found.verdict,
            ),
        )
