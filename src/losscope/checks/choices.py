"""Checks of what was chosen by which numbers, and of what the evaluation split holds."""

from __future__ import annotations

from collections.abc import Iterator

from losscope.summary.datasets import recorded
from losscope.summary.formatting import number
from losscope.summary.measures import RECALL_1
from losscope.summary.reading import protocols
from losscope.summary.types import Comparison, Summary


def peeking(summary: Summary) -> list[str] | None:
    """Several variants of a loss, and nothing but the test numbers to pick one by."""
    evaluated = _evaluated(summary)
    if not evaluated:
        return None
    said = []
    for comparison in evaluated:
        if not comparison.tuned:
            said += [f"{comparison.title}, {text}" for text in _best_of_several(comparison)]
    if not said:
        return []
    return ["Losses have several variants and there are no validation classes to choose one by: the best of them is picked by "
            "the numbers that are shown, which flatters it.", *said]  # fmt: skip


def _best_of_several(comparison: Comparison) -> Iterator[str]:
    for loss, count in comparison.budgets.items():
        of_loss = [subject for subject in comparison.trained if subject.loss == loss]
        means = [mean for subject in of_loss if (mean := comparison.mean(subject, RECALL_1)) is not None]
        if count > 1 and len(means) > 1:
            yield (
                f"{loss}: the best of {count} variants has {RECALL_1.label} {number(max(means))}, their mean is "
                f"{number(sum(means) / len(means))}."
            )


def watched(summary: Summary) -> list[str] | None:
    """Test numbers after several epochs without a validation split."""
    evaluated = _evaluated(summary)
    if not evaluated:
        return None
    settings = protocols(summary.studies)
    followed = [
        comparison.title
        for comparison in evaluated
        if "validation" not in comparison.classes
        and (protocol := settings.get(comparison.protocol))
        and sum(protocol.evaluates(epoch) for epoch in range(1, protocol.epochs + 1)) > 1
    ]
    if not followed:
        return []
    return [
        f"The evaluation split was measured after several epochs and there is no validation split: {'; '.join(followed)}. "
        "Choose no epoch by these curves; this report quotes the last one."
    ]


def closed_set(summary: Summary) -> list[str] | None:
    """Retrieval of classes that were trained on."""
    known = {
        comparison.title: (comparison, shared)
        for comparison in _evaluated(summary)
        if (shared := recorded(summary.studies, comparison.dataset).get("shares_classes")) is not None
    }
    if not known:
        return None
    closed = [
        f"{title} (split {comparison.evaluation}, {comparison.split_protocol or 'protocol not recorded'})"
        for title, (comparison, shared) in known.items()
        if shared
    ]
    if not closed:
        return []
    return [
        f"Closed set: in {len(closed)} of {len(known)} comparisons all evaluated classes were trained on. Their Recall@K is not "
        "comparable with the retrieval literature, which queries unseen classes.",
        *(f"{text}." for text in closed),
    ]


def _evaluated(summary: Summary) -> list[Comparison]:
    """Comparisons with retrieval on a split that is not trained on."""
    return [
        comparison
        for comparison in summary.given
        if comparison.evaluation and any(comparison.get(subject, RECALL_1) for subject in comparison.trained)
    ]
