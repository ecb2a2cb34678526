"""Card of triplet loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from losscope.cards.definition import HALF, NEGATIVE_AT, POSITIVE_AT, Card, Composition, Elsewhere, Meaning, Response
from losscope.cards.margins import triplet_gap
from losscope.cards.sphere import distance_of, expected_of_two, half_angle, tangent
from losscope.types import TermKind


@dataclass(frozen=True)
class Triplet(Card):
    """Triplet loss in closed form."""

    margin: float = 1.0
    squared: bool = False

    name: ClassVar[str] = "triplet"
    title: ClassVar[str] = "Triplet loss"
    equation: ClassVar[str] = (
        "ℓ(a, p, n) = [d(a, p) - d(a, n) + m]₊      squared = false\n"
        "           = [d²(a, p) - d²(a, n) + m]₊    squared = true,    d = |zₐ - z|"
    )
    kind: ClassVar[TermKind] = "triplet"
    active: ClassVar[str] = "while the negative is not farther than the positive by the margin"
    saturates: ClassVar[bool] = True
    meanings: ClassVar[Mapping[str, Meaning]] = {
        "margin": Meaning(
            "m, by which the negative must be farther, in the unit of the distance used", "paper A: m = 1"
        ),
        "squared": Meaning(
            "whether distances are squared", "the authors' code of paper A; its eq. (2) and FaceNet square"
        ),
    }
    held: ClassVar[tuple[str, str]] = (
        f"the negative at cosine {NEGATIVE_AT:g}",
        f"the positive at cosine {POSITIVE_AT:g}",
    )
    elsewhere: ClassVar[tuple[Elsewhere, ...]] = (
        Elsewhere("FaceNet (Schroff et al. 2015)", "", "squared distances, margin 0.2, semi-hard negatives",
                  "from memory, not re-read"),
        Elsewhere("pytorch-metric-learning 2.9.0", "TripletMarginLoss",
                  "unsquared, margin 0.05, the mean of the non-zero terms: its gradient grows as terms fall silent. "
                  "LpDistance(power=2) squares"),
        Elsewhere("sentence-transformers", "TripletLoss",
                  "unsquared, margin 5, embeddings of any length; on the unit sphere a margin above √(2C/(C-1)) is never met. "
                  "BatchAllTripletLoss: all triplets, margin 5, the mean of the non-zero terms"),
        Elsewhere("torch", "TripletMarginLoss",
                  "unsquared, margin 1, plain mean; adds 1e-6 to every coordinate of a difference, so that equal points are "
                  "apart and have a gradient"),
    )  # fmt: skip
    degenerate: ClassVar[Mapping[str, str]] = {
        "one class": "no triplet: 0 with zero gradient",
        "no positives": "no triplet: 0 with zero gradient",
        "duplicates": "all points equal: m with zero gradient, a point where training can stay",
        "zero vectors": "at distance 1 from every embedding of unit length",
        "half precision": HALF,
    }

    def bound(self) -> float:
        return 4.0 if self.squared else 2.0

    def demands(self) -> str:
        if self.squared:
            return f"a cosine gap of m/2 = {triplet_gap(self.margin, squared=True):.4g} between positive and negative"
        gaps = [triplet_gap(self.margin, squared=False, positive_distance=distance) for distance in (0, 0.5, 1)]
        shown = ", ".join(f"{gap:.4g}" for gap in gaps)
        return f"a cosine gap of m·d + m²/2 between positive and negative: {shown} with the positive at d = 0, 0.5, 1"

    def _floor(self, batch: Composition) -> float:
        reach = 2 * batch.gap if self.squared else math.sqrt(2 * batch.gap)
        return max(0.0, self.margin - reach)

    def _collapse(self, batch: Composition) -> float:
        return self.margin

    def _random(self, batch: Composition, dim: int | None) -> float:
        return expected_of_two(self._violation, dim)

    def _positive(self, similarity: float, batch: Composition) -> Response:
        value = self._violation(similarity, NEGATIVE_AT)
        return Response(value, self._slope(similarity) if value else 0.0)

    def _negative(self, similarity: float, batch: Composition) -> Response:
        value = self._violation(POSITIVE_AT, similarity)
        return Response(value, -self._slope(similarity) if value else 0.0)

    def _violation(self, positive: float, negative: float) -> float:
        if self.squared:
            return max(0.0, 2 * negative - 2 * positive + self.margin)
        return max(0.0, distance_of(positive) - distance_of(negative) + self.margin)

    def _slope(self, similarity: float) -> float:
        return 2 * tangent(similarity) if self.squared else half_angle(similarity)
