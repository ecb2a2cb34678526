"""The cards of the losses of a report: each loss variant at the hyper-parameters that it was given."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from losscope.cards import CARDS, Card
from losscope.report.subjects import DASHES, Subject
from losscope.report.summary import Summary


def known_cards(summary: Summary) -> Iterator[tuple[Subject, Card]]:
    """Every loss variant that has a card; where studies give a loss others under one name, the name says which."""
    for subject, settings in _variants(summary):
        if subject.loss in CARDS:
            card = CARDS[subject.loss]
            known = {key: value for key, value in settings.items() if key in card.defaults}
            yield subject, card.given(**known)


def _variants(summary: Summary) -> Iterator[tuple[Subject, Mapping[str, Any]]]:
    seen: dict[Subject, list[Mapping[str, Any]]] = {}
    for comparison in summary.comparisons:
        for subject, settings in comparison.hyperparameters.items():
            before = seen.setdefault(subject, [])
            if settings not in before:
                words = ", ".join(f"{key} = {value}" for key, value in settings.items())
                dash = DASHES[(DASHES.index(subject.dash) + len(before)) % len(DASHES)]
                yield (replace(subject, name=f"{subject.label} ({words})", dash=dash) if before else subject), settings
                before.append(settings)
