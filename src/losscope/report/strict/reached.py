"""What each loss reaches on test classes, by the last epoch, as validation chooses, and as the test itself would choose."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from losscope.report.strict.class_splits import ClassSplits, mean, over_splits
from losscope.report.tables import Column, Group, Row, Table
from losscope.statistics import Interval, mean_interval
from losscope.summary.formatting import ABSENT, interval_text, span
from losscope.summary.measures import RECALL_1
from losscope.summary.representing import at_the_edge
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Selection

COLUMNS = (
    Column("chosen", "tuned", words=True), Column("epoch"), Column("validation", "recall_at_k"),
    Column("last epoch", "recall_at_k", "on test"), Column("chosen", "recall_at_k", "on test"),
    Column("peeked", "peeking_gain", "on test"), Column("peeking gain", "peeking_gain", "on test"), Column("n", words=True),
)  # fmt: skip


def reached_table(found: Sequence[ClassSplits]) -> Table:
    """A group for each class split, and before them one for all of a data set."""
    groups = []
    for part in found:
        if part.several:
            rows = [*_pooled_baselines(part), *(_pooled(part, loss) for loss in part.losses)]
            groups.append(Group(f"{part.title} · {len(part.comparisons)} class splits together", tuple(rows)))
        groups += [
            Group(_heading(one), (*_baselines(one), *map(_row(one), one.selections))) for one in part.comparisons
        ]
    return Table(
        "strict",
        "Chosen on validation classes: Recall@1 on classes that are neither trained on nor chosen by",
        "Mean [95 % interval]: over the seeds of a class split by Student's t, over several class splits by the corrected "
        "resampled t (Nadeau and Bengio 2003), because their training classes overlap. "
        "Chosen: each run's epoch and then the variant with the highest Recall@1 on the validation classes. Last epoch: the "
        "variant that validation prefers there, without a choice of epoch. Peeked: as chosen, by the test classes themselves; "
        "the peeking gain is how much that flatters. Baselines have nothing to choose.",
        "loss",
        COLUMNS,
        tuple(groups),
        tuple(note for part in found for note in _notes(part)),
    )  # fmt: skip


def _heading(part: Comparison) -> str:
    sizes = " / ".join(
        f"{part.classes.get(split, 0)} {split}" for split in ("train", "validation", part.evaluation or "test")
    )
    return f"{part.title} · classes: {sizes}"


def _row(part: Comparison) -> Callable[[Selection], Row]:
    def row(one: Selection) -> Row:
        sides = (one.chosen.validation, one.last.test, one.chosen.test, one.peeked.test)
        texts = [interval_text(mean_interval(list(side.values()))) for side in sides]
        gain = interval_text(one.peeking_gain.interval, signed=True)
        count = f"{len(one.chosen.test)} seeds"
        return Row(one.loss, (_named(one), span(one.chosen.epochs.values()), *texts, gain, count), one.chosen.subject)

    return row


def _named(one: Selection) -> str:
    if one.variants == 1:
        return "the only variant"
    return f"{one.chosen.subject.variant.replace(',', ', ')} of {one.variants}"


def _pooled(part: ClassSplits, loss: str) -> Row:
    chosen = part.selections(loss)
    variants = list(dict.fromkeys(_named(one) for one in chosen))
    epochs = span([epoch for one in chosen for epoch in one.chosen.epochs.values()])
    sides: list[list[Mapping[int, float]]] = [
        [one.chosen.validation for one in chosen], [one.last.test for one in chosen],
        [one.chosen.test for one in chosen], [one.peeked.test for one in chosen],
    ]  # fmt: skip
    texts = [interval_text(over_splits(part, [mean(values) for values in side])) for side in sides]
    gain = over_splits(part, [one.peeking_gain.interval.mean for one in chosen])
    seeds = span({len(one.chosen.test) for one in chosen})
    count = f"{len(chosen)} splits x {seeds} seeds"
    subject = chosen[0].chosen.subject
    return Row(loss, ("; ".join(variants), epochs, *texts, interval_text(gain, signed=True), count), subject)


def _baselines(part: Comparison) -> Iterator[Row]:
    for subject in part.subjects:
        interval = part.interval(subject, RECALL_1)
        if subject.kind != "trained" and interval:
            seeds = "–" if subject.kind != "untrained" else f"{interval.n} seeds"
            yield _baseline(subject, interval, seeds)


def _pooled_baselines(part: ClassSplits) -> Iterator[Row]:
    for subject in part.comparisons[0].subjects:
        means = [level for one in part.comparisons if (level := one.mean(subject, RECALL_1)) is not None]
        if subject.kind != "trained" and len(means) == len(part.comparisons):
            yield _baseline(subject, over_splits(part, means), f"{len(means)} splits")


def _baseline(subject: Subject, interval: Interval, count: str) -> Row:
    return Row(subject.label, (ABSENT, ABSENT, ABSENT, ABSENT, interval_text(interval), ABSENT, ABSENT, count), subject)


def _notes(part: ClassSplits) -> Iterator[str]:
    title = part.title
    if part.uncounted and part.comparisons[0].class_split:
        yield (
            f"{title}: not taken together with other class splits, because neither rows nor the manifest say how many classes "
            f"these splits have: {', '.join(part.uncounted)}."
        )
    budgets = {one.loss: one.variants for comparison in part.comparisons for one in comparison.selections}
    epochs = {len(one.epochs) for comparison in part.comparisons for one in comparison.selections}
    if len(set(budgets.values())) == 1:
        yield f"{title}: every loss had {next(iter(budgets.values()))} variants x {span(epochs)} epochs to be chosen from."
    else:
        listed = ", ".join(f"{loss} {count}" for loss, count in budgets.items())
        yield f"{title}: unequal budgets. Variants to be chosen from: {listed}; more of them flatter a loss."
    ends = [
        edge
        for one in part.comparisons
        for chosen in one.selections
        for edge in at_the_edge(one, chosen.chosen.subject)
    ]
    if ends:
        listed = ", ".join(dict.fromkeys(ends))
        yield f"{title}: chosen at the end of the values tried, so that others may do better: {listed}."
    left_out = [one.label for part in part.comparisons for chosen in part.selections for one in chosen.left_out]
    if left_out:
        yield f"{title}: no candidates, because they lack seeds: {', '.join(left_out)}."
