"""Card of N-pair loss."""

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
from losscope.cards.softmax import cross_entropy, missing, share, softplus
from losscope.cards.sphere import expected_log_sum_exp, tangent
from losscope.types import TermKind


@dataclass(frozen=True)
class NPair(Card):
    """N-pair loss in closed form. Without `unit_length`, values of given embeddings are those at length 1."""

    scale: float = 10.0
    penalty: float = 0.0
    unit_length: bool = True

    name: ClassVar[str] = "n_pair"
    title: ClassVar[str] = "N-pair loss"
    equation: ClassVar[str] = (
        "ℓᵢ = log(1 + Σ_{j ≠ i} exp κ(fᵢ·fⱼ⁺ - fᵢ·fᵢ⁺)) + λ (|fᵢ|² + |fᵢ⁺|²)/2\n"
        "over the pairs (fᵢ, fᵢ⁺) of a block, one of each class"
    )
    kind: ClassVar[TermKind] = "positive_pair"
    active: ClassVar[str] = "always: the softmax never reaches its target"
    saturates: ClassVar[bool] = False
    meanings: ClassVar[Mapping[str, Meaning]] = {
        "scale": Meaning("κ, factor of the cosines; 1/κ is a temperature",
                         "of this package: SupCon's temperature 0.1; the paper has 1"),
        "penalty": Meaning("λ, weight of squared lengths; a constant at unit length",
                           "of this package; the paper has 0.02 with embeddings of any length", may_be_0=True),
        "unit_length": Meaning("whether embeddings are scaled to length 1 before the loss",
                               "of this package, for one geometry in all losses; the paper: false"),
    }  # fmt: skip
    held: ClassVar[tuple[str, str]] = (
        f"the other classes' positives at cosine {NEGATIVE_AT:g}",
        f"the own positive at cosine {POSITIVE_AT:g}, the other classes' positives but one at {NEGATIVE_AT:g}",
    )
    elsewhere: ClassVar[tuple[Elsewhere, ...]] = (
        Elsewhere("Sohn 2016", "", "dot products of embeddings of any length, κ = 1, λ = 0.02", "from memory, not re-read"),
        Elsewhere("pytorch-metric-learning 2.9.0", "NPairsLoss",
                  "κ = 1 on cosines, whose floor is 1.377 of log 10 at 10 classes; only the first positive pair of each class "
                  "in the order of the batch"),
        Elsewhere("sentence-transformers", "MultipleNegativesRankingLoss",
                  "κ = 20 on cosines; every other row's positive is a negative, whatever its class"),
        Elsewhere("torch", "cross_entropy", "no such loss; cross_entropy(κ A Pᵀ, arange) of one block is this with λ = 0"),
    )  # fmt: skip
    degenerate: ClassVar[Mapping[str, str]] = {
        "one class": "no block with a negative: 0 with zero gradient",
        "no positives": "no block: 0 with zero gradient",
        "duplicates": "nothing special: dot products are smooth",
        "zero vectors": "log N as an anchor: all dot products are equal",
        "half precision": HALF_SOFTMAX,
    }

    def bound(self) -> float:
        return 2 * self.scale if self.unit_length else math.inf

    def demands(self) -> str:
        return f"no margin: own positives above all others, e-fold for each {1 / self.scale:.4g} of cosine"

    def _floor(self, batch: Composition) -> float:
        others = batch.others
        steepness = self.scale * batch.gap
        if self.unit_length:
            return softplus(math.log(others) - steepness) + self.penalty
        # Over the squared length r² the minimum of log(1 + n e^(-κ r² Δ)) + λ r² is where 1 - q = λ/(κΔ).
        missed = self.penalty / steepness
        if missed == 0:
            return 0.0  # as the length grows
        if missed >= others / (others + 1):
            return math.log(others + 1)  # all at 0
        return -math.log1p(-missed) + missed * math.log(others * (1 - missed) / missed)

    def _collapse(self, batch: Composition) -> float:
        return math.log(batch.others + 1) + self.penalty

    def _random(self, batch: Composition, dim: int | None) -> float:
        candidates = batch.others + 1
        return expected_log_sum_exp([(candidates, lambda similarity: self.scale * similarity)], dim) + self.penalty

    def _positive(self, similarity: float, batch: Composition) -> Response:
        own, others = self.scale * similarity, [(batch.others, self.scale * NEGATIVE_AT)]
        pull = self.scale * missing(own, others) * tangent(similarity)
        return Response(cross_entropy(own, others) + self.penalty, pull)

    def _negative(self, similarity: float, batch: Composition) -> Response:
        own, moved = self.scale * POSITIVE_AT, self.scale * similarity
        others = [(1, moved), (batch.others - 1, self.scale * NEGATIVE_AT)]
        push = self.scale * share(moved, [(1, own), *others]) * tangent(similarity)
        return Response(cross_entropy(own, others) + self.penalty, -push)
