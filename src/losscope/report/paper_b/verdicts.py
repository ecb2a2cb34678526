"""The claims as a reader sees them: one table of verdicts, and one of all comparisons for each claim."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from losscope.report.paper_b.claims import Claim, Judgement, Pairing, claims
from losscope.report.paper_b.source import cited, named
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import MINIMUM_SEEDS
from losscope.summary.datasets import same_data
from losscope.summary.formatting import ABSENT, interval_text, p_text
from losscope.summary.types import Comparison

POPULATION = (
    "Verdicts are of the abstract's claims, under our protocol, for other seeds on these splits; they need "
    f"{MINIMUM_SEEDS} paired seeds. A comparison is of two losses by one measure. [B-abs]: said in the abstract, "
    "arXiv 2601.21450."
)


def verdicts_table(judgements: Sequence[Judgement], comparisons: Sequence[Comparison]) -> Table:
    """Every claim on every data set and protocol: where its comparisons point, and the verdict."""
    columns = (
        Column("verdict", "claim", words=True),
        Column("point towards", "claim"),
        Column("point against"),
        Column("neither way"),
        Column("n", "seeds"),
        Column("towards, by part", words=True),
    )
    groups = []
    for claim in claims():
        rows = [_row(judgement) for judgement in judgements if judgement.claim == claim]
        rows += _not_measured(claim, comparisons)
        if rows:
            groups.append(Group(f"{claim.text} [{claim.tag}]", tuple(rows)))
    return Table("claims", "The abstract's claims", POPULATION, "data, protocol", columns, tuple(groups))


def _row(judgement: Judgement) -> Row:
    few = f" (n < {MINIMUM_SEEDS})" if judgement.n < MINIMUM_SEEDS else ""
    missing = f"; not compared: {', '.join(part.label for part in judgement.missing)}" if judgement.missing else ""
    all_of_them = len(judgement.pairings)
    counts = (judgement.count("towards"), judgement.count("against"), judgement.count("neither way"))
    return Row(
        judgement.comparison.title,
        (
            f"{judgement.word}{few}{missing}",
            *(f"{count} of {all_of_them}" for count in counts),
            str(judgement.n),
            _by_part(judgement),
        ),
    )


def _by_part(judgement: Judgement) -> str:
    """How many comparisons of each part of a claim point towards it; nothing where there is one part."""
    parts = judgement.claim.parts
    if len(parts) == 1:
        return ""
    one_measure = len({part.measure for part in parts}) == 1
    said = []
    for part in parts:
        towards = [pairing.points == "towards" for pairing in judgement.pairings if pairing.part == part]
        if towards:
            name = f"than {', '.join(map(named, part.against))}" if one_measure else part.measure.label
            said.append(f"{name} {sum(towards)} of {len(towards)}")
    return "; ".join(said)


def _not_measured(claim: Claim, comparisons: Sequence[Comparison]) -> Iterator[Row]:
    """Data that the claim speaks of and the report has not, with how to measure them."""
    for name, study in claim.data:
        if not any(same_data(part.dataset, name) for part in comparisons):
            yield Row(name, (f"not measured: losscope study {study}", *[ABSENT] * 4, ""))


def pairings_tables(judgements: Sequence[Judgement]) -> tuple[Table, ...]:
    """All comparisons of each claim that was compared anywhere."""
    columns = (
        Column("difference", "paired"), Column("the claim wants"), Column("points", "claim", words=True),
        Column("n", "seeds"), Column("p, paired t"), Column("Holm's p", "holm"),
        Column("verdict", "claim", words=True), Column("other variants alike", words=True),
    )  # fmt: skip
    tables = []
    for nth, claim in enumerate(claims(), start=1):
        own = [judgement for judgement in judgements if judgement.claim == claim]
        groups = [
            Group(f"{measure.label} · {judgement.comparison.title}",
                  tuple(_pairing(one) for one in judgement.pairings if one.part.measure == measure))
            for judgement in own
            for measure in dict.fromkeys(one.part.measure for one in judgement.pairings)
        ]  # fmt: skip
        if groups:
            caption = (
                "Differences within seeds, mean [95 % t interval], of the variant of each loss that "
                f"{_speaking(own)}; the last column says how many pairs of other variants have the claimed sign. Holm's "
                f"adjustment is over one measure of the claim. It falls if: {claim.falsifier}"
            )
            tables.append(Table(f"claim-{nth}", claim.text.rstrip("."), caption, "comparison", columns, tuple(groups)))
    return tuple(tables)


def _speaking(judgements: Sequence[Judgement]) -> str:
    tuned = {judgement.comparison.tuned for judgement in judgements}
    chosen, nearest = "was chosen on the validation split", "has most of its hyper-parameters at their defaults"
    return chosen if tuned == {True} else nearest if tuned == {False} else f"{chosen}, or {nearest}"


def _pairing(found: Pairing) -> Row:
    paired = found.paired
    return Row(
        f"{cited(found.subject)} − {cited(found.other)}",
        (
            interval_text(paired.interval, signed=True),
            "> 0" if found.part.direction == "larger" else "< 0",
            found.points,
            str(paired.n),
            ABSENT if paired.p is None else p_text(paired.p),
            ABSENT if found.adjusted_p is None else p_text(found.adjusted_p),
            f"{found.word} (n < {MINIMUM_SEEDS})" if found.word == "cannot tell" else found.word,
            f"{found.alike} of {found.pairs}" if found.pairs else ABSENT,
        ),
    )
