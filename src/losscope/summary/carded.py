"""What is known of a loss in closed form, at the hyper-parameters and in the batches that a comparison gave it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from losscope.cards import CARDS, Card, Composition
from losscope.study import Batch
from losscope.summary.reading import protocols
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison, Summary


def card_of(subject: Subject, settings: Mapping[str, Any]) -> Card:
    """The card of a loss of the package at these hyper-parameters; what a card does not know is left out."""
    card = CARDS[subject.loss]
    return card.given(**{key: value for key, value in settings.items() if key in card.defaults})


def cards_of(comparison: Comparison) -> dict[Subject, Card]:
    """Every loss variant that has a card."""
    known = [subject for subject in comparison.trained if subject.loss in CARDS]
    return {subject: card_of(subject, comparison.hyperparameters[subject]) for subject in known}


def batches_of(summary: Summary, comparison: Comparison, card: Card) -> Composition:
    """The batches that a comparison trains one loss on."""
    protocol = protocols(summary.studies).get(comparison.protocol)
    return composition(protocol.batch if protocol else Batch(), trained_classes(comparison), card)


def trained_classes(comparison: Comparison) -> int:
    """The classes that were trained on, as far as rows tell; at least two."""
    return max(2, comparison.classes.get("train", 0) or max(comparison.classes.values(), default=0))


def composition(batch: Batch, classes: int, card: Card) -> Composition:
    """The batches of a protocol for one loss; about, where samples are drawn without regard to their classes."""
    one_tuple = batch.sampling != "all_in_batch" and not (batch.sampling == "customary" and card.kind == "anchor")
    if card.kind == "pair" and batch.balance == "sides":
        one_tuple = True  # for pairs both mean that half of the weight is on positives
    if batch.classes and batch.per_class:
        present, each = batch.classes, batch.per_class
    else:
        drawn = batch.terms if batch.draws_partners else batch.samples
        each = max(2, round(drawn / classes))
        present = max(2, drawn // each)
    return Composition(
        classes=classes,
        per_class=each,
        batch_classes=min(present, classes),
        sampling="one_tuple" if one_tuple else "all_in_batch",
    )
