"""Loss cards: what is known of a loss without measuring anything. Pure Python: no torch, no numpy.

A card is a loss at given hyper-parameters on the unit sphere. It says the equation of one term, when a term is active,
the mean over all terms at the collapsed simplex (the floor), at total collapse and for random embeddings, a bound of
the gradient, value and gradient of a term against the cosine of a pair, where the defaults come from, what other
libraries compute under the name, and what becomes of degenerate batches. All of it is tested against the losses.

>>> from losscope.cards import card
>>> round(card("sup_con", temperature=0.1).floor(classes=10, per_class=5), 6)
1.386462
>>> card("contrastive", margin=0.5).negative(0.9).pull < 0 == card("contrastive", margin=0.5).negative(0.5).value
True
"""

from __future__ import annotations

from typing import Any

from losscope.cards.arcface import ArcFace
from losscope.cards.center_contrastive import CenterContrastive
from losscope.cards.contrastive import Contrastive
from losscope.cards.definition import NEGATIVE_AT, POSITIVE_AT, Card, Composition, Elsewhere, Meaning, Response
from losscope.cards.info_nce import InfoNCE
from losscope.cards.n_pair import NPair
from losscope.cards.sup_con import SupCon
from losscope.cards.triplet import Triplet
from losscope.errors import UnknownName

CARDS: dict[str, Card] = {
    one.name: one for one in (Contrastive(), Triplet(), NPair(), InfoNCE(), SupCon(), ArcFace(), CenterContrastive())
}
"""Every loss of the package at its default hyper-parameters."""


def card(name: str, **hyperparameters: Any) -> Card:
    """The card of the loss `name`. Raises UnknownName, or InvalidStudy for an impossible hyper-parameter.

    >>> card("triplet", squared=True).bound()
    4.0
    """
    if name not in CARDS:
        raise UnknownName.of("loss", name, CARDS)
    return CARDS[name].given(**hyperparameters)


__all__ = ["CARDS", "NEGATIVE_AT", "POSITIVE_AT", "Card", "Composition", "Elsewhere", "Meaning", "Response", "card"]
