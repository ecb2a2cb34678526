"""Information or nuisance: what the numbers say, in sentences computed from them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from losscope.report.granularity.against import Against
from losscope.report.granularity.decided import HALF, Judged, retrieval_against_starts, shares_against
from losscope.report.granularity.kept import LABELS, Together
from losscope.report.headline import listed
from losscope.statistics import MINIMUM_SEEDS, Interval
from losscope.summary.formatting import interval_text, number, span
from losscope.summary.measures import FINE_RECALL_1, FINE_SHARE_CORRECTED, FINE_WITHIN_1
from losscope.summary.types import Comparison

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
    halves, nothing = (shares_against(level, comparisons) for level in (HALF, 0.0))
    starts = retrieval_against_starts(comparisons)
    told = []
    for one in comparisons:
        shares = f"{_shares(one)} {_larger_part(_of(one, halves))}{_nothing(_of(one, nothing))}"
        retrieval = _retrieval(one, _of(one, starts))
        sentences = [shares, retrieval, *_differences(one, differences), *_associations(one, found)]
        told.append(Answer(one.title, tuple(filter(None, sentences))))
    return tuple(told)


def _of(comparison: Comparison, found: Sequence[Judged]) -> list[Judged]:
    return [one for one in found if one.comparison is comparison]


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
    return f"{said}{f', against {listed(starts)}' if starts else ''}."


def _larger_part(halves: Sequence[Judged]) -> str:
    """Which losses keep mostly information, which mostly nuisance, where that is decided."""
    if all(one.too_few for one in halves):
        return f"What the larger part of it is, is not decided: {_seeds(halves)}."
    words = {"larger": "information", "smaller": "nuisance", "equal": "neither", "not decided": "not decided"}
    if len({one.word for one in halves}) == 1 and halves[0].word in ("larger", "smaller"):
        return f"The larger part of what every loss keeps is {words[halves[0].word]}."
    told = [
        f"{said} for {listed(rows)}"
        for word, said in words.items()
        if (rows := [one.subject.label for one in halves if one.word == word])
    ]
    return f"The larger part of what is kept is {listed(told)}."


def _nothing(found: Sequence[Judged]) -> str:
    """Whose share of information is not shown to be above 0, by more than what is equal in practice."""
    rows = [one.subject.label for one in found if one.word != "larger" and not one.too_few]
    if not rows:
        return ""
    edge = found[0].decision.region.edge
    return f" No share of information above {edge:g} is shown in what {listed(rows)} keep{'s' * (len(rows) == 1)}."


def _seeds(found: Sequence[Judged]) -> str:
    return f"n = {span({one.decision.n for one in found})} seeds, and a verdict needs {MINIMUM_SEEDS}"


def _retrieval(comparison: Comparison, starts: Sequence[Judged]) -> str:
    of = {row: recall for row in comparison.trained if (recall := comparison.interval(row, FINE_RECALL_1))}
    if not of:
        return ""
    low, high = (choice(of, key=lambda row: of[row].mean) for choice in (min, max))
    said = f"Fine Recall@1 is {interval_text(of[low])} ({low.label}) to {interval_text(of[high])} ({high.label})."
    for start in dict.fromkeys(one.start for one in starts):
        own = [one for one in starts if one.start == start]
        level = comparison.mean(start, FINE_RECALL_1)
        if start is None or level is None:
            continue
        whose = f"the {start.label} ({number(level)})"
        if all(one.too_few for one in own):
            said += f" Which losses are above {whose} is not decided: {_seeds(own)}."
            continue
        better = [one.subject.label for one in own if one.word == "larger"]
        count = "No loss is" if not better else f"{listed(better)} {'is' if len(better) == 1 else 'are'}"
        said += f" {count} shown above {whose}."
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
            f"Against {base.label}, paired by seed (n = {span({one.decision.n for one in own})}) and over the whole family of "
            f"{own[0].decision.family} differences, fine Recall@1 is {listed(told)}."
        )


def _percent(share: Interval) -> str:
    """A share in percent, with a decimal where it is small.

    >>> _percent(Interval(13, 0.1357)), _percent(Interval(13, -0.0041))
    ('14 %', '−0.4 %')
    """
    return f"{100 * share.mean:.{1 if abs(share.mean) < 0.1 else 0}f} %".replace("-", "−")
