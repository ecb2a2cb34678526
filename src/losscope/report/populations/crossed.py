"""Retrieval differences over seeds alone, and over seeds and classes together."""

from __future__ import annotations

from losscope.report.differences import verdict_words
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import Interval
from losscope.summary.crossing import COLUMNS, Crossed, Crossings
from losscope.summary.formatting import ABSENT, interval_text
from losscope.summary.types import Summary


def crossed_table(summary: Summary, crossings: Crossings) -> Table | None:
    """One family of differences for each measure; None where nothing could be crossed."""
    if not crossings.differences:
        return None
    bootstrapped = any(found.bootstrap for found in crossings.differences)
    several = len({found.population for found in crossings.differences}) > 1
    columns = (
        Column("over seeds alone", "paired"), Column("over seeds and classes", "crossed"),
        *([Column("the same by bootstrap", "crossed")] if bootstrapped else []),
        Column("n", "seeds"), Column("classes"), Column("queries"),
        Column("verdict", "verdict", words=True), *([Column("speaks for", words=True)] if several else []),
    )  # fmt: skip
    groups = []
    for measure in COLUMNS:
        for comparison in summary.comparisons:
            family = [found for found in crossings.of(measure) if found.comparison is comparison]
            if family:
                rows = tuple(_row(summary, found, bootstrapped, several) for found in family)
                groups.append(Group(f"{measure.label} · {comparison.title}", rows))
    return Table(
        "crossed",
        "Retrieval compared over seeds and classes",
        _caption(crossings, bootstrapped),
        "second minus first",
        columns,
        tuple(groups),
    )


def _caption(crossings: Crossings, bootstrapped: bool) -> str:
    families = [of for measure in COLUMNS if (of := crossings.of(measure))]
    regions = ", ".join(f"{of[0].region.words} for {of[0].measure.label}" for of in families)
    bootstrap = (
        " The bootstrap counts the noise of queries more than once and errs on the wide side." if bootstrapped else ""
    )
    populations = {found.population for found in crossings.differences}
    speaks = f" They speak for {populations.pop()}." if len(populations) == 1 else ""
    return (
        "Mean over queries of the difference within each seed and query [95 % interval], one variant of each loss, after the "
        "last epoch. Over seeds alone the classes are those that were queried; over seeds and classes both are drawn "
        "(two-way jackknife), or the queries within each class where classes are fewer than 20. Queries without a relevant "
        f"item are left out.{bootstrap} Verdicts are about more than the region of practical equivalence ({regions}), from an "
        f"interval that holds for all {max(map(len, families))} differences of a measure together.{speaks}"
    )


def _row(summary: Summary, found: Crossed, bootstrapped: bool, several: bool) -> Row:
    crossed = found.jackknife
    bootstrap = (
        [interval_text(found.bootstrap.interval, signed=True) if found.bootstrap else ABSENT] if bootstrapped else []
    )
    alone = over_seeds(summary, found)
    return Row(
        f"{found.second.label} − {found.first.label}",
        (
            interval_text(alone, signed=True) if alone else ABSENT,
            interval_text(crossed.interval, signed=True),
            *bootstrap,
            str(crossed.interval.n),
            f"{crossed.classes:,}",
            f"{crossed.queries:,}",
            verdict_words(found),
            *([found.population] if several else []),
        ),
    )


def over_seeds(summary: Summary, found: Crossed) -> Interval | None:
    """The same difference with the classes as they are; subjects keep one order, and so the difference its sign."""
    same = summary.difference(found.comparison, found.measure, {found.first, found.second})
    return same.paired.interval if same else None


def left_out(crossings: Crossings) -> tuple[str, ...]:
    """Why which comparisons are not in the table, or not all of their losses."""
    return tuple(f"Not crossed ({'; '.join(titles)}): {reason}." for reason, titles in crossings.left_out.items())
