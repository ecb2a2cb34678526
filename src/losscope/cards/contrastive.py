"""Card of contrastive loss."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from losscope.cards.definition import HALF, Card, Composition, Elsewhere, Meaning, Response
from losscope.cards.margins import contrastive_similarity
from losscope.cards.sphere import distance_of, expected, half_angle, tangent
from losscope.types import TermKind


@dataclass(frozen=True)
class Contrastive(Card):
    """Contrastive loss in closed form."""

    margin: float = 1.0

    name: ClassVar[str] = "contrastive"
    title: ClassVar[str] = "Contrastive loss"
    equation: ClassVar[str] = (
        "ℓ(i, j) = d²  for a positive pair\n        = [m - d]₊²  for a negative pair,    d = |zᵢ - zⱼ|"
    )
    kind: ClassVar[TermKind] = "pair"
    active: ClassVar[str] = "positive pairs always (d > 0); negative pairs while d < m"
    saturates: ClassVar[bool] = True
    meanings: ClassVar[Mapping[str, Meaning]] = {
        "margin": Meaning("m, the distance from which a negative pair is left alone", "paper A: m = 1"),
    }
    held: ClassVar[tuple[str, str]] = ("nothing else", "nothing else")
    elsewhere: ClassVar[tuple[Elsewhere, ...]] = (
        Elsewhere("Hadsell, Chopra, LeCun 2006", "", "½ before each side, sum over pairs, embeddings of any length",
                  "from memory, not re-read"),
        Elsewhere("pytorch-metric-learning 2.9.0", "ContrastiveLoss",
                  "d and [1 - d]₊, neither squared: a gradient of 1 at any distance; the mean of the non-zero terms of each "
                  "side, added. LpDistance(power=2) gives d² and [m - d²]₊, another hinge than here"),
        Elsewhere("sentence-transformers", "ContrastiveLoss",
                  "½δ² and ½[m - δ]₊² of the cosine distance δ = 1 - s = d²/2, margin 0.5: a positive costs d⁴/8, and "
                  "negatives stop at cosine 0.5, where m = 1 stops them here"),
        Elsewhere("torch", "CosineEmbeddingLoss",
                  "1 - s = d²/2 for positives, [s - margin]₊ for negatives, margin 0: they stop at a right angle. "
                  "HingeEmbeddingLoss is unsquared and takes distances"),
    )  # fmt: skip
    degenerate: ClassVar[Mapping[str, str]] = {
        "one class": "positive pairs alone: the mean of d²",
        "no positives": "negative pairs alone",
        "duplicates": "a positive pair costs 0, a negative one m², and neither has a gradient: its direction is undefined",
        "zero vectors": "at distance 1 from every embedding of unit length",
        "half precision": HALF,
    }

    def bound(self) -> float:
        return max(2.0, 2 * self.margin)

    def demands(self) -> str:
        stop = contrastive_similarity(self.margin)
        return f"negatives at cosine {stop:.4g} or less" if stop > -1 else "negatives farther than opposite: never met"

    def _floor(self, batch: Composition) -> float:
        return batch.negative_share * max(0.0, self.margin - math.sqrt(2 * batch.gap)) ** 2

    def _collapse(self, batch: Composition) -> float:
        return batch.negative_share * self.margin**2

    def _random(self, batch: Composition, dim: int | None) -> float:
        negative = expected(lambda similarity: self._hinge(similarity) ** 2, dim)
        return (1 - batch.negative_share) * 2 + batch.negative_share * negative

    def _positive(self, similarity: float, batch: Composition) -> Response:
        return Response(2 - 2 * similarity, 2 * tangent(similarity))

    def _negative(self, similarity: float, batch: Composition) -> Response:
        hinge = self._hinge(similarity)
        return Response(hinge**2, -2 * hinge * half_angle(similarity))

    def _hinge(self, similarity: float) -> float:
        return max(0.0, self.margin - distance_of(similarity))
