"""Granularity as JSON: answers, associations and differences for other programs."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.report.granularity import Granularity


def granularity_document(found: Granularity) -> dict[str, Any]:
    """What the section says, with numbers; the estimates themselves stand among all others. Plain JSON types only."""
    return {
        "answers": {one.title: list(one.sentences) for one in found.answers},
        "associations": [
            {
                "dataset": one.comparison.dataset,
                "protocol": one.comparison.protocol,
                "measure": one.measure.key,
                "part": one.part,
                "spearman": asdict(one.association.interval),
                "variants": one.association.variants,
                "seeds": list(one.association.seeds),
                "verdict": one.decision.verdict,
                "reason": one.decision.reason,
                "p_adjusted": one.decision.p_adjusted,
            }
            for one in found.associations
        ],
        "differences": [
            {
                "dataset": one.comparison.dataset,
                "protocol": one.comparison.protocol,
                "measure": one.measure.key,
                "first": {"loss": one.base.loss, "variant": one.base.variant},
                "second": {"loss": one.subject.loss, "variant": one.subject.variant},
                "second_minus_first": one.decision.effect and asdict(one.decision.effect),
                "seeds": list(one.decision.contrast.seeds),
                "simultaneous": one.decision.simultaneous and asdict(one.decision.simultaneous),
                "standing": one.standing,
            }
            for one in found.differences
        ],
    }
