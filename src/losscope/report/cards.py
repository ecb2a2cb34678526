"""The cards of the losses of a report: each loss variant at the hyper-parameters and in the batches that it was given."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from losscope.cards import CARDS, Card, Composition
from losscope.cards.document import document
from losscope.errors import InvalidInput
from losscope.report.tables import Column, Group, Row, Table
from losscope.study import Batch
from losscope.summary.carded import card_of, composition, trained_classes
from losscope.summary.formatting import ABSENT, number
from losscope.summary.reading import protocols
from losscope.summary.subjects import DASHES, Subject
from losscope.summary.types import Summary


@dataclass(frozen=True)
class LossCard:
    """One loss. `facts`, `elsewhere` and `degenerate` are (what, text)."""

    anchor: str
    title: str
    equation: str
    facts: tuple[tuple[str, str], ...]
    numbers: Table
    hyperparameters: Table
    elsewhere: tuple[tuple[str, str], ...]
    degenerate: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class Use:
    """A loss variant as a comparison uses it."""

    subject: Subject
    card: Card
    batch: Composition
    dim: int | None  # of the embeddings


def known_cards(summary: Summary) -> dict[Subject, Card]:
    """Every loss variant that has a card; where studies give a loss others under one name, the name says which."""
    return {use.subject: use.card for use in uses(summary)}


def uses(summary: Summary) -> tuple[Use, ...]:
    """Every loss variant with a card, once for each composition of its batches."""
    return tuple(dict.fromkeys(_uses(summary)))


def _uses(summary: Summary) -> Iterator[Use]:
    settled = protocols(summary.studies)
    seen: dict[Subject, list[Mapping[str, Any]]] = {}
    for comparison in summary.comparisons:
        protocol = settled.get(comparison.protocol)
        for subject in comparison.shown:
            if subject.loss not in CARDS:
                continue
            settings = comparison.hyperparameters[subject]
            others = seen.setdefault(subject, [])
            if settings not in others:
                others.append(settings)
            nth = others.index(settings)
            known = card_of(subject, settings)
            batch = composition(protocol.batch if protocol else Batch(), trained_classes(comparison), known)
            dim = protocol.model.widths[-1] if protocol else None
            yield Use(_told_apart(subject, settings, nth), known, batch, dim)


def _told_apart(subject: Subject, settings: Mapping[str, Any], nth: int) -> Subject:
    """The subject under a name of its own, if it is not the first of its name."""
    if not nth:
        return subject
    words = ", ".join(f"{key} = {value}" for key, value in settings.items())
    dash = DASHES[(DASHES.index(subject.dash) + nth) % len(DASHES)]
    return replace(subject, name=f"{subject.label} ({words})", dash=dash)


def loss_cards(summary: Summary) -> tuple[LossCard, ...]:
    """One card for each loss of the report that has one, with its variants."""
    found: dict[str, list[Use]] = {}
    for use in uses(summary):
        found.setdefault(use.subject.loss, []).append(use)
    return tuple(_card(f"card-{name}", of) for name, of in found.items())


def _card(anchor: str, of: list[Use]) -> LossCard:
    card = of[0].card
    libraries = [
        (" ".join(filter(None, (one.library, one.function))), one.says + _basis(one.basis)) for one in card.elsewhere
    ]
    return LossCard(
        anchor=anchor,
        title=card.title,
        equation=card.equation,
        facts=(
            ("term", card.kind.replace("_", " ")),
            ("active", card.active),
            ("saturates", "yes: a term can be exactly 0 with zero gradient" if card.saturates else "no"),
        ),
        numbers=_numbers(anchor, of),
        hyperparameters=_hyperparameters(anchor, of),
        elsewhere=tuple(libraries),
        degenerate=tuple(card.degenerate.items()),
    )


def _basis(basis: str) -> str:
    return "" if basis == "source read" else f" ({basis})"


def _numbers(anchor: str, of: list[Use]) -> Table:
    groups: dict[str, list[Row]] = {}
    for use in of:
        shape = use.batch.shape
        bound = use.card.bound()
        cells = (
            number(use.card.floor(**shape)),
            number(use.card.collapse_value(**shape)),
            number(use.card.random_value(**shape)),
            _random_in(use),
            number(bound) if math.isfinite(bound) else "unbounded",
            use.card.demands(),
        )
        rows = groups.setdefault(f"{use.batch}, embeddings of {use.dim} dimensions", [])
        rows.append(Row(use.subject.label, cells, use.subject))
    columns = (
        Column("floor: collapsed simplex"),
        Column("all embeddings equal"),
        Column("random, many dimensions"),
        Column("random, these dimensions"),
        Column("bound of the gradient"),
        Column("what it asks for", words=True),
    )
    caption = (
        "Means over all terms, and the largest gradient of one term along the sphere. The floor needs C - 1 dimensions; "
        "batches that are drawn without regard to classes are counted by their expectation."
    )
    shown = tuple(Group(label, tuple(rows)) for label, rows in groups.items())
    return Table(f"{anchor}-values", "Values without measuring", caption, "loss", columns, shown)


def _random_in(use: Use) -> str:
    try:
        return number(use.card.random_value(dim=use.dim, **use.batch.shape)) if use.dim else ABSENT
    except InvalidInput:  # one dimension, or a scale too steep to integrate
        return ABSENT


def _hyperparameters(anchor: str, of: list[Use]) -> Table:
    card = of[0].card
    rows = []
    for key, meaning in card.meanings.items():
        used = dict.fromkeys(_value(use.card.hyperparameters[key]) for use in of)
        rows.append(Row(key, (", ".join(used), _value(card.defaults[key]), meaning.says, meaning.source)))
    columns = (
        Column("used here"),
        Column("default"),
        Column("what it is", words=True),
        Column("default from", words=True),
    )
    groups = (Group("", tuple(rows)),)
    return Table(f"{anchor}-settings", "Hyper-parameters", "As used, and by default.", "name", columns, groups)


def _value(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"


def cards_document(summary: Summary) -> list[dict[str, Any]]:
    """The cards as plain data: one entry for each loss variant and composition of its batches."""
    return [
        {"loss": use.subject.loss, "variant": use.subject.variant, "label": use.subject.label, **_document(use)}
        for use in uses(summary)
    ]


def _document(use: Use) -> dict[str, Any]:
    try:
        found = document(use.card, dim=use.dim, **use.batch.shape)
    except InvalidInput:
        found = document(use.card, **use.batch.shape)
    return {key: value for key, value in found.items() if key != "curve"}
