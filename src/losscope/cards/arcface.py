"""Card of ArcFace."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from losscope.cards.definition import (
    HALF_SOFTMAX,
    NEGATIVE_AT,
    POSITIVE_AT,
    Card,
    Composition,
    Elsewhere,
    Meaning,
    Response,
)
from losscope.cards.softmax import cross_entropy, missing, share
from losscope.cards.sphere import expected, expected_log_sum_exp, tangent
from losscope.types import TermKind


@dataclass(frozen=True)
class ArcFace(Card):
    """ArcFace in closed form."""

    margin: float = 0.5
    scale: float = 64.0
    proxy_lr: float = 1e-2

    name: ClassVar[str] = "arcface"
    title: ClassVar[str] = "ArcFace"
    equation: ClassVar[str] = (
        "ℓᵢ = -log e^{κ cos(θ_y + m)} / (e^{κ cos(θ_y + m)} + Σ_{j ≠ y} e^{κ cos θ_j}),    θ_j the angle of zᵢ and w_j\n"
        "cos(θ + m) continued as cos θ - m sin m beyond θ = π - m"
    )
    kind: ClassVar[TermKind] = "sample"
    active: ClassVar[str] = "always; at θ_y = 0 it still pulls by κ(1 - q_y) sin m (a cusp)"
    saturates: ClassVar[bool] = False
    meanings: ClassVar[Mapping[str, Meaning]] = {
        "margin": Meaning("m, added to the angle with the own class vector, in radians", "Deng et al. 2019: 0.5",
                          may_be_0=True),
        "scale": Meaning("κ, factor of the cosines; 1/κ is a temperature", "Deng et al. 2019: 64"),
        "proxy_lr": Meaning("learning rate of the class vectors",
                            "of this package; ten to a hundred times the encoder's is customary"),
    }  # fmt: skip
    held: ClassVar[tuple[str, str]] = (
        f"the other class vectors at cosine {NEGATIVE_AT:g}",
        f"the own class vector at cosine {POSITIVE_AT:g}, the others but one at {NEGATIVE_AT:g}",
    )
    elsewhere: ClassVar[tuple[Elsewhere, ...]] = (
        Elsewhere("pytorch-metric-learning 2.9.0", "ArcFaceLoss",
                  "the same with the margin in degrees, 28.6 (0.499 radians), scale 64; its gradient is infinite at "
                  "cos θ_y = 1, where this one is 0"),
        Elsewhere("the authors' code (insightface)", "ArcFace", "margin 0.5, scale 64; cosines beyond 1 by rounding give NaN",
                  "from notes, not re-read"),
        Elsewhere("sentence-transformers", "", "no such loss", "list of its losses read"),
        Elsewhere("torch", "", "no such loss"),
    )  # fmt: skip
    degenerate: ClassVar[Mapping[str, str]] = {
        "one class": "in a batch nothing special: all class vectors are there; with one class vector at all the loss is 0",
        "no positives": "nothing special: samples meet class vectors, not one another",
        "duplicates": "nothing special; a sample on its own class vector has no gradient towards it, the angle has a cusp",
        "zero vectors": "cosine 0 with every class vector",
        "half precision": HALF_SOFTMAX,
    }

    def bound(self) -> float:
        return 2 * self.scale

    def demands(self) -> str:
        return f"the own class vector nearer than any other by {math.degrees(self.margin):.4g} degrees"

    def _floor(self, batch: Composition) -> float:
        return cross_entropy(self._own(1.0), [(batch.classes - 1, -self.scale / (batch.classes - 1))])

    def _collapse(self, batch: Composition) -> float:
        return cross_entropy(self._own(1.0), [(batch.classes - 1, self.scale)])

    def _random(self, batch: Composition, dim: int | None) -> float:
        parts = [(1, self._own), (batch.classes - 1, lambda similarity: self.scale * similarity)]
        return expected_log_sum_exp(parts, dim) - expected(self._own, dim)

    def _positive(self, similarity: float, batch: Composition) -> Response:
        others = [(batch.classes - 1, self.scale * NEGATIVE_AT)]
        own, angle = self._own(similarity), math.acos(similarity)
        turned = math.sin(angle + self.margin) if angle <= math.pi - self.margin else tangent(similarity)
        return Response(cross_entropy(own, others), self.scale * missing(own, others) * turned)

    def _negative(self, similarity: float, batch: Composition) -> Response:
        own, moved = self._own(POSITIVE_AT), self.scale * similarity
        others = [(1, moved), (batch.classes - 2, self.scale * NEGATIVE_AT)]
        push = self.scale * share(moved, [(1, own), *others]) * tangent(similarity)
        return Response(cross_entropy(own, others), -push)

    def _own(self, similarity: float) -> float:
        """The logit of the own class, margin included."""
        angle = math.acos(similarity)
        if angle <= math.pi - self.margin:
            return self.scale * math.cos(angle + self.margin)
        return self.scale * (similarity - self.margin * math.sin(self.margin))
