"""Information or nuisance: what the numbers say, in sentences computed from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from losscope.report.granularity.against import Against
from losscope.report.granularity.kept import LABELS, Together
from losscope.report.headline import listed
from losscope.statistics import Interval
from losscope.summary.formatting import interval_text, number
from losscope.summary.measures import FINE_RECALL_1, FINE_SHARE_CORRECTED, FINE_WITHIN_1
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison

HALF = 0.5

STANDINGS = {
    "larger": "higher",
    "smaller": "lower",
    "equal in practice": "equal in practice",
    "cannot tell": "not decided",
}

LIMITS = (
    "Fine labels explain what lies along the centers of their classes. Detail of another kind (pose, a still finer class) "
    "counts as nuisance here, so the share is a floor of what the variance may be worth.",
    "Whether more variance causes finer retrieval: these few losses differ in much else. Their order is this study's.",
    "How the losses would do with their best hyper-parameters: each has one setting, and margin, scale and temperature move "
    "looseness as much as the loss does.",
)


@dataclass(frozen=True)
class Answer:
    """What is said of one comparison."""

    title: str
    sentences: tuple[str, ...]


def answers(
    comparisons: Sequence[Comparison], found: Sequence[Together], differences: Sequence[Against]
) -> tuple[Answer, ...]:
    """For each comparison: what is kept, who finds fine classes, who more than contrastive, and what goes together."""
    return tuple(
        Answer(
            one.title,
            tuple(
                filter(
                    None, [_shares(one), _retrieval(one), *_differences(one, differences), *_associations(one, found)]
                )
            ),
        )
        for one in comparisons
    )


def _shares(comparison: Comparison) -> str:
    of = {row: share for row in comparison.trained if (share := comparison.interval(row, FINE_SHARE_CORRECTED))}
    low, high = (choice(of, key=lambda row: of[row].mean) for choice in (min, max))
    said = (
        "Of the variance that the losses keep within the classes they were trained on, fine labels "
        f"explain {_percent(of[low])} ({low.label}) to {_percent(of[high])} ({high.label})"
    )
    starts = [
        f"{_percent(share)} in the {row.label}"
        for kind in ("input", "untrained")
        if (row := comparison.reference(kind)) and (share := comparison.interval(row, FINE_SHARE_CORRECTED))
    ]
    return f"{said}{f', against {listed(starts)}' if starts else ''}. {_worth(of)}"


def _worth(of: dict[Subject, Interval]) -> str:
    """Which losses keep mostly information, which mostly nuisance, where the intervals tell; and who none shown."""
    mostly = [row.label for row, share in of.items() if share.low is not None and share.low > HALF]
    nuisance = [row.label for row, share in of.items() if share.high is not None and share.high < HALF]
    nothing = [row.label for row, share in of.items() if share.low is not None and share.low <= 0]
    if len(nuisance) == len(of):
        said = "The larger part of what every loss keeps is nuisance."
    elif len(mostly) == len(of):
        said = "The larger part of what every loss keeps is information."
    else:
        open_ = [row.label for row in of if row.label not in (*mostly, *nuisance)]
        parts = (("information", mostly), ("nuisance", nuisance), ("not decided", open_))
        told = [f"{word} for {listed(rows)}" for word, rows in parts if rows]
        said = f"The larger part of what is kept is {listed(told)}."
    return said + (f" No information is shown in what {listed(nothing)} keeps." if nothing else "")


def _retrieval(comparison: Comparison) -> str:
    of = {row: recall for row in comparison.trained if (recall := comparison.interval(row, FINE_RECALL_1))}
    if not of:
        return ""
    low, high = (choice(of, key=lambda row: of[row].mean) for choice in (min, max))
    said = f"Fine Recall@1 is {interval_text(of[low])} ({low.label}) to {interval_text(of[high])} ({high.label})."
    for kind in ("input", "untrained"):
        row = comparison.reference(kind)
        start = comparison.interval(row, FINE_RECALL_1) if row else None
        if row and start:
            bound = start.mean if start.high is None else start.high
            better = [loss.label for loss, recall in of.items() if recall.low is not None and recall.low > bound]
            count = "No loss is" if not better else f"{listed(better)} {'is' if len(better) == 1 else 'are'}"
            said += f" {count} shown above the {row.label} ({number(start.mean)})."
    return said


def _associations(comparison: Comparison, found: Sequence[Together]) -> Iterator[str]:
    for measure, words in (
        (FINE_RECALL_1, "fine Recall@1"),
        (FINE_WITHIN_1, "fine Recall@1 within the class, where telling coarse classes apart gains nothing,"),
    ):
        own = [one for one in found if one.comparison is comparison and one.measure == measure]
        if not own:
            continue
        told = [f"{_judged(one)} {LABELS[one.part]} ({interval_text(one.association.interval)})" for one in own]
        first = own[0].association
        yield (
            f"Across {first.variants} losses and variants, a higher {words} {listed(told)}; in brackets Spearman's correlation "
            f"within seeds, n = {first.n}."
        )


def _judged(one: Together) -> str:
    decision = one.decision
    if decision.verdict == "cannot tell":
        return "may or may not go with a larger"
    if decision.verdict == "holds":
        return "goes with a larger"
    return "goes with a smaller" if decision.reason == "reversed" else "does not go with a larger"


def _differences(comparison: Comparison, found: Sequence[Against]) -> Iterator[str]:
    """Who finds fine classes better than contrastive, by more than what is equal in practice."""
    of = [one for one in found if one.comparison is comparison and one.measure == FINE_RECALL_1]
    for base in dict.fromkeys(one.base for one in of):
        own = [one for one in of if one.base == base]
        told = [
            f"{word} for {listed(rows)}"
            for standing, word in STANDINGS.items()
            if (rows := [one.subject.label for one in own if one.standing == standing])
        ]
        yield (
            f"Against {base.label}, paired by seed (n = {own[0].decision.n}) and over the whole family of "
            f"{own[0].decision.family} differences, fine Recall@1 is {listed(told)}."
        )


def _percent(share: Interval) -> str:
    """A share in percent, with a decimal where it is small.

    >>> _percent(Interval(13, 0.1357)), _percent(Interval(13, -0.0041))
    ('14 %', '−0.4 %')
    """
    return f"{100 * share.mean:.{1 if abs(share.mean) < 0.1 else 0}f} %".replace("-", "−")
