"""Checks of the comparison: do the losses compete under equal conditions, and is the measure free to differ?"""

from __future__ import annotations

from typing import Any

from losscope.summary.measures import ACTIVE_POSITIVE
from losscope.summary.types import FITTED, Summary

EQUAL_WORK = 1.1
"""Ratio of updates or terms up to which losses count as trained equally."""


def unequal_work(summary: Summary) -> list[str]:
    """Losses of one comparison that took different numbers of updates or saw different numbers of terms."""
    said = []
    for comparison in summary.comparisons:
        work: dict[tuple[int, int], list[str]] = {}
        for subject in comparison.trained:
            runs = comparison.runs_of(subject)
            done = max(run.updates for run in runs), max(run.terms for run in runs)
            work.setdefault(done, []).append(subject.label)
        if any(max(column) > EQUAL_WORK * min(column) for column in zip(*work, strict=True)):
            parts = [
                f"{', '.join(labels)}: {updates:,} updates on {terms:,} terms"
                for (updates, terms), labels in work.items()
            ]
            said.append(f"{comparison.title}: {'; '.join(parts)}.")
    if not said:
        return []
    return [f"The losses had different amounts of training in {len(said)} of {len(summary.comparisons)} comparisons; part "
            "of any difference there is that.", *said]  # fmt: skip


def active_by_construction(summary: Summary) -> list[str] | None:
    """Active ratios that can't fall because positive pairs are always active."""
    found = summary.trained_means(ACTIVE_POSITIVE)
    always = sorted({subject.label for _, subject, mean in found if mean > 1 - 1e-6})
    if not always:
        return [] if found else None
    return [
        f"{', '.join(always)}: the active ratio of positive pairs is 1 by construction (d² > 0 at any distance), so the "
        "whole ratio can't fall below the share of positive pairs. Compare the negative pairs alone."
    ]


def equal_margin(summary: Summary) -> list[str] | None:
    """One margin for losses to which it means different things."""
    margins: dict[float, dict[str, tuple[str, Any]]] = {}
    for comparison in summary.comparisons:
        for subject, settings in comparison.hyperparameters.items():
            if (margin := settings.get("margin")) is not None:
                meaning = subject.loss, settings.get("squared")
                margins.setdefault(float(margin), {})[subject.label] = meaning
    if not margins:
        return None
    shared = [
        f"{', '.join(meant)} (m = {margin:g})" for margin, meant in margins.items() if len(set(meant.values())) > 1
    ]
    if not shared:
        return []
    return [
        f"An equal margin is not an equal constraint: {'; '.join(shared)}. On the unit sphere contrastive loss stops "
        "pushing negatives at distance m, the unsquared triplet demands d(a,n) ≥ d(a,p) + m, the squared one d²(a,n) ≥ "
        "d²(a,p) + m. Part of the difference in inter-class distance is what the margin means."
    ]


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
