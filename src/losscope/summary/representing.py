"""One variant of each loss that speaks for it where a sentence or a claim can't be about all of them.

Chosen on a validation split where there is one; otherwise the variant nearest to the loss's defaults, so that nothing is
chosen by what it measured.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from losscope.cards import CARDS
from losscope.summary.measures import RECALL_1_VALIDATION
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Estimate


def best_on_validation(
    trained: Iterable[Subject], estimates: Mapping[Subject, Mapping[str, Estimate]]
) -> tuple[Subject, ...] | None:
    """Of each loss the variant with the highest mean Recall@1 on the validation split after the last epoch; the first
    of equals. None if any loss has no such measurement.

    Only variants with the most seeds of their loss are candidates: a mean over fewer may be high by luck.
    """
    found: dict[str, tuple[int, float, Subject]] = {}
    for subject in trained:
        estimate = estimates[subject].get(RECALL_1_VALIDATION.key)
        seeds, level = (len(estimate.values), estimate.interval.mean) if estimate and estimate.interval else (0, 0.0)
        if subject.loss not in found or (seeds, level) > found[subject.loss][:2]:
            found[subject.loss] = seeds, level, subject
    if any(seeds == 0 for seeds, _, _ in found.values()):
        return None
    return tuple(subject for _, _, subject in found.values())


def nearest_to_defaults(hyperparameters: Mapping[Subject, Mapping[str, Any]]) -> tuple[Subject, ...]:
    """Of each loss the variant with the most hyper-parameters at their defaults; the first of equals."""
    found: dict[str, tuple[int, Subject]] = {}
    for subject, settings in hyperparameters.items():
        defaults = CARDS[subject.loss].defaults if subject.loss in CARDS else {}
        kept = sum(settings.get(key, value) == value for key, value in defaults.items())
        if subject.loss not in found or kept > found[subject.loss][0]:
            found[subject.loss] = kept, subject
    return tuple(subject for _, subject in found.values())


def at_the_edge(comparison: Comparison, subject: Subject) -> Iterator[str]:
    """Hyper-parameters of a variant whose value is the smallest or largest of at least three that its loss tried."""
    rivals = [comparison.hyperparameters[one] for one in comparison.trained if one.loss == subject.loss]
    for key, value in comparison.hyperparameters[subject].items():
        tried = {rival[key] for rival in rivals if isinstance(rival.get(key), int | float)}
        if len(tried) > 2 and value in (min(tried), max(tried)):
            yield f"{subject.loss} {key} = {value:g}"
