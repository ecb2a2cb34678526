"""Card of supervised contrastive loss."""

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
from losscope.cards.softmax import Logits, log_sum_exp, share
from losscope.cards.sphere import expected_log_sum_exp, tangent
from losscope.types import TermKind


@dataclass(frozen=True)
class SupCon(Card):
    """Supervised contrastive loss in closed form."""

    temperature: float = 0.1
    sum_outside: bool = True

    name: ClassVar[str] = "sup_con"
    title: ClassVar[str] = "SCL: supervised contrastive loss (SupCon)"
    equation: ClassVar[str] = (
        "L_out:  ℓᵢ = -1/|P(i)| Σ_{p ∈ P(i)} log q_ip,    q_ia = e^{s_ia/τ} / Σ_{a' ≠ i} e^{s_ia'/τ}    sum_outside = true\n"
        "L_in:   ℓᵢ = -log 1/|P(i)| Σ_{p ∈ P(i)} q_ip  ≤  L_out                                         sum_outside = false"
    )
    kind: ClassVar[TermKind] = "anchor"
    active: ClassVar[str] = (
        "always; L_out also pushes a positive away once its share exceeds 1/|P|, L_in never does. Positives stand in the "
        "denominator: with |P| of them the loss never falls below log |P|"
    )
    saturates: ClassVar[bool] = False
    meanings: ClassVar[Mapping[str, Meaning]] = {
        "temperature": Meaning("τ, of the softmax over cosines", "Khosla et al. 2020: 0.1"),
        "sum_outside": Meaning("L_out (the sum over positives outside the log) or L_in",
                               "Khosla et al. 2020 recommend L_out"),
    }  # fmt: skip
    held: ClassVar[tuple[str, str]] = (
        f"the other positives at cosine {POSITIVE_AT:g}, all negatives at {NEGATIVE_AT:g}",
        f"the positives at cosine {POSITIVE_AT:g}, all negatives but one at {NEGATIVE_AT:g}",
    )
    elsewhere: ClassVar[tuple[Elsewhere, ...]] = (
        Elsewhere("the authors' code (SupContrast)", "SupConLoss",
                  "L_out times τ/0.07, τ = 0.07: at τ = 0.1 loss and gradient are 1.43 times as large; a mean over all anchors"),
        Elsewhere("pytorch-metric-learning 2.9.0", "SupConLoss",
                  "L_out, τ = 0.1, the mean of the anchors whose loss is above 0; 0 for a batch of one class, where this one "
                  "is log |P| or more"),
        Elsewhere("sentence-transformers", "", "no such loss", "list of its losses read"),
        Elsewhere("torch", "", "no such loss"),
    )  # fmt: skip
    degenerate: ClassVar[Mapping[str, str]] = {
        "one class": "positives alone compete: log |P| at collapse, more elsewhere; L_in is log |P| everywhere",
        "no positives": "no term: 0 with zero gradient",
        "duplicates": "nothing special: dot products are smooth",
        "zero vectors": "log(|P| + n) as an anchor: all dot products are 0",
        "half precision": HALF_SOFTMAX,
    }

    def bound(self) -> float:
        return 2 / self.temperature

    def demands(self) -> str:
        what = "equal shares for all positives, none for negatives" if self.sum_outside else "no share for negatives"
        return f"no margin: {what}, e-fold for each {self.temperature:.4g} of cosine"

    def _floor(self, batch: Composition) -> float:
        # L_in is the same there: all positives have equal shares.
        return log_sum_exp([(batch.positives, 0.0), (batch.negatives, -batch.gap / self.temperature)])

    def _collapse(self, batch: Composition) -> float:
        return math.log(batch.positives + batch.negatives)

    def _random(self, batch: Composition, dim: int | None) -> float:
        def logit(similarity: float) -> float:
            return similarity / self.temperature

        every = expected_log_sum_exp([(batch.positives + batch.negatives, logit)], dim)
        if self.sum_outside:
            return every
        return every - expected_log_sum_exp([(batch.positives, logit)], dim) + math.log(batch.positives)

    def _positive(self, similarity: float, batch: Composition) -> Response:
        positives = [(1, similarity), (batch.positives - 1, POSITIVE_AT)]
        return self._response(similarity, positives, [(batch.negatives, NEGATIVE_AT)], wanted=True)

    def _negative(self, similarity: float, batch: Composition) -> Response:
        negatives = [(1, similarity), (batch.negatives - 1, NEGATIVE_AT)]
        return self._response(similarity, [(batch.positives, POSITIVE_AT)], negatives, wanted=False)

    def _response(self, moved: float, positives: Logits, negatives: Logits, *, wanted: bool) -> Response:
        """The term at these cosines, and what it does to the one that is `moved`; `wanted` for a positive."""
        logits = [(count, cosine / self.temperature) for count, cosine in (*positives, *negatives)]
        ours = logits[: len(positives)]
        count = sum(number for number, _ in ours)
        every, own = log_sum_exp(logits), moved / self.temperature
        if self.sum_outside:
            target = 1 / count
            value = every - sum(number * logit for number, logit in ours) / count
        else:
            target = share(own, ours)
            value = every - log_sum_exp(ours) + math.log(count)
        pull = (target if wanted else 0.0) - share(own, logits)
        return Response(value, pull / self.temperature * tangent(moved))
