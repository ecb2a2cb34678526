"""Card of center contrastive loss."""

from __future__ import annotations

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
from losscope.cards.sphere import expected_log_sum_exp, tangent
from losscope.types import TermKind

THIRD_PARTY = "a re-implementation by others, not verified"


@dataclass(frozen=True)
class CenterContrastive(Card):
    """Center contrastive loss in closed form."""

    margin: float = 0.2
    scale: float = 64.0
    center_weight: float = 1.0
    proxy_lr: float = 1e-2
    momentum: float = 0.0

    name: ClassVar[str] = "center_contrastive"
    title: ClassVar[str] = "CCL: center contrastive loss"
    equation: ClassVar[str] = (
        "ℓᵢ = -log e^{κ(cos θ_y - m)} / (e^{κ(cos θ_y - m)} + Σ_{j ≠ y} e^{κ cos θ_j}) + λ |zᵢ - c_y|²\n"
        "a documented reading of Cai, Xiong, Tian 2023, not a verified original"
    )
    kind: ClassVar[TermKind] = "sample"
    active: ClassVar[str] = "always; the pull of size 2λ sin θ_y towards the own center never ends"
    saturates: ClassVar[bool] = False
    meanings: ClassVar[Mapping[str, Meaning]] = {
        "margin": Meaning("m, taken from the cosine with the own center", THIRD_PARTY, may_be_0=True),
        "scale": Meaning("κ, factor of the cosines; 1/κ is a temperature", THIRD_PARTY),
        "center_weight": Meaning("λ, weight of the squared distance to the own center", THIRD_PARTY, may_be_0=True),
        "proxy_lr": Meaning("learning rate of the centers",
                            "of this package; ten to a hundred times the encoder's is customary"),
        "momentum": Meaning("share that a center keeps when it follows its class's mean; 0: centers are trained",
                            "of this package; how the paper moves its centers is not verified", may_be_0=True),
    }  # fmt: skip
    held: ClassVar[tuple[str, str]] = (
        f"the other centers at cosine {NEGATIVE_AT:g}",
        f"the own center at cosine {POSITIVE_AT:g}, the others but one at {NEGATIVE_AT:g}",
    )
    elsewhere: ClassVar[tuple[Elsewhere, ...]] = (
        Elsewhere("the re-implementation that this follows", "",
                  "writes -2λ cos θ_y for the pull: less by the constant 2λ, so that the loss can be negative",
                  "from notes, not re-read"),
        Elsewhere("pytorch-metric-learning 2.9.0", "CosFaceLoss",
                  "no such loss; CosFaceLoss is this with λ = 0 and margin 0.35, scale 64"),
        Elsewhere("sentence-transformers", "", "no such loss", "list of its losses read"),
        Elsewhere("torch", "", "no such loss"),
        Elsewhere("contrastive-center loss (Qi, Su 2017)", "", "another loss, a ratio of distances", "from memory, not re-read"),
    )  # fmt: skip
    degenerate: ClassVar[Mapping[str, str]] = {
        "one class": "in a batch nothing special: all centers are there; with one center at all the pull remains",
        "no positives": "nothing special: samples meet centers, not one another",
        "duplicates": "nothing special: cosines are smooth",
        "zero vectors": "cosine 0 with every center",
        "half precision": HALF_SOFTMAX,
    }

    def bound(self) -> float:
        return 2 * self.scale + 2 * self.center_weight

    def demands(self) -> str:
        return f"the own center's cosine above any other's by {self.margin:.4g}, and then cosine 1"

    def _floor(self, batch: Composition) -> float:
        return cross_entropy(self._own(1.0), [(batch.classes - 1, -self.scale / (batch.classes - 1))])

    def _collapse(self, batch: Composition) -> float:
        return cross_entropy(self._own(1.0), [(batch.classes - 1, self.scale)])

    def _random(self, batch: Composition, dim: int | None) -> float:
        parts = [(1, self._own), (batch.classes - 1, lambda similarity: self.scale * similarity)]
        return expected_log_sum_exp(parts, dim) - self._own(0.0) + 2 * self.center_weight

    def _positive(self, similarity: float, batch: Composition) -> Response:
        own, others = self._own(similarity), [(batch.classes - 1, self.scale * NEGATIVE_AT)]
        pull = self.scale * missing(own, others) + 2 * self.center_weight
        return Response(self._value(own, others, similarity), pull * tangent(similarity))

    def _negative(self, similarity: float, batch: Composition) -> Response:
        own, moved = self._own(POSITIVE_AT), self.scale * similarity
        others = [(1, moved), (batch.classes - 2, self.scale * NEGATIVE_AT)]
        push = self.scale * share(moved, [(1, own), *others]) * tangent(similarity)
        return Response(self._value(own, others, POSITIVE_AT), -push)

    def _value(self, own: float, others: list[tuple[int, float]], similarity: float) -> float:
        return cross_entropy(own, others) + self.center_weight * (2 - 2 * similarity)

    def _own(self, similarity: float) -> float:
        """The logit of the own center, margin included."""
        return self.scale * (similarity - self.margin)
