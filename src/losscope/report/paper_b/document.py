"""What a report says of paper B, as plain JSON types."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from losscope.report.paper_b import PaperB
from losscope.summary.subjects import Subject
from losscope.summary.types import Comparison


def paper_b_document(shown: PaperB) -> dict[str, Any]:
    """Tuned variants, orders that flip, profiles of the probe, limits."""
    return {
        "tuned": [_tuned(part) for part in shown.comparisons if part.tuned],
        "flips": [
            {
                **_place(part),
                "first": _variant(flip.first),
                "second": _variant(flip.second),
                "clear": flip.clear,
                "first_minus_second": {str(item): asdict(one) for item, one in flip.differences.items()},
            }
            for part, place in zip(shown.comparisons, shown.places, strict=True)
            if place.flips
            for flip in place.flips.found
        ],
        "profiles": [
            {
                **_place(part),
                **_variant(subject),
                "diagnostic": diagnostic,
                "items": {str(item): asdict(one.interval) for item, one in items.items() if one.interval},
            }
            for part in shown.comparisons
            for (subject, diagnostic), items in part.profiles.items()
        ],
        "limits": list(shown.limits),
    }


def _place(comparison: Comparison) -> dict[str, str]:
    return {"dataset": comparison.dataset, "protocol": comparison.protocol}


def _variant(subject: Subject) -> dict[str, str]:
    return {"loss": subject.loss, "variant": subject.variant}


def _tuned(comparison: Comparison) -> dict[str, Any]:
    return {
        **_place(comparison),
        "chosen": [
            {**_variant(subject), "variants": comparison.budgets[subject.loss]}
            for subject in comparison.representatives
        ],
    }
