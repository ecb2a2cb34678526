"""Checks of the comparison: do the losses compete under equal conditions, and is the measure free to differ?"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import Any

from losscope.summary.carded import cards_of
from losscope.summary.measures import ACTIVE, ACTIVE_POSITIVE
from losscope.summary.types import FITTED, Comparison, Summary

EQUAL_WORK = 1.1
"""Ratio of updates or terms up to which losses count as trained equally."""


def unequal_work(summary: Summary) -> list[str] | None:
    """Losses of one comparison that took different numbers of updates or saw different numbers of terms."""
    if not _several_losses(summary):
        return None
    said = [
        f"{comparison.title}: {'; '.join(parts)}."
        for comparison in summary.comparisons
        if (parts := _unequal(comparison, ("updates", "terms"), "{0:,} updates on {1:,} terms"))
    ]
    if not said:
        return []
    return [f"The losses had different amounts of training in {len(said)} of {len(summary.comparisons)} comparisons; part "
            "of any difference there is that.", *said]  # fmt: skip


def unequal_samples(summary: Summary) -> list[str] | None:
    """Losses of one comparison that embedded different numbers of samples."""
    if not _several_losses(summary):
        return None
    said = [
        f"{comparison.title}: {'; '.join(parts)}."
        for comparison in summary.comparisons
        if (parts := _unequal(comparison, ("samples",), "{0:,} samples"))
    ]
    if not said:
        return []
    return [f"The losses embedded different numbers of samples in {len(said)} of {len(summary.comparisons)} comparisons: a term "
            "of one takes more samples than a term of another.", *said]  # fmt: skip


def _several_losses(summary: Summary) -> bool:
    return any(len(comparison.trained) > 1 for comparison in summary.comparisons)


def _unequal(comparison: Comparison, counts: tuple[str, ...], words: str) -> list[str]:
    """Who did how much, if that differs by more than is equal."""
    work: dict[tuple[int, ...], list[str]] = {}
    for subject in comparison.trained:
        runs = comparison.runs_of(subject)
        done = tuple(max(getattr(run, count) for run in runs) for count in counts)
        work.setdefault(done, []).append(subject.label)
    if not any(max(column) > EQUAL_WORK * min(column) for column in zip(*work, strict=True)):
        return []
    return [f"{', '.join(labels)}: {words.format(*done)}" for done, labels in work.items()]


def active_by_construction(summary: Summary) -> list[str] | None:
    """Active ratios that can't fall: positive pairs are always active, and so is every term of a softmax."""
    positive, whole = summary.trained_means(ACTIVE_POSITIVE), summary.trained_means(ACTIVE)
    always = sorted({subject.label for _, subject, mean in positive if mean > 1 - 1e-6})
    never_silent = {(part.title, subject) for part in summary.given for subject, card in cards_of(part).items()
                    if not card.saturates}  # fmt: skip
    soft = sorted({subject.label for part, subject, _ in whole if (part.title, subject) in never_silent})
    if not positive and not whole:
        return None
    said = [*_always_pulling(always), *_softmax(soft)]
    return ["Some active ratios can't fall, whatever training does.", *said] if said else []


def _softmax(labels: list[str]) -> list[str]:
    if not labels:
        return []
    return [
        f"{', '.join(labels)}: the active ratio is 1 by construction, because a softmax gives every term a gradient. Compare "
        "the share of samples that carry 90 % of it."
    ]


def _always_pulling(always: list[str]) -> list[str]:
    if not always:
        return []
    return [
        f"{', '.join(always)}: the active ratio of positive pairs is 1 by construction (d² > 0 at any distance), so the "
        "whole ratio can't fall below the share of positive pairs. Compare the negative pairs alone."
    ]


def equal_margin(summary: Summary) -> list[str] | None:
    """One margin for losses to which it means different things."""
    given = [settings for comparison in summary.comparisons for settings in comparison.hyperparameters.values()]
    if not any("margin" in settings for settings in given):
        return None
    untuned = [part for part in summary.comparisons if not part.tuned]  # tuned, each margin is the loss's best
    shared = {part.title: of for part in untuned if (of := list(_equal_margins(part)))}
    if not shared:
        return []
    named = "; ".join(dict.fromkeys(chain(*shared.values())))
    where = [f"{title}: {'; '.join(of)}." for title, of in shared.items()]
    return [
        f"An equal margin is not an equal constraint: {named}. On the unit sphere contrastive loss stops "
        "pushing negatives at distance m, the unsquared triplet demands d(a,n) ≥ d(a,p) + m, the squared one d²(a,n) ≥ "
        "d²(a,p) + m. Part of the difference in inter-class distance is what the margin means.",
        *(where if len(summary.comparisons) > 1 else ()),
    ]


def _equal_margins(comparison: Comparison) -> Iterator[str]:
    """The losses of one comparison that share a margin which means different things to them."""
    margins: dict[float, dict[str, tuple[str, Any]]] = {}
    for subject, settings in comparison.hyperparameters.items():
        if (margin := settings.get("margin")) is not None:
            margins.setdefault(float(margin), {})[subject.label] = subject.loss, settings.get("squared")
    for margin, meant in margins.items():
        if len(set(meant.values())) > 1:
            yield f"{', '.join(meant)} (m = {margin:g})"


def unequal_budgets(summary: Summary) -> list[str] | None:
    """Losses that were tuned by choosing from different numbers of variants."""
    tuned = [comparison for comparison in summary.comparisons if comparison.tuned]
    if not tuned:
        return None
    said = [
        f"{comparison.title}: {', '.join(f'{loss} {count}' for loss, count in comparison.budgets.items())}."
        for comparison in tuned
        if len(set(comparison.budgets.values())) > 1
    ]
    if not said:
        return []
    return ["Losses were tuned with unequal budgets: the best of more variants is better by luck alone.", *said]


def fitted(summary: Summary) -> list[str] | None:
    """A preset that was fitted to the numbers it is compared with."""
    if not any(comparison.protocol.startswith(FITTED) for comparison in summary.comparisons):
        return None
    return [
        f"Protocol {FITTED} was chosen among about 100 readings of the paper to come near 14 printed numbers. That it "
        "comes near them is no evidence for them."
    ]
