"""Card of InfoNCE."""

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
class InfoNCE(Card):
    """InfoNCE in closed form."""

    temperature: float = 0.07

    name: ClassVar[str] = "info_nce"
    title: ClassVar[str] = "InfoNCE"
    equation: ClassVar[str] = (
        "ℓ(i, p) = -log e^{s_ip/τ} / (e^{s_ip/τ} + Σ_{n ∈ N(i)} e^{s_in/τ}),    s = z·z'\n"
        "N(i): the samples of other classes; a positive never competes with another"
    )
    kind: ClassVar[TermKind] = "positive_pair"
    active: ClassVar[str] = "always: the softmax never reaches its target"
    saturates: ClassVar[bool] = False
    meanings: ClassVar[Mapping[str, Meaning]] = {
        "temperature": Meaning(
            "τ, of the softmax over cosines", "MoCo (He et al. 2020), pytorch-metric-learning: 0.07"
        ),
    }
    held: ClassVar[tuple[str, str]] = (
        f"all negatives at cosine {NEGATIVE_AT:g}",
        f"the positive at cosine {POSITIVE_AT:g}, all negatives but one at {NEGATIVE_AT:g}",
    )
    elsewhere: ClassVar[tuple[Elsewhere, ...]] = (
        Elsewhere("van den Oord, Li, Vinyals 2018", "", "one positive, a free critic instead of s/τ, negatives without labels",
                  "from memory, not re-read"),
        Elsewhere("pytorch-metric-learning 2.9.0", "NTXentLoss",
                  "the same terms and mean, τ = 0.07; builds a matrix of positive pairs x negative pairs, and takes the log of "
                  "a share, which ends at 0 where this one goes on falling"),
        Elsewhere("sentence-transformers", "MultipleNegativesRankingLoss",
                  "τ = 1/20, one positive; every other row's positive is a negative, whatever its class"),
        Elsewhere("torch", "cross_entropy", "no such loss; the cross-entropy of each positive against the negatives is this"),
    )  # fmt: skip
    degenerate: ClassVar[Mapping[str, str]] = {
        "one class": "no negatives, so no term: 0 with zero gradient",
        "no positives": "no term: 0 with zero gradient",
        "duplicates": "nothing special: dot products are smooth",
        "zero vectors": "log(1 + n) as an anchor: all dot products are 0",
        "half precision": HALF_SOFTMAX,
    }

    def bound(self) -> float:
        return 2 / self.temperature

    def demands(self) -> str:
        return f"no margin: the positive above all negatives, e-fold for each {self.temperature:.4g} of cosine"

    def _floor(self, batch: Composition) -> float:
        return softplus(math.log(batch.negatives) - batch.gap / self.temperature)

    def _collapse(self, batch: Composition) -> float:
        return math.log(1 + batch.negatives)

    def _random(self, batch: Composition, dim: int | None) -> float:
        return expected_log_sum_exp([(1 + batch.negatives, lambda s: s / self.temperature)], dim)

    def _positive(self, similarity: float, batch: Composition) -> Response:
        own, others = similarity / self.temperature, [(batch.negatives, NEGATIVE_AT / self.temperature)]
        pull = missing(own, others) / self.temperature * tangent(similarity)
        return Response(cross_entropy(own, others), pull)

    def _negative(self, similarity: float, batch: Composition) -> Response:
        own, moved = POSITIVE_AT / self.temperature, similarity / self.temperature
        others = [(1, moved), (batch.negatives - 1, NEGATIVE_AT / self.temperature)]
        push = share(moved, [(1, own), *others]) / self.temperature * tangent(similarity)
        return Response(cross_entropy(own, others), -push)
